"""The identity of what a spec makes: the values that trained weights depend on, and the packages of its components.

What was made with other values, or with another version of a package, is not taken for what this spec makes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from xxhash import xxh3_128

from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import as_written
from vlmkit.registry import registry
from vlmkit.spec.experiment import ExperimentSpec, part_of

__all__ = [
    "FREE",
    "Origins",
    "changed",
    "changes",
    "components",
    "identity",
    "is_free",
    "origins",
    "sha256_without_name",
    "stage_identity",
    "versions",
]

FREE = ("evaluation", "observers", "plugins", "data.cache_mib", "data.max_bad_fraction", "training.workers")
"""Dotted keys that a continued run may change: the trained weights do not depend on them. Of plugins the versions of
the components count, which for a file is its checksum, wherever it lies."""

Origins = dict[str, dict[str, str]]
"""By `kind/name` of a component: `plugin`, `package` and `version`."""


def origins(*parts: object) -> Origins:
    """Return the origins of every component in some specs, nested ones included."""
    found: Origins = {}
    for part in parts:
        for component in components(part):
            known = registry()
            plugin = known.plugin_of(type(component)) or known.get(component.kind, component.address).plugin
            origin = {"plugin": plugin.name, "package": plugin.distribution, "version": plugin.version}
            found[f"{component.kind}/{component.address}"] = origin
    return found


def versions(found: Origins) -> dict[str, str]:
    """Return package and version of each component, in the order of their names."""
    return {key: _package(found[key]) for key in sorted(found)}


def changed(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return what comes from another package or version now: `aligner 'mine' of mine 0.1.0, here of mine 0.2.0`."""
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
    """Yield every component in a spec, nested ones after those that hold them."""
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


def identity(spec: ExperimentSpec) -> str:
    """Return a checksum of everything that the trained weights depend on: whose a checkpoint is."""
    return _checksum(_without_free(spec))


def sha256_without_name(spec: ExperimentSpec) -> str:
    """Return a checksum of everything that a spec says but for its name, its observers and where its plugins lie."""
    content = spec.model_dump(mode="json", exclude={"name", "observers", "plugins"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def stage_identity(spec: ExperimentSpec, number: int) -> str:
    """Return a checksum of everything that the weights after a stage depend on, `number` from 1.

    Two experiments in which it is the same can share that stage: their names, and what differs between their later
    stages, do not count.
    """
    content = _without_free(spec)
    training = content["training"]
    trained = sorted({key for stage in training["stages"] for key in stage["train"]})  # what trains is kept in float32
    stages = training["stages"][:number]
    distils = any("distillation" in map(part_of, stage["train"]) for stage in stages)
    training |= {"stages": stages, "distillation": training["distillation"] if distils else None}
    return _checksum({**content, "name": None, "trained": trained})


def _without_free(spec: ExperimentSpec) -> dict[str, Any]:
    content = spec.model_dump(mode="json")
    for key in FREE:
        *path, last = key.split(".")
        part = content
        for name in path:
            part = part.get(name) or {}
        part.pop(last, None)
    return content


def _checksum(content: dict[str, Any]) -> str:
    return xxh3_128(json.dumps(content, sort_keys=True).encode()).hexdigest()


_ABSENT = object()


def changes(old: Any, new: Any) -> dict[str, str]:
    """Return the dotted keys whose values differ between two specs as plain data, each as `before -> after`."""
    return {key: f"{_show(before)} -> {_show(after)}" for key, (before, after) in _changes(old, new, ())}


def _changes(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield dotted keys whose values differ; a component of another type counts as one change."""
    if old == new:
        return
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)) or old.get("type") != new.get("type"):
        yield ".".join(path), (old, new)
        return
    for key in [*old, *(key for key in new if key not in old)]:
        yield from _changes(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, str(key)))


def is_free(key: str) -> bool:
    """Return whether a continued run may change this dotted key."""
    return any(key == free or key.startswith(f"{free}.") for free in FREE)


def _show(value: Any) -> str:
    return "(absent)" if value is _ABSENT else as_written(value)
