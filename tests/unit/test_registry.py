"""Finding plugins: isolation, collisions, versions, near names."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vlmkit.errors import PluginError
from vlmkit.registry import Registry, registry
from vlmkit.spec import load_spec

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


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        (
            "@hookimpl\ndef vlmkit_componentz(): ...",
            "vlmkit has no hook 'vlmkit_componentz'; did you mean 'vlmkit_comp",
        ),
        ("@hookimpl(specname='vlmkit_benchmark')\ndef folders(): ...", "'vlmkit_benchmark'; did you mean 'vlmkit_ben"),
        ("@hookimpl\ndef vlmkit_stage_ended(rum): ...", "rum"),
    ],
)
def test_a_plugin_that_leaves_or_misspells_is_broken(plugin, extra: str, said: str) -> None:
    found = Registry([plugin("plug_p", "one", extra=extra), plugin("plug_q", "fine")])
    assert [known.state for known in found.plugins] == ["broken", "loaded"]
    assert said in found.plugins[0].error
    assert found.names("downsampler") == ["fine"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('no disk')", "vlmkit_benchmarks raised RuntimeError: no disk"),
        ("raise SystemExit(3)", "vlmkit_benchmarks raised SystemExit: 3"),
        ("return '/folder'", "vlmkit_benchmarks returned '/folder'; expected a list of Path"),
        ("return None", "vlmkit_benchmarks returned None; expected a list of Path"),
        ("return ['/folder']", "vlmkit_benchmarks returned ['/folder']; expected a list of Path"),
    ],
)
def test_a_hook_that_fails_names_the_plugin(plugin, body: str, said: str) -> None:
    extra = f"@hookimpl\ndef vlmkit_benchmarks():\n    {body}\n"
    found = Registry([plugin("plug_r", "one", extra=extra), plugin("plug_s", "two")])
    with pytest.raises(PluginError) as caught:
        found.gather("vlmkit_benchmarks", Path)
    assert str(caught.value).startswith(f"plugin 'plug_r' ((unknown package)): {said}")


def test_what_plugins_answer_comes_together(plugin) -> None:
    extra = "from pathlib import Path\n@hookimpl\ndef vlmkit_benchmarks():\n    return [Path('{}')]\n"
    points = [plugin(f"plug_{name}", name, extra=extra.format(name)) for name in ("v", "u")]
    assert Registry(points).gather("vlmkit_benchmarks", Path) == [Path("u"), Path("v")]


def test_components_are_a_list(plugin) -> None:
    point = plugin("plug_w", "one")
    file = Path(sys.path[0]) / "plug_w.py"
    file.write_text(file.read_text().replace("return [ASpec]", "return ASpec"))
    [found] = Registry([point]).plugins
    assert (
        "vlmkit_components returned <class 'plug_w.ASpec'>; expected a list of subclasses of ComponentSpec"
        in found.error
    )


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


def test_a_chosen_plugin_that_is_not_installed_is_an_error(plugin) -> None:
    with pytest.raises(
        PluginError, match=r"no plugin 'plug_z' is installed; did you mean 'plug_x'\? installed: plug_x"
    ):
        Registry([plugin("plug_x", "one")], only=frozenset({"plug_z"}))


def test_it_is_said_once_of_a_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMKIT_PLUGINS", "stabb")
    registry.cache_clear()
    try:
        with pytest.raises(
            PluginError, match=r"^VLMKIT_PLUGINS: no plugin 'stabb' is installed; did you mean 'stab'\?"
        ):
            load_spec("specs/quickstart.yaml")
    finally:
        registry.cache_clear()


def test_no_plugin_at_all_still_answers() -> None:
    with pytest.raises(PluginError, match="installed: none"):
        Registry([]).get("aligner", "stab")


def _rewrite(old: str, new: str, module: str) -> None:
    file = Path(sys.path[0]) / f"{module}.py"
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "lacking"),
    [
        ("def grid(", "def gridd(", "grid"),
        ("def build(", "def make(", "build"),
        ("    def ", "    def no_", "build, grid"),
    ],
)
def test_a_spec_class_with_something_left_to_define_breaks_its_plugin(plugin, old: str, new: str, lacking: str) -> None:
    point = plugin("plug_aa", "half")
    _rewrite(old, new, "plug_aa")
    found = Registry([point, plugin("plug_ab", "fine")])
    assert [known.state for known in found.plugins] == ["broken", "loaded"]
    assert f"PluginError: ASpec lacks {lacking}, as DownsamplerSpec asks for" in found.plugins[0].error
    with pytest.raises(PluginError, match=f"'plug_aa'.* is broken and may offer it: .*lacks {lacking}"):
        found.get("downsampler", "half")


def test_a_base_that_is_not_offered_may_leave_things_to_define(plugin) -> None:
    base = "class Base(DownsamplerSpec):\n    def grid(self, height, width):\n        return height, width\n"
    point = plugin("plug_ac", "one", extra=base)
    _rewrite("class ASpec(DownsamplerSpec)", "class ASpec(Base)", "plug_ac")
    assert Registry([point]).names("downsampler") == ["one"]


def test_a_plugin_that_offers_a_component_twice_is_told_so(plugin) -> None:
    same, two = plugin("plug_ad", "same"), plugin("plug_ae", "other")
    _rewrite("[ASpec]", "[ASpec, ASpec]", "plug_ad")
    _rewrite("@hookimpl", "class BSpec(ASpec):\n    pass\n\n@hookimpl", "plug_ae")
    _rewrite("[ASpec]", "[ASpec, BSpec]", "plug_ae")
    found = Registry([same, two, plugin("plug_af", "fine")])
    for name, owner, classes in (("same", "plug_ad", "ASpec and ASpec"), ("other", "plug_ae", "ASpec and BSpec")):
        with pytest.raises(PluginError) as caught:
            found.get("downsampler", name)
        assert str(caught.value) == (
            f"plugin {owner} ((unknown package)) offers downsampler {name!r} twice: its vlmkit_components returned "
            f"{classes}; remove one of them from that list"
        )
    assert found.get("downsampler", "fine")
