"""Which packages, in which versions, the components of a spec come from: what is made with one may not be another's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel

from vlmkit.api.spec import ComponentSpec
from vlmkit.registry import registry

__all__ = ["Origins", "changed", "components", "origins", "versions"]

Origins = dict[str, dict[str, str]]
"""By `kind/name` of a component: `plugin`, `package` and `version`."""


def origins(*parts: object) -> Origins:
    """Those of every component in some specs, nested ones included."""
    found: Origins = {}
    for part in parts:
        for component in components(part):
            known = registry()
            plugin = known.plugin_of(type(component)) or known.get(component.kind, component.address).plugin
            origin = {"plugin": plugin.name, "package": plugin.distribution, "version": plugin.version}
            found[f"{component.kind}/{component.address}"] = origin
    return found


def versions(found: Origins) -> dict[str, str]:
    """Package and version of each component, in the order of their names."""
    return {key: _package(found[key]) for key in sorted(found)}


def changed(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What comes from another package or version now, in words: `aligner 'mine' of mine 0.1.0, here of mine 0.2.0`."""
    return [
        f"{_words(key)} of {_package(before[key])}, here of {_package(now[key])}"
        for key in before
        if key in now and _package(before[key]) != _package(now[key])
    ]


def _words(key: str) -> str:
    kind, _, name = key.partition("/")
    return f"{kind} {name!r}"


def _package(origin: Mapping[str, str]) -> str:
    return f"{origin['package']} {origin['version']}".strip() or "an unknown package"


def components(part: object) -> Iterator[ComponentSpec]:
    """Every component in a spec, nested ones after those that hold them."""
    if isinstance(part, ComponentSpec):
        yield part
    if isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from components(getattr(part, name))
    elif isinstance(part, Mapping):
        yield from components(list(part.values()))
    elif isinstance(part, Sequence) and not isinstance(part, str | bytes):
        for item in part:
            yield from components(item)
