"""Mutations of text and of bytes, whatever they stand for."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["SNIPPETS", "byte_edits", "damage", "edit_text", "text_edits"]

_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
_BOMB += "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
SNIPPETS = [
    " ", "\n", "\t", "\r", "\r\n", "\0", "\x85", "\u2028", "\ufeff", "é", "\U0001f600", ":", ": ", "- ", "#", '"', "'",
    "{", "}", "[", "]", "{}", "[]", ",", "&a ", "*a", "!!str ", "!!python/object:os.system ", "!!binary ", "!!int ",
    "!!timestamp ", "!x ", "<<: ", "? ", "? [a]: b\n", "| ", "> ", "---\n", "...\n", "%YAML 9.9\n", "%TAG ! x\n",
    "null", "~", "yes", "0o17", "0x1F", "1_000", "1:30", "1e5", ".nan", ".inf", "-", "07", "\\", '"\\ud800"', "NaN",
    _BOMB, "[" * 3000, "{a: " * 300, "7" * 5000, "x" * 5000, "- " * 300, "extends: spec.yaml\n", "\\u0000", "²",
]  # fmt: skip
_NUMBERS = [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x7FFF, 8, 0x00010000, 0x10000000]

Edit = tuple[str, int, int, int]


def text_edits(most: int) -> st.SearchStrategy[list[Edit]]:
    """What `edit_text` does."""
    kinds = st.sampled_from(["insert", "insert", "delete", "replace", "line", "cut", "move", "indent"])
    edit = st.tuples(kinds, st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 40))
    return st.lists(edit, min_size=1, max_size=most)


def edit_text(text: str, edits: list[Edit]) -> str:
    """The changed text; places are parts of ten thousand."""
    for kind, where, which, length in edits:
        place = len(text) * where // 10_000
        snippet = SNIPPETS[which % len(SNIPPETS)]
        if kind == "insert":
            text = text[:place] + snippet + text[place:]
        elif kind == "replace":
            text = text[:place] + snippet + text[place + length :]
        elif kind == "delete":
            text = text[:place] + text[place + length :]
        elif kind == "cut":
            text = text[:place]
        else:
            text = _lines(text, kind, where, which)
    return text


def _lines(text: str, kind: str, where: int, which: int) -> str:
    lines = text.split("\n")
    here, there = len(lines) * where // 10_000, len(lines) * which // 10_000
    if kind == "line":
        lines.insert(there, lines[here])
    elif kind == "move":
        lines[here], lines[there] = lines[there], lines[here]
    else:
        lines[here] = " " * (which % 7) + lines[here].lstrip()
    return "\n".join(lines)


def byte_edits(most: int) -> st.SearchStrategy[list[Edit]]:
    """What `damage` does."""
    kinds = st.sampled_from(["bit", "byte", "zero", "cut", "drop", "twice", "swap", "number", "noise", "append"])
    edit = st.tuples(kinds, st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 255))
    return st.lists(edit, min_size=1, max_size=most)


def damage(content: bytes, edits: list[Edit], places: tuple[int, ...] = ()) -> bytes:
    """The damaged file; half of the edits go to one of the `places`, if there are any, or just behind."""
    data = bytearray(content)
    for kind, where, which, value in edits:
        at = places[where % len(places)] + value % 24 if places and value % 2 else len(data) * where // 10_000
        at = min(at, max(len(data) - 1, 0))
        length = (1, 2, 4, 16, 100, 512, 4096, 65_536)[which % 8]
        if kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "twice":
            data[at:at] = data[at : at + length]
        elif kind == "append":
            data += bytes(value for _ in range(length))
        elif not data:
            continue
        elif kind == "bit":
            data[at] ^= 1 << which % 8
        elif kind == "byte":
            data[at] = value
        else:
            _overwrite(data, kind, at, which, value, length)
    return bytes(data)


def _overwrite(data: bytearray, kind: str, at: int, which: int, value: int, length: int) -> None:
    end = min(at + length, len(data))
    if kind == "zero":
        data[at:end] = bytes(end - at)
    elif kind == "noise":
        data[at:end] = bytes((value * (n + 3) * 2654435761 >> 8) & 255 for n in range(end - at))
    elif kind == "number":
        data[at : at + 4] = _NUMBERS[which % len(_NUMBERS)].to_bytes(4, ("big", "little")[value % 2])
    else:
        other = len(data) * which // 10_000
        one, two = data[at : at + length], data[other : other + length]
        if at + length <= other:
            data[at : at + length], data[other : other + len(two)] = two, one
