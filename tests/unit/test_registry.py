"""Finding plugins: isolation, collisions, versions, near names."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from vlmkit.errors import PluginError
from vlmkit.plugin_choice import PluginChoice
from vlmkit.registry import Registry, registry
from vlmkit.spec.loading import json_schema, load_spec

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


OTHER_MARKER = """
import pluggy
@pluggy.HookimplMarker("another")
def vlmkit_stage_ended(run): ...
"""


def _only(names: set[str]) -> PluginChoice:
    return PluginChoice(frozenset(names), leaves_out=False)


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
        ("def vlmkit_stage_ended(run): ...", "vlmkit_stage_ended has no @hookimpl and would never be called"),
        ("def vlmkit_stage_endet(run): ...", "no hook 'vlmkit_stage_endet'; did you mean 'vlmkit_stage_ended'?"),
        ("def vlmkt_stage_ended(run): ...", "no hook 'vlmkt_stage_ended'; did you mean 'vlmkit_stage_ended'?"),
        ("def stage_ended(run): ...\nvlmkit_componens = lambda: [ASpec]", "did you mean 'vlmkit_components'?"),
        (OTHER_MARKER, "vlmkit_stage_ended has no @hookimpl and would never be called"),
        ("@hookimpl(wrapper=True)\ndef vlmkit_stage_ended():\n    yield", "is a hook wrapper"),
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
    gathered = found.gather("vlmkit_benchmarks", Path)
    assert gathered.found == []
    assert [fault.startswith(f"plugin 'plug_r' ((unknown package)): {said}") for fault in gathered.faults] == [True]


def test_what_plugins_answer_comes_together(plugin) -> None:
    extra = "from pathlib import Path\n@hookimpl\ndef vlmkit_benchmarks():\n    return [Path('{}')]\n"
    points = [plugin(f"plug_{name}", name, extra=extra.format(name)) for name in ("v", "u")]
    gathered = Registry(points).gather("vlmkit_benchmarks", Path)
    assert [(plugin.name, path) for plugin, path in gathered.found] == [
        ("plug_u", Path("u")),
        ("plug_v", Path("v")),
    ]


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
    registry = Registry([plugin("plug_n", "one"), plugin("plug_o", "two")], _only({"plug_n"}))
    assert registry.names("downsampler") == ["one"]
    with pytest.raises(PluginError, match="left out by VLMKIT_PLUGINS: plug_o"):
        registry.get("downsampler", "two")


def test_a_module_without_a_hook_offers_nothing(plugin) -> None:
    point = plugin("plug_ao", "one")
    _rewrite("@hookimpl\ndef vlmkit_components", "def offers", "plug_ao")
    [found] = Registry([point]).plugins
    assert found.state == "broken"
    assert found.error.startswith(
        "PluginError: plug_ao has no hook, so it offers nothing; expected a function with @ho"
    )


def test_plugins_that_are_left_out_do_not_load(plugin) -> None:
    points = [plugin("plug_ap", "one"), plugin("plug_aq", "two"), plugin("plug_ar", "three")]
    found = Registry(points, PluginChoice.parse("-plug_ap, -plug_ar"))
    assert [(known.name, known.state) for known in found.plugins] == [
        ("plug_ap", "left out"),
        ("plug_aq", "loaded"),
        ("plug_ar", "left out"),
    ]
    assert "plug_ap" not in sys.modules
    with pytest.raises(PluginError, match=r"^VLMKIT_PLUGINS: no plugin 'plug_a' is installed; did you mean 'plug_ar'"):
        Registry(points, PluginChoice.parse("-plug_a"))


def test_a_chosen_plugin_that_is_not_installed_is_an_error(plugin) -> None:
    with pytest.raises(
        PluginError, match=r"no plugin 'plug_z' is installed; did you mean 'plug_x'\? installed: plug_x"
    ):
        Registry([plugin("plug_x", "one")], _only({"plug_z"}))


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


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('Literal["half"] = "half"', 'Literal["halve"] = "half"', "ASpec has two names: `type` is ('halve',) by its"),
        ('Literal["half"] = "half"', 'Literal["a:half"] = "a:half"', "no colon in it, found 'a:half'"),
        ('Literal["half"] = "half"', "str", "ASpec has no name"),
        ("    def grid", "    kind: int = 1\n    def grid", "ASpec: an option cannot be called `kind`"),
        (
            "    def grid",
            "    renamed = {'a': 'b'}\n    def grid",
            "`removed` those that are gone to the reason; that does",
        ),
        ("    def grid", "    removed = {'type': 'why'}\n    def grid", "that does not fit type; options: type"),
        ("    def build", "    keeps_rows: int = 1\n    def build", "ASpec: an option cannot be called `keeps_rows`"),
    ],
)
@pytest.mark.filterwarnings("ignore:Field name .* in .ASpec. shadows")
def test_a_spec_class_that_no_spec_file_could_name(plugin, old: str, new: str, said: str) -> None:
    point = plugin("plug_ag", "half")
    _rewrite(old, new, "plug_ag")
    [found] = Registry([point]).plugins
    assert found.state == "broken"
    assert said in found.error


def test_a_component_may_take_another_name_too(plugin) -> None:
    point = plugin("plug_ah", "half")
    _rewrite('Literal["half"] = "half"', 'Literal["half", "halve"] = "half"', "plug_ah")
    assert Registry([point]).names("downsampler") == ["half"]


def test_hooks_that_observe_are_deprecated(plugin) -> None:
    point = plugin("plug_av", "one", extra="@hookimpl\ndef vlmkit_stage_ended(stage): ...\n")
    with pytest.warns(
        FutureWarning, match=r"hook vlmkit_stage_ended of plug_av is deprecated .*; use an observer: vlm"
    ):
        found = Registry([point])
    assert [known.state for known in found.plugins] == ["loaded"]


def _point(name: str, module: str, package: str) -> EntryPoint:
    return EntryPoint(name, module, "vlmkit")._for(SimpleNamespace(name=package, version="1.2"))  # type: ignore[attr-defined]


def test_packages_tell_plugins_of_one_name_apart(plugin) -> None:
    points = [_point("twin", plugin(m, m).value, p) for m, p in (("plug_ak", "Mine_Too"), ("plug_al", "yours"))]
    assert Registry(points, _only({"mine-too:twin"})).names("downsampler") == ["plug_ak"]
    assert Registry(points, _only({"twin"})).names("downsampler") == ["plug_ak", "plug_al"]
    with pytest.raises(PluginError, match=r"no plugin 'his:twin' is installed; .*installed: Mine_Too:twin, yours:twin"):
        Registry(points, _only({"his:twin"}))


def test_packages_tell_components_of_one_name_apart(plugin) -> None:
    points = [_point(m, plugin(m, "same").value, p) for m, p in (("plug_am", "mine"), ("plug_an", "yours"))]
    found = Registry(points)
    with pytest.raises(PluginError, match=r"say which one: `mine:same` or `yours:same`"):
        found.get("downsampler", "same")
    assert found.get("downsampler", "yours:same").plugin.package == "yours 1.2"
    assert found.plugin_of(found.get("downsampler", "mine:same").spec).package == "mine 1.2"  # type: ignore[union-attr]
    with pytest.raises(PluginError, match="'his' offers no downsampler 'same'; there is mine:same and yours:same"):
        found.get("downsampler", "his:same")


def test_an_editor_knows_which_of_two_components_is_meant(plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (("plug_as", "same", "mine"), ("plug_at", "same", "yours"), ("plug_au", "other", "yours"))
    found = Registry([_point(module, plugin(module, name).value, package) for module, name, package in names])
    assert list(found.addresses("downsampler")) == ["other", "mine:same", "yours:same"]
    monkeypatch.setattr("vlmkit.spec.loading.registry", lambda: found)
    schema = json_schema()["$defs"]
    assert schema["downsampler.yours:same"]["properties"]["type"]["const"] == "yours:same"
    assert schema["downsampler.other"]["properties"]["type"]["const"] == "other"
