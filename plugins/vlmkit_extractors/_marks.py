"""An answer without what surrounds its words: reasoning, end tokens, Markdown, blanks."""

from __future__ import annotations

import re

__all__ = ["unmarked"]

_FOLDED = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | dict.fromkeys("*`\u200b\u200c\u200d\u2060\ufeff", "")
    | dict.fromkeys("_\t\v\f\u00a0\u3000", " ")
    | {"\r": "\n", "\u2028": "\n", "\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u3002": "."}
)
_TOKEN = re.compile(r"</?s>|<\|\w{1,40}\|>|<eos>|<pad>|<end_of_turn>")
_ANSWER = re.compile(r"<answer>([^<]*)</answer>")
_HEADING = re.compile(r"^[ >]*#+ *", re.MULTILINE)
_BLANKS = re.compile(r"  +")
_LINES = re.compile(r" ?\n[ \n]*")


def unmarked(answer: str) -> str:
    """Return the answer behind its reasoning (`<think>…</think>`), or within `<answer>`, without end tokens, Markdown
    and full stops at its ends. Lines are kept, full-width characters and curly quotes become plain ones. Empty where
    the reasoning has no end."""
    _, closed, text = answer.rpartition("</think>")
    if not closed and "<think>" in answer:
        return ""
    inside = _ANSWER.findall(text)
    text = _TOKEN.sub(" ", inside[0] if len(inside) == 1 else text).translate(_FOLDED).strip(" .\n")
    text = _LINES.sub("\n", _BLANKS.sub(" ", _HEADING.sub("", text)))
    return text.strip(" .\n")
