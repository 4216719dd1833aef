"""Numbers of public systems, made again from their own answers, which lie in ../shared."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from vlmkit.answers.published import read_published
from vlmkit.answers.reproduction import Reproduced, reproduce

LISTS = {published.title: published for published in read_published()}
SYSTEMS = [
    (title, name)
    for title, published in LISTS.items()
    for name in (
        *(system.name for system in published.systems),
        *(f"{pair.first} against {pair.second}" for pair in published.pairs),
        *(counts.name for counts in published.counts),
    )
]


@cache
def _reproduced(title: str, root: Path) -> tuple[Reproduced, ...]:
    return tuple(reproduce(LISTS[title], root))


@pytest.mark.parametrize(("title", "system"), SYSTEMS)
def test_every_printed_digit(shared: Path, title: str, system: str) -> None:
    numbers = [one for one in _reproduced(title, shared) if one.system == system]
    assert numbers
    assert {one.name: round(one.ours, 4) for one in numbers if not one.agrees} == {}


def test_the_page_is_the_one_that_is_made_now(shared: Path, root: Path) -> None:
    from vlmkit.answers.published_page import published_page

    made = published_page([(published, _reproduced(title, shared)) for title, published in LISTS.items()])
    assert (root / "docs" / "published.md").read_text() == made, "run `make published`"
