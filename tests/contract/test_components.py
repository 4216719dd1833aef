"""Every registered component keeps the promises of its kind: to register one is to test it."""

from __future__ import annotations

import pytest

from vlmkit.registry import KINDS, registry
from vlmkit.testing import checks

CASES = [
    pytest.param(component.spec, check, id=f"{kind}-{component.spec.component_name()}-{check.__name__}")
    for kind in sorted(KINDS)
    for component in registry().components(kind)
    for check in checks(kind)
]


@pytest.mark.parametrize(("spec", "check"), CASES)
def test_conformance(spec, check) -> None:
    check(spec.tiny())


def test_no_plugin_is_broken() -> None:
    assert {plugin.name: plugin.error for plugin in registry().plugins if plugin.state == "broken"} == {}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_component_says_what_it_is(kind: str) -> None:
    for component in registry().components(kind):
        spec = component.spec
        options = spec.model_json_schema()["properties"]
        undocumented = [name for name, option in options.items() if "description" not in option and name != "type"]
        assert spec.__doc__, f"{spec.__name__} has no docstring"
        assert not undocumented, f"{spec.__name__}: these options have no docstring: {undocumented}"
