"""Markup that is escaped by construction: a string becomes part of the page as text unless it is `Html`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["Html", "el", "join", "table"]

_VOID = frozenset({"br", "img", "meta"})


class Html(str):
    """Finished markup. Any other string is escaped when it becomes part of an element."""

    __slots__ = ()


def join(parts: Iterable[str]) -> Html:
    """The parts one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part, quote=False) for part in parts))


def el(tag: str, *children: str, **attributes: str | None) -> Html:
    """One element. `class_` stands for class, `aria_label` for aria-label; an attribute that is None is left out."""
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    text = "".join(f' {names[name]}="{escape(value)}"' for name, value in attributes.items() if value is not None)
    return Html(f"<{tag}{text}>" if tag in _VOID else f"<{tag}{text}>{join(children)}</{tag}>")


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> Html:
    """A table whose first column names its rows; the columns of the indices `numeric` are set flush right."""

    def align(column: int) -> str | None:
        return "n" if column in numeric else None

    header = el("tr", *(el("th", text, scope="col", class_=align(i)) for i, text in enumerate(head)))
    body = [
        el("tr", el("th", row[0], scope="row"), *(el("td", text, class_=align(i)) for i, text in enumerate(row[1:], 1)))
        for row in rows
    ]
    inner = el("table", el("caption", caption), el("thead", header), el("tbody", *body))
    return el("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)
