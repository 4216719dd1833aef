"""YAML with the place of every value: plain data, and for each dotted path the file and line that it came from."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vlmkit.errors import SpecError

__all__ = ["Document", "Path_", "parse_scalar", "read"]

Path_ = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_KNOWN = {_TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map")}


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: `4e-4` is a number; `on`, `no` and dates are words."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in (f"{_TAG}int", f"{_TAG}null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    f"{_TAG}float",
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
    reader = _Reader(str(path), lines=True)
    data = reader.read(text)
    return Document({} if data is None else data, reader.origins)


def parse_scalar(text: str, place: str = "--set") -> Any:
    """The value of `--set key=TEXT`: YAML, so that numbers, lists and mappings can be written."""
    return _Reader(place, lines=False).read(text)


class _Reader:
    """From text to plain data, with the origins."""

    def __init__(self, source: str, lines: bool) -> None:
        """Of a file, whose lines are named, or of an option."""
        self.source = source
        self.lines = lines
        self.origins: dict[Path_, str] = {}
        self._above: list[yaml.Node] = []

    def read(self, text: str) -> Any:
        """The value of a whole text; None where it is empty. A SpecError where it is malformed."""
        try:
            node = yaml.compose(text, Loader=_Loader)
            return None if node is None else self._value(node, ())
        except yaml.YAMLError as error:
            raise SpecError(self._malformed(text, error)) from None
        except RecursionError:
            raise SpecError(f"{self.source}: lists and mappings are nested too deeply here") from None

    def _malformed(self, text: str, error: yaml.YAMLError) -> str:
        if not self.lines:
            return f"{self.source}: {text!r} is not valid YAML: {getattr(error, 'problem', None) or error}"
        if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
            return f"{self.source}: not valid YAML: {error}"
        mark = error.problem_mark
        what = ", ".join(filter(None, [error.context, error.problem]))
        return f"{self.source}:{mark.line + 1}: not valid YAML at column {mark.column + 1}: {what}"

    def _value(self, node: yaml.Node, path: Path_) -> Any:
        self.origins[path] = self._place(node)
        if node.tag not in _KNOWN:
            raise self._error(node, f"the tag {node.tag.replace(_TAG, '!!')} means nothing in a spec; remove it")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if any(node is above for above in self._above):
            raise self._error(node, "this list or mapping contains itself; write out what is meant")
        self._above.append(node)
        if isinstance(node, yaml.MappingNode):
            value: Any = self._mapping(node, path)
        else:
            value = [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        self._above.pop()
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                kind = "mapping" if isinstance(key_node, yaml.MappingNode) else "list"
                raise self._error(key_node, f"expected a name as the key, found a {kind}")
            key = str(key_node.value)
            if key == "<<":
                raise self._error(key_node, "merge keys (`<<`) are not read; write the keys out, or use `extends`")
            if key in mapping:
                raise self._error(key_node, f"the key {key!r} stands here a second time; keep one")
            mapping[key] = self._value(value_node, (*path, key))
            self.origins[(*path, key)] = self._place(key_node)
        return mapping

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            value = yaml.constructor.SafeConstructor().construct_object(node)
        except (ValueError, KeyError):  # `!!int x`, or more digits than Python reads
            raise self._error(
                node, f"expected a value of {node.tag.replace(_TAG, '!!')}, found {node.value[:40]!r}"
            ) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(node, f"expected a finite number, found {node.value}")
        return value

    def _error(self, node: yaml.Node, message: str) -> SpecError:
        return SpecError(f"{self._place(node)}: {message}")

    def _place(self, node: yaml.Node) -> str:
        return f"{self.source}:{node.start_mark.line + 1}" if self.lines else self.source
