"""The variable VLMKIT_PLUGINS: names that load, names that do not."""

from __future__ import annotations

import pytest

from vlmkit.errors import PluginError
from vlmkit.plugin_choice import ALL, PluginChoice
from vlmkit.registration import Plugin

PLUGINS = [Plugin("stab", "m1", "vlmkit"), Plugin("stab", "m2", "other_one"), Plugin("mine", "m3", "mine")]


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("", []),
        (" ,", []),
        ("stab", ["m1", "m2"]),
        ("vlmkit:stab, mine", ["m1", "m3"]),
        ("-mine", ["m1", "m2"]),
        ("-other-one:stab, - mine", ["m1"]),
    ],
)
def test_names_choose_or_leave_out(text: str, modules: list[str]) -> None:
    choice = PluginChoice.parse(text)
    choice.check(PLUGINS)
    assert [plugin.module for plugin in PLUGINS if choice.takes(plugin)] == modules


def test_all_load_by_default() -> None:
    assert all(map(ALL.takes, PLUGINS))


@pytest.mark.parametrize("text", ["-stab,mine", "stab,-mine", "-", "-stab,-"])
def test_both_forms_do_not_mix(text: str) -> None:
    with pytest.raises(PluginError, match=f"or a `-` before each name to load all others .* found '{text}'"):
        PluginChoice.parse(text)


def test_a_name_that_none_has_is_said_with_the_nearest() -> None:
    with pytest.raises(PluginError, match=r"no plugin 'mane' is installed; did you mean 'mine'\? .*vlmkit:stab, other"):
        PluginChoice.parse("-mane").check(PLUGINS)
