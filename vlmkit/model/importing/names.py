"""From our names back to the published ones."""

from __future__ import annotations

import re
from itertools import count

from vlmkit.api.published import PublishedFormat
from vlmkit.model.published import fate

__all__ = ["published_name"]

_OPTIONAL = re.compile(r"\(\?:([^()|]*)\)\?")
_GROUP = re.compile(r"\((?!\?)(?:[^()]|\(\?:[^()]*\))*\)")
"""What captures, with groups that do not capture inside."""


def published_name(form: PublishedFormat, ours: str) -> str:
    """The name under which a checkpoint in the format holds `ours`, with every optional prefix; empty where its rule
    cannot be read backwards."""
    for pattern, template in form.rename:
        literals = re.split(r"\\\d", template)
        values = re.fullmatch("(.+)".join(re.escape(literal) for literal in literals), ours)
        if values is None:
            continue
        numbers = [int(number) for number in re.findall(r"\\(\d)", template)]
        name = _fill(pattern, dict(zip(numbers, values.groups(), strict=True)))
        if fate(form, name).name == ours:
            return name
    return ""


def _fill(pattern: str, values: dict[int, str]) -> str:
    """The pattern with values for its groups; no name of the format where more than that is left to choose."""
    number = count(1)
    filled = _GROUP.sub(lambda group: values.get(next(number), group[0]), _OPTIONAL.sub(r"\1", pattern))
    return filled.replace(r"\.", ".").replace("[.]", ".")
