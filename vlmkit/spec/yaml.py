"""YAML 1.2 with the place of every value, and back. A reader's work is bounded by limits that no spec comes near.

A scalar without a tag is read by the core schema (section 10.3 of the specification). PyYAML follows YAML 1.1, in which
`010` is 8, `1:30` is 90, `on` is true and `1e5` is text.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from vlmkit.errors import SpecError, UserError, shown
from vlmkit.files import read_text
from vlmkit.spec.tree import DEEPEST, MOST_DIGITS, MOST_VALUES, Placed, fits, too_deep, whole

__all__ = ["parse_scalar", "read", "write"]

LARGEST_FILE = 1_000_000
"""Bytes."""
_OLD_BREAKS = re.compile("[\x85\u2028\u2029]")
_TAG = "tag:yaml.org,2002:"
"""Begins the name of a type: `!!int` is short for this and `int`."""

_FORMS = {
    "null": re.compile(r"(?:null|Null|NULL|~|)\Z"),
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
    "int": re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    "float": re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
    "merge": re.compile(r"<<\Z"),  # of YAML 1.1: quoted when written, so that both read a key of this name
}
_RESOLVERS = {None: [(_TAG + name, form) for name, form in _FORMS.items()]}
"""As PyYAML wants it: for every first letter, which tag a plain scalar has; the first match counts."""

_BASES = {"0o": 8, "0x": 16}
_KNOWN = {_TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map")}


def _construct(tag: str, text: str) -> bool | int | float | str | None:
    """Return the value of a scalar. A ValueError, with what was expected, where the text is none of the tag's type."""
    name = tag.removeprefix(_TAG)
    if name == "str":
        return whole(text)
    if not _FORMS[name].match(text):
        raise ValueError(f"expected a value of !!{name}")
    if name == "null":
        return None
    if name == "bool":
        return text.lower() == "true"
    if name == "int":
        digits, base = (text[2:], _BASES[text[:2]]) if text[:2] in _BASES else (text, 10)
        number = int(digits, base) if len(text) <= 2 * MOST_DIGITS else 10**MOST_DIGITS
        if not fits(number):
            raise ValueError(f"expected a whole number of at most {MOST_DIGITS} digits")
        return number
    real = float(text) if text[-1] in "0123456789." else math.inf  # .inf and .nan are the ones that end in letters
    if not math.isfinite(real):
        raise ValueError("expected a finite number (text stands in quotes)")
    return real


class _Loader(yaml.SafeLoader):
    """Composes nodes, within the limits."""

    yaml_implicit_resolvers = _RESOLVERS

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self.source = source
        self.depth = self.count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node. PyYAML calls this for each, in Python's recursion."""
        self.count += index is not None or not isinstance(parent, yaml.MappingNode)  # else it is a key
        if self.depth > DEEPEST:
            raise too_deep(self.source)
        if self.count > MOST_VALUES:
            raise SpecError(f"{self.source}: this has more than {MOST_VALUES:,} values; shorten it")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.2 would take for something else than text."""

    yaml_implicit_resolvers = _RESOLVERS

    def ignore_aliases(self, data: Any) -> bool:
        """Return that every value is written out."""
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Return text, with escapes where PyYAML would take a character for a line break of YAML 1.1."""
        style = None if data.replace("\n", "").isprintable() else '"'
        return self.represent_scalar(f"{_TAG}str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def write(data: Any) -> str:
    """Return plain data as YAML, of which `parse_scalar` gives the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def read(path: Path, expected: str = "a spec file", error: type[UserError] = SpecError) -> Placed:
    """Return what a YAML file says; an empty mapping where it is empty.

    `error`, with what was `expected`, line and column, where it is missing, malformed, or more than a spec can be.
    """
    try:
        size = path.stat().st_size
    except (OSError, ValueError):  # what is the matter is said below
        size = 0
    if size > LARGEST_FILE:
        found = f"a file of {size:,} bytes, more than {LARGEST_FILE:,}"
        raise error(f"{path}: expected {expected}, found {found}; name another")
    root = _Reader(str(path), lines=True, error=error).read(read_text(path, expected, error))
    return Placed({}, root.place) if root.value is None else root


def parse_scalar(text: str, place: str = "--set") -> Any:
    """Return the value of `--set key=TEXT`: YAML, so that numbers, lists and mappings can be written."""
    if len(text) > LARGEST_FILE:
        raise SpecError(f"{place}: expected a value of at most {LARGEST_FILE:,} characters, found {len(text):,}")
    return _Reader(place, lines=False, error=SpecError).read(text).data


class _Reader:
    """From text to values with their places."""

    def __init__(self, source: str, lines: bool, error: type[UserError]) -> None:
        """Of a file, whose lines are named, or of an option."""
        self.source = source
        self.lines = lines
        self.error = error
        self._known: dict[int, Placed | None] = {}
        """By node, what it became, so that each is looked at once however often it is used; None: on the way."""

    def read(self, text: str) -> Placed:
        """Return the value of a whole text, None where it is empty."""
        try:
            self._check_breaks(text)
            node = _Loader(text, self.source).get_single_node()
            root = Placed(None, self.source) if node is None else self._value(node)
            _ = root.data  # within the limits
        except yaml.YAMLError as problem:
            raise self.error(self._malformed(text, problem)) from None
        except UserError as problem:
            raise self.error(problem) from None
        except (ValueError, OverflowError) as problem:  # numbers of escapes and directives
            raise self.error(f"{self.source}: not valid YAML: {problem}") from None
        return root

    def _check_breaks(self, text: str) -> None:
        """Refuse what YAML 1.2 has as letters and PyYAML as line breaks, which it would turn into spaces."""
        if found := _OLD_BREAKS.search(text):
            raise yaml.reader.ReaderError(self.source, found.start(), ord(found[0]), "", "")

    def _malformed(self, text: str, problem: yaml.YAMLError) -> str:
        if isinstance(problem, yaml.reader.ReaderError):
            line = f":{text.count(chr(10), 0, problem.position) + 1}" if self.lines else ""
            escape = f'"\\U{problem.character:08X}"'
            return f"{self.source}{line}: the character U+{problem.character:04X} has to be written as {escape}"
        if not isinstance(problem, yaml.MarkedYAMLError) or problem.problem_mark is None:
            return f"{self.source}: not valid YAML: {problem}"
        what = ", ".join(filter(None, [problem.context, problem.problem]))
        if not self.lines:
            return f"{self.source}: {shown(text)} is not valid YAML: {what}"
        mark = problem.problem_mark
        return f"{self.source}:{mark.line + 1}: not valid YAML at column {mark.column + 1}: {what}"

    def _value(self, node: yaml.Node) -> Placed:
        if id(node) in self._known:
            if (known := self._known[id(node)]) is None:
                raise self._problem(node, "this list or mapping contains itself; write out what is meant")
            return known
        self._check_tag(node)
        self._known[id(node)] = None
        if isinstance(node, yaml.ScalarNode):
            value = self._scalar(node)
        elif isinstance(node, yaml.MappingNode):
            value = self._mapping(node)
        else:
            value = [self._value(item) for item in node.value]
        self._known[id(node)] = result = Placed(value, self._place(node))
        return result

    def _check_tag(self, node: yaml.Node) -> None:
        if node.tag not in _KNOWN:
            tag = shown(node.tag.replace(_TAG, "!!")).strip("'")
            raise self._problem(node, f"the tag {tag} means nothing in a spec; remove it")

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Placed]:
        mapping: dict[str, Placed] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in mapping:
                raise self._problem(key_node, f"the key {shown(key)} stands here a second time; keep one")
            mapping[key] = Placed(self._value(value_node).value, self._place(key_node))
        return mapping

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            kind = "mapping" if isinstance(node, yaml.MappingNode) else "list"
            raise self._problem(node, f"expected a name as the key, found a {kind}")
        if node.tag == f"{_TAG}merge":
            raise self._problem(node, "merge keys (`<<`) are not read; write the keys out, or use `extends`")
        self._check_tag(node)
        try:
            return whole(node.value)
        except ValueError as problem:
            raise self._problem(node, f"{problem}: {shown(node.value)}") from None

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return _construct(node.tag, node.value)
        except ValueError as problem:
            raise self._problem(node, f"{problem}, found {shown(node.value)}") from None

    def _problem(self, node: yaml.Node, message: str) -> UserError:
        return self.error(f"{self._place(node)}: {message}")

    def _place(self, node: yaml.Node) -> str:
        return f"{self.source}:{node.start_mark.line + 1}" if self.lines else self.source
