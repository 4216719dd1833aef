"""Overrides: `extends`, and values set by dotted path. Plain data in, plain data out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmkit.api.files import is_file
from vlmkit.errors import SpecError
from vlmkit.names import hint
from vlmkit.spec.yaml import Document, Path_, read

__all__ = ["apply", "read_extended"]


def read_extended(path: Path, above: tuple[Path, ...] = ()) -> Document:
    """A spec file with everything that it extends merged below it. `extends` is relative to the file that says it."""
    if path.resolve() in above:
        chain = " -> ".join(str(file) for file in (*above, path))
        raise SpecError(f"{path}: `extends` goes in a circle: {chain}")
    document = read(path)
    if not isinstance(document.data, dict):
        raise SpecError(f"{path}: expected a mapping with the keys vlmkit, name, model, …; found {document.data!r}")
    base_name = document.data.pop("extends", None)
    if base_name is None:
        return document
    if not isinstance(base_name, str):
        raise SpecError(f"{path}: `extends` takes the path of one spec file, found {base_name!r}")
    base_path = path.parent / base_name
    if not is_file(base_path):
        raise SpecError(f"{document.origins['extends',]}: `extends: {base_name}`: there is no file {base_path}")
    base = read_extended(base_path, (*above, path.resolve()))
    origins = {**base.origins}
    data = _merge(base.data, document.data, (), origins, document.origins)
    return Document(data, origins)


def _merge(base: Any, over: Any, path: Path_, origins: dict[Path_, str], new: Mapping[Path_, str]) -> Any:
    """`over` on top of `base`: mappings key by key, a list by the names of its items where `over` is a mapping; a
    component of another `type` drops the old one's options.
    """
    if isinstance(base, list) and isinstance(over, Mapping):
        return _merge_items(base, over, path, origins, new)
    if isinstance(base, str) and isinstance(over, Mapping) and "type" not in over:
        base = {"type": base}
    if isinstance(over, str) and isinstance(base, Mapping) and "type" in base:
        over = {"type": over}
    keeps = isinstance(base, Mapping) and isinstance(over, Mapping)
    if not keeps or over.get("type", base.get("type")) != base.get("type"):
        for key in [key for key in origins if key[: len(path)] == path]:
            del origins[key]
        origins.update({key: place for key, place in new.items() if key[: len(path)] == path})
        return over
    merged = dict(base)
    for key, value in over.items():
        below = (*path, key)
        if key in base:
            merged[key] = _merge(base[key], value, below, origins, new)
        else:
            merged[key] = value
            origins.update({k: place for k, place in new.items() if k[: len(below)] == below})
        if below in new:
            origins[below] = new[below]
    return merged


def _merge_items(
    base: list[Any], over: Mapping[Any, Any], path: Path_, origins: dict[Path_, str], new: Mapping[Path_, str]
) -> list[Any]:
    """Each value of `over` on top of the item that its key names."""
    merged = list(base)
    for key, value in over.items():
        named = (*path, key)
        place = next(new[named[:length]] for length in range(len(named), -1, -1) if named[:length] in new)
        index = _index(base, str(key), path, place)
        item = (*path, index)
        below = {item: place} | {(*item, *k[len(named) :]): at for k, at in new.items() if k[: len(named)] == named}
        merged[index] = _merge(merged[index], value, item, origins, below)
        origins[item] = place
    return merged


def apply(document: Document, dotted: str, value: Any) -> None:
    """Set one value in place. Items of a list are named by index or by their `name`."""
    document.data = _set(document.data, dotted.split("."), value, (), document.origins, f"--set {dotted}")


def _set(node: Any, keys: list[str], value: Any, path: Path_, origins: dict[Path_, str], place: str) -> Any:
    origins.setdefault(path, place)
    if not keys:
        result = _merge(node, value, path, origins, {path: place})
        origins[path] = place
        return result
    key, *rest = keys
    if isinstance(node, list):
        index = _index(node, key, path, place)
        return [
            _set(item, rest, value, (*path, i), origins, place) if i == index else item for i, item in enumerate(node)
        ]
    if node is None or isinstance(node, str):
        node = {"type": node} if node else {}
    if not isinstance(node, Mapping):
        dotted = ".".join(map(str, path))
        raise SpecError(
            f"{place}: {dotted} is {node!r}, which has nothing below it; to change it, --set {dotted}=VALUE"
        )
    return {**node, key: _set(node.get(key), rest, value, (*path, key), origins, place)}


def _index(items: list[Any], key: str, path: Path_, place: str) -> int:
    names = [str(item.get("name")) for item in items if isinstance(item, Mapping) and "name" in item]
    if key in names:
        return next(i for i, item in enumerate(items) if isinstance(item, Mapping) and str(item.get("name")) == key)
    if key.isdigit() and int(key) < len(items):
        return int(key)
    known = f"items: {', '.join(names)}" if names else f"it has {len(items)}, counted from 0"
    raise SpecError(f"{place}: {key!r} names no item of the list {'.'.join(map(str, path))}; {hint(key, names)}{known}")
