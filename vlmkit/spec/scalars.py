"""The core schema of YAML 1.2 (section 10.3 of its specification): what a scalar without a tag stands for.

PyYAML follows YAML 1.1, in which `010` is 8, `1:30` is 90, `on` is true and `1e5` is text.
"""

from __future__ import annotations

import math
import re

__all__ = ["RESOLVERS", "TAG", "Scalar", "construct", "fits", "whole"]

Scalar = bool | int | float | str | None
TAG = "tag:yaml.org,2002:"
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
RESOLVERS = {None: [(TAG + name, form) for name, form in _FORMS.items()]}
"""As PyYAML wants it: for every first letter, which tag a plain scalar has; the first match counts."""

_BASES = {"0o": 8, "0x": 16}
DIGITS = 300
"""Digits of a whole number: fewer than Python refuses to write, and few enough for a float."""


def construct(tag: str, text: str) -> Scalar:
    """Return the value of a scalar. A ValueError, with what was expected, where the text is none of the tag's type."""
    name = tag.removeprefix(TAG)
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
        number = int(digits, base) if len(text) <= 2 * DIGITS else 10**DIGITS
        if not fits(number):
            raise ValueError(f"expected a whole number of at most {DIGITS} digits")
        return number
    real = float(text) if text[-1] in "0123456789." else math.inf  # .inf and .nan are the ones that end in letters
    if not math.isfinite(real):
        raise ValueError("expected a finite number (text stands in quotes)")
    return real


def fits(number: int) -> bool:
    """Return whether a whole number has at most `DIGITS` digits."""
    return abs(number) < 10**DIGITS


def whole(text: str) -> str:
    """Return the text, in which escapes of half characters (JSON's way to write emoji) are joined to whole ones.

    A ValueError where one of two halves is missing.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ValueError("expected whole characters, one here is only half of one") from None
    return text
