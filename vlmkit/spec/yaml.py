"""YAML with the place of every value: plain data, and for each dotted path the file and line that it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vlmkit.errors import SpecError

__all__ = ["Document", "Path_", "parse_scalar", "read"]

Path_ = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: `4e-4` is a number, `on` and `no` are words."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.inf|\.nan)$"),
    list("-+0123456789."),
)


@dataclass
class Document:
    """Plain data with the origin (`file:line`) of each path."""

    data: Any
    origins: dict[Path_, str] = field(default_factory=dict)


def read(path: Path) -> Document:
    """Read one YAML file. A SpecError, with line and column, where it is missing or malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(f"{path}: cannot read this spec file: {reason}") from None
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise SpecError(_malformed(path, error)) from None
    document = Document({} if node is None else None)
    if node is not None:
        document.data = _convert(node, (), document.origins, path)
    return document


def _malformed(path: Path, error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"{path}: not valid YAML: {error}"
    mark = error.problem_mark
    what = ", ".join(filter(None, [error.context, error.problem]))
    return f"{path}:{mark.line + 1}: not valid YAML at column {mark.column + 1}: {what}"


def parse_scalar(text: str, place: str = "--set") -> Any:
    """The value of `--set key=TEXT`: YAML, so that numbers, lists and mappings can be written."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 -- _Loader is a SafeLoader
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None) or error
        raise SpecError(f"{place}: {text!r} is not valid YAML: {reason}") from None


def _convert(node: yaml.Node, path: Path_, origins: dict[Path_, str], file: Path) -> Any:
    origins[path] = f"{file}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in mapping:
                raise SpecError(
                    f"{file}:{key_node.start_mark.line + 1}: the key {key!r} stands here a second time; keep one"
                )
            mapping[key] = _convert(value_node, (*path, key), origins, file)
            origins[(*path, key)] = f"{file}:{key_node.start_mark.line + 1}"
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_convert(item, (*path, index), origins, file) for index, item in enumerate(node.value)]
    constructor = yaml.constructor.SafeConstructor()
    return constructor.construct_object(node)
