"""Mutations of plain data: type confusion, absurd numbers, nesting, odd text, moved and lost parts."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import strategies as st

__all__ = ["ODD", "Pool", "edits", "mutate", "to_json", "to_yaml"]

Path = tuple[Any, ...]
Pool = dict[str, list[Any]]
"""Values that other examples have under a key."""


class Raw(str):
    """What stands in the file as it is: Python writes neither endless digits nor brackets."""

    def __deepcopy__(self, memo: object) -> Raw:
        return self


def _nested(levels: int, kind: str) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value}
    return value


NUMBERS: list[Any] = [0, -1, 1, 2, 3, 7, 16, 255, 0.5, 1.5, -0.0, 1e-300, 1e308, 2**31, 2**32, 2**63, -(2**63), 10**9]
NUMBERS += [10**30, 10**400, float("nan"), float("inf"), -float("inf"), Raw("7" * 5000)]
TEXTS: list[Any] = ["", " ", "x", "a.b", "²", "\uff11", "null", "1e5", "010", "1:30", "0x1F", "yes"]
TEXTS += ["\0", "\ud800", "\u2028"]
TEXTS += ["é" * 300, "x" * 100_000, "../../x", "/dev/null", "/dev/zero", "~nobody/x", "~", "/", ".", "a\0b", "%s", "\n"]
TEXTS += ["{video}{ext}", "<video>", "<image>", "{question}", "{{ '{' }}", "{% for a in b %}", "!!x"]
TEXTS += ["*a", "&a", "-1", "[]"]
OTHERS: list[Any] = [None, True, False, [], {}, [[]], {"": ""}, {"type": "x"}, {"type": None}, [None], [1, "a", None]]
OTHERS += [_nested(40, "list"), _nested(40, "dict"), _nested(300, "list"), Raw("[" * 100_000 + "]" * 100_000)]
ODD: list[Any] = [*OTHERS[:4], *NUMBERS, *TEXTS, *OTHERS[4:]]
_KEYS = ["", "x", "type", "name", "path", "0", "²", "a.b", "extends", "\ud800", "__class__", "self", "id"]
_KINDS = ("other", "small", "odd", "delete", "rename", "add", "twice", "swap", "wrap", "retype", "scale")


def edits(near: int, far: int) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    """What `mutate` does: `near` keeps to what may well be valid, `far` does not."""
    kind = st.sampled_from(_KINDS[:2] * near + _KINDS[2:] * far) if far else st.sampled_from(_KINDS[:2])
    return st.lists(st.tuples(kind, st.integers(0, 400), st.integers(0, 400)), min_size=0, max_size=4)


def mutate(data: Any, changes: list[tuple[str, int, int]], pool: Pool) -> Any:
    """A changed copy."""
    data = [copy.deepcopy(data)]  # so that the root has a parent too
    for kind, where, which in changes:
        paths = [path for path in _paths(data[0]) if kind not in ("other", "small") or _suits(kind, data, path, pool)]
        if paths:
            _CHANGES[kind](data, (0, *paths[where % len(paths)]), which, pool)
    return data[0]


def _paths(value: Any, path: Path = (), levels: int = 30) -> Iterator[Path]:
    yield path
    if not levels:
        return
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items)[:60]:
        yield from _paths(item, (*path, key), levels - 1)


def _suits(kind: str, data: list[Any], path: Path, pool: Pool) -> bool:
    if kind == "other":
        return bool(path) and len(pool.get(_key(path), ())) > 1
    value = _get(data, (0, *path))
    return isinstance(value, int | float)


def _key(path: Path) -> str:
    """As a pool has it: the key, and the one above it."""
    named = [key for key in path if isinstance(key, str)]
    above, own = ["", "", *named][-2:]
    return f"{above}.{own}" if path[-1:] == (own,) else own


def _get(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data


def _set(data: Any, path: Path, value: Any) -> None:
    _get(data, path[:-1])[path[-1]] = copy.deepcopy(value)


def _other(data: Any, path: Path, which: int, pool: Pool) -> None:
    choices = pool[_key(path[1:])]
    _set(data, path, choices[which % len(choices)])


def _small(data: Any, path: Path, which: int, pool: Pool) -> None:
    old = _get(data, path)
    if isinstance(old, bool):
        _set(data, path, not old)
    elif isinstance(old, float):
        _set(data, path, [0.0, 0.5, 1.0, 1e-3, 2.0, old / 2, old * 2][which % 7])
    else:
        _set(data, path, [old + 1, max(old - 1, 1), old * 2, max(old // 2, 1), which % 17, which % 65][which % 6])


def _odd(data: Any, path: Path, which: int, pool: Pool) -> None:
    _set(data, path, ODD[which % len(ODD)])


def _delete(data: Any, path: Path, which: int, pool: Pool) -> None:
    if len(path) > 1:
        del _get(data, path[:-1])[path[-1]]


def _rename(data: Any, path: Path, which: int, pool: Pool) -> None:
    parent = _get(data, path[:-1])
    if isinstance(parent, dict):
        keys = [*_KEYS, f"{path[-1]}s", str(path[-1])[:-1], str(path[-1]).upper()]
        parent[keys[which % len(keys)]] = parent.pop(path[-1])


def _add(data: Any, path: Path, which: int, pool: Pool) -> None:
    target = _get(data, path)
    if isinstance(target, dict):
        beside = [key for key in pool if key.startswith(f"{path[-1]}.")]
        keys = [*_KEYS, *beside, *pool]
        key = keys[which % len(keys)]
        values = pool.get(key, ODD)
        target[key.rpartition(".")[2] if key in pool else key] = copy.deepcopy(values[which % len(values)])
    elif isinstance(target, list):
        target.insert(which % (len(target) + 1), copy.deepcopy(ODD[which % len(ODD)]))


def _twice(data: Any, path: Path, which: int, pool: Pool) -> None:
    parent = _get(data, path[:-1])
    if isinstance(parent, list):
        parent.insert(path[-1], copy.deepcopy(parent[path[-1]]))
    else:
        parent[f"{path[-1]}2"] = copy.deepcopy(parent[path[-1]])


def _swap(data: Any, path: Path, which: int, pool: Pool) -> None:
    paths = [(0, *other) for other in _paths(data[0]) if other]
    if paths:
        other = paths[which % len(paths)]
        value = copy.deepcopy(_get(data, other))
        _set(data, path, value)


def _wrap(data: Any, path: Path, which: int, pool: Pool) -> None:
    value = _get(data, path)
    _set(data, path, [[value], {"type": value}, {"a": value}, [value, value], [[value]]][which % 5])


def _retype(data: Any, path: Path, which: int, pool: Pool) -> None:
    value = _get(data, path)
    number = isinstance(value, int | float)
    text = str(value)[:1000] if number or isinstance(value, str) else "x"
    _set(data, path, [text, [text], bool(value), float(value) if number and abs(value) < 1e300 else 1.0][which % 4])


def _scale(data: Any, path: Path, which: int, pool: Pool) -> None:
    value = _get(data, path)
    if isinstance(value, int | float) and abs(value) < 1e30:
        _set(data, path, value * [0, -1, 10, 1000, 10**6, 0.5, 1.1, 10**20][which % 8])


_CHANGES = {"other": _other, "small": _small, "odd": _odd, "delete": _delete, "rename": _rename, "add": _add}
_CHANGES |= {"twice": _twice, "swap": _swap, "wrap": _wrap, "retype": _retype, "scale": _scale}


def to_json(value: Any) -> str:
    """As Python writes it, with all that is raw put in."""
    raw: list[str] = []
    text = json.dumps(marked(value, raw))
    return unmarked(text, raw)


def to_yaml(value: Any) -> str:
    """As PyYAML writes it, likewise."""
    raw: list[str] = []
    text = yaml.safe_dump(marked(value, raw), sort_keys=False, allow_unicode=True)
    return unmarked(text, raw)


def marked(value: Any, raw: list[str]) -> Any:
    """With words in place of what is raw."""
    if isinstance(value, Raw):
        raw.append(value)
        return f"RAW{len(raw) - 1}RAW"
    if isinstance(value, dict):
        return {key: marked(item, raw) for key, item in value.items()}
    return [marked(item, raw) for item in value] if isinstance(value, list) else value


def unmarked(text: str, raw: list[str]) -> str:
    """With what is raw in place of the words."""
    for number, value in enumerate(raw):
        text = text.replace(f'"RAW{number}RAW"', value).replace(f"RAW{number}RAW", value)
    return text
