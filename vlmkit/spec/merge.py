"""Overrides: `extends`, and values set by dotted path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmkit.errors import KeyPath, SpecError, did_you_mean, shown
from vlmkit.files import expand_path
from vlmkit.spec.spec_files import find_beside
from vlmkit.spec.tree import DEEPEST, Placed, placed
from vlmkit.spec.yaml import read

__all__ = ["apply", "read_extended"]

_LONGEST_CHAIN = 20
"""Files that extend each other."""
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")
_LISTED = 50
"""Names of items in a message."""


def read_extended(path: Path, above: tuple[Path, ...] = ()) -> Placed:
    """Return a spec file on top of everything that it extends; `extends` is relative to the file that says it,
    or a shipped spec."""
    if path.resolve() in above:
        chain = " -> ".join(str(file) for file in (*above, path))
        raise SpecError(f"{path}: `extends` goes in a circle: {chain}")
    if len(above) == _LONGEST_CHAIN:
        raise SpecError(f"{path}: more than {_LONGEST_CHAIN} files extend each other, from {above[0]} on; merge some")
    spec = read(path)
    values = spec.value
    if not isinstance(values, dict):
        found = "a list" if isinstance(values, list) else shown(values)
        raise SpecError(f"{path}: expected a mapping with the keys vlmkit, name, model, …; found {found}")
    base_name = values.get("extends")
    over = Placed({key: value for key, value in values.items() if key != "extends"}, spec.place)
    if "plugins" in over.value:
        over.value["plugins"] = _beside(over.value["plugins"], path.absolute().parent)
    if base_name is None or base_name.value is None:
        return over
    if not isinstance(base_name.value, str):
        found = shown(base_name.value) if isinstance(base_name.value, bool | int | float) else "another value"
        raise SpecError(f"{base_name.place}: `extends` takes the path of one spec file, found {found}")
    try:
        base_path = find_beside(path, base_name.value)
    except SpecError as error:
        raise SpecError(f"{base_name.place}: `extends`: {error}") from None
    base = read_extended(base_path, (*above, path.resolve()))
    return _merge(base, over, ())


def _beside(files: Placed, folder: Path) -> Placed:
    """Return a list of files with those that are relative taken from a folder."""
    if not isinstance(files.value, list):
        return files
    whole = [
        Placed(str(folder / expand_path(f.value)) if isinstance(f.value, str) else f.value, f.place)
        for f in files.value
    ]
    return Placed(whole, files.place)


def _merge(base: Placed, over: Placed, path: KeyPath) -> Placed:
    """Return `over` on top of `base`: mappings key by key, lists by the names of their items where `over` is a mapping.

    A component of another `type` drops the old one's options.
    """
    old, new = base.value, over.value
    if isinstance(old, list) and isinstance(new, dict):
        items, names = list(old), _names(old)
        for key, value in new.items():
            index = _index(names, len(old), key, path, value.place)
            items[index] = _merge(items[index], value, (*path, index))
        return Placed(items, over.place)
    if isinstance(old, str) and isinstance(new, dict) and "type" not in new:
        old = {"type": base}
    if isinstance(new, str) and isinstance(old, dict) and "type" in old:
        new = {"type": over}
    if not isinstance(old, dict) or not isinstance(new, dict):
        return Placed(new, over.place)
    if "type" in new and ("type" not in old or new["type"].value != old["type"].value):
        return Placed(new, over.place)
    merged = dict(old)
    for key, value in new.items():
        merged[key] = _merge(old[key], value, (*path, key)) if key in old else value
    return Placed(merged, over.place)


def apply(spec: Placed, dotted: str, value: Any) -> Placed:
    """Return a spec with one value set. Items of a list are named by index or by their `name`.

    A value that a file gives is `Placed`: it keeps its place.
    """
    if not isinstance(dotted, str):
        raise SpecError(f"set: expected a dotted path, e.g. model.aligner.fsra, found {shown(dotted)}")
    keys = dotted.split(".")
    place = value.place if isinstance(value, Placed) else f"--set {dotted if len(dotted) <= 200 else shown(dotted)}"
    if not all(keys) or len(keys) > DEEPEST:
        raise SpecError(f"{place}: expected names with single dots between, e.g. model.aligner.fsra, at most {DEEPEST}")
    return _set(spec, keys, value if isinstance(value, Placed) else placed(value, place), (), place)


def _set(node: Placed | None, keys: list[str], value: Placed, path: KeyPath, place: str) -> Placed:
    if not keys:
        return value if node is None else _merge(node, value, path)
    key, *rest = keys
    old = None if node is None else node.value
    where = place if node is None else node.place
    if isinstance(old, list):
        index = _index(_names(old), len(old), key, path, place)
        item = _set(old[index], rest, value, (*path, index), place)
        return Placed([*old[:index], item, *old[index + 1 :]], where)
    if isinstance(old, str) and node is not None:
        old = {"type": node} if old else {}
    if not isinstance(old, dict | None):
        dotted = ".".join(map(str, path))
        raise SpecError(
            f"{place}: {dotted} is {shown(old)}, which has nothing below it; to change it, --set {dotted}=VALUE"
        )
    below = {} if old is None else old
    return Placed({**below, key: _set(below.get(key), rest, value, (*path, key), place)}, where)


def _names(items: list[Placed]) -> dict[str, int]:
    """Return the index of the first item of each `name`."""
    names: dict[str, int] = {}
    for index, item in enumerate(items):
        name = item.value.get("name") if isinstance(item.value, dict) else None
        if name is not None and not isinstance(name.value, dict | list):
            names.setdefault(str(name.value), index)
    return names


def _index(names: Mapping[str, int], count: int, key: str, path: KeyPath, place: str) -> int:
    if key in names:
        return names[key]
    if _INDEX.match(key) and int(key) < count:
        return int(key)
    listed = list(names)[:_LISTED]
    known = f"items: {', '.join(listed)}{', …' if len(names) > _LISTED else ''}" if names else ""
    known = known or f"it has {count}, counted from 0"
    raise SpecError(
        f"{place}: {shown(key)} names no item of the list {'.'.join(map(str, path))}; "
        f"{did_you_mean(key, listed)}{known}"
    )
