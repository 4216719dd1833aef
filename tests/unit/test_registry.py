"""Finding plugins: isolation, collisions, versions, near names."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vlmkit.errors import PluginError
from vlmkit.registry import Registry

PLUGIN = """
from typing import Literal
from vlmkit import hookimpl
from vlmkit.api import DownsamplerSpec

VLMKIT_API = {api}
{extra}

class ASpec(DownsamplerSpec):
    "One of several."
    type: Literal["{name}"] = "{name}"

    def grid(self, height, width):
        return height, width

    def build(self, width):
        raise AssertionError("not built here")

@hookimpl
def vlmkit_components():
    return [ASpec]
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a plugin module and return its entry point."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(module: str, name: str, api: object = 1, extra: str = "") -> EntryPoint:
        (tmp_path / f"{module}.py").write_text(PLUGIN.format(name=name, api=api, extra=extra))
        monkeypatch.delitem(sys.modules, module, raising=False)
        return EntryPoint(module, module, "vlmkit")

    return write


def test_a_component_is_found_by_kind_and_name(plugin) -> None:
    found = Registry([plugin("plug_a", "halve")]).get("downsampler", "halve")
    assert (found.spec.__name__, found.plugin.name) == ("ASpec", "plug_a")


def test_a_miss_names_the_nearest_and_all(plugin) -> None:
    both = Registry([plugin("plug_b", "halve"), plugin("plug_c", "third")])
    with pytest.raises(PluginError, match=r"'halv'.*did you mean 'halve'\?.*installed: halve, third"):
        both.get("downsampler", "halv")


def test_names_match_exactly(plugin) -> None:
    with pytest.raises(PluginError, match="no installed plugin offers downsampler 'HALVE'"):
        Registry([plugin("plug_d", "halve")]).get("downsampler", "HALVE")


def test_a_plugin_that_raises_is_isolated_and_named(plugin) -> None:
    registry = Registry(
        [plugin("plug_e", "broken", extra="raise RuntimeError('no such GPU')"), plugin("plug_f", "fine")]
    )
    assert registry.get("downsampler", "fine")
    states = {found.name: found.state for found in registry.plugins}
    assert states == {"plug_e": "broken", "plug_f": "loaded"}
    assert "RuntimeError: no such GPU" in registry.plugins[0].trace
    with pytest.raises(PluginError, match=r"'plug_e'.*is broken and may offer it: RuntimeError: no such GPU"):
        registry.get("downsampler", "broken")


def test_a_module_that_does_not_exist_is_isolated(plugin) -> None:
    registry = Registry([EntryPoint("gone", "no_such_module_here", "vlmkit"), plugin("plug_g", "fine")])
    assert registry.plugins[0].state == "broken"
    assert registry.get("downsampler", "fine")


def test_two_plugins_with_one_component_are_both_named(plugin) -> None:
    registry = Registry([plugin("plug_h", "same"), plugin("plug_i", "same"), plugin("plug_j", "other")])
    with pytest.raises(PluginError, match=r"two plugins offer downsampler 'same': plug_h .* and plug_i"):
        registry.get("downsampler", "same")
    assert registry.get("downsampler", "other")


def test_two_plugins_with_one_entry_point_name_are_both_kept(plugin) -> None:
    first, second = plugin("plug_k", "same"), plugin("plug_l", "same")
    registry = Registry([EntryPoint("twin", first.value, "vlmkit"), EntryPoint("twin", second.value, "vlmkit")])
    assert [found.state for found in registry.plugins] == ["loaded", "loaded"]
    with pytest.raises(PluginError, match="two plugins offer downsampler 'same'"):
        registry.get("downsampler", "same")


@pytest.mark.parametrize(("api", "found"), [(2, "VLMKIT_API = 2"), (None, "no VLMKIT_API")])
def test_another_api_version_is_refused(plugin, api: object, found: str) -> None:
    registry = Registry([plugin("plug_m", "old", api=api)])
    assert registry.plugins[0].state == "broken"
    assert "expected VLMKIT_API = 1" in registry.plugins[0].error
    assert found in registry.plugins[0].error


def test_only_the_chosen_plugins_load(plugin) -> None:
    registry = Registry([plugin("plug_n", "one"), plugin("plug_o", "two")], only=frozenset({"plug_n"}))
    assert registry.names("downsampler") == ["one"]
    with pytest.raises(PluginError, match="left out by VLMKIT_PLUGINS: plug_o"):
        registry.get("downsampler", "two")


def test_no_plugin_at_all_still_answers() -> None:
    with pytest.raises(PluginError, match="installed: none"):
        Registry([]).get("aligner", "stab")
