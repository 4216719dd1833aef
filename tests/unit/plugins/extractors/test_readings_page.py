"""docs/design/readings.md against what the extractors do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit.api import Document, Reading

OPTIONS = ("moving right", "moving down", "moving left", "moving up")
QUESTION = Document("q", "v", "Where does it move?", OPTIONS[2], options=OPTIONS, correct=2)


@pytest.fixture(scope="module")
def tables(root: Path) -> list[list[list[str]]]:
    """The cells of every table of the page, the head first."""
    page = (root / "docs" / "design" / "readings.md").read_text(encoding="utf-8")
    found = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    return [[[cell.strip() for cell in row[1:-1].split("|")] for row in table.splitlines()] for table in found]


def _answers(cell: str) -> list[str]:
    return [answer for answer in re.findall("`([^`]*)`", cell) if answer != "so"]


def test_published_rules(
    tables: list[list[list[str]]], read: Callable[..., Reading], short: Callable[[Reading], str]
) -> None:
    head, _, *rows = tables[0]
    assert len(rows) >= 10
    for answer, *cells in rows:
        for (name,), cell in zip(map(_answers, head[1:]), cells, strict=True):
            assert short(read(name, QUESTION, answer.strip("`").replace("(empty)", ""))) == cell, (name, answer)


@pytest.mark.parametrize(("number", "head", "read_as"), [(1, "read", "C"), (2, "unreadable", "unreadable")])
def test_strict(
    tables: list[list[list[str]]],
    read: Callable[..., Reading],
    short: Callable[[Reading], str],
    number: int,
    head: str,
    read_as: str,
) -> None:
    (name, _), _, *rows = tables[number]
    assert name == head
    answers = [answer for _, cell in rows for answer in _answers(cell)]
    assert len(answers) >= 15
    assert {answer: short(read("strict", QUESTION, answer)) for answer in answers} == dict.fromkeys(answers, read_as)
