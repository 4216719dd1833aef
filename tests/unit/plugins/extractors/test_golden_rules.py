"""Eleven published rules on 32 answers, as the tools' own code reads them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit.api import Document, Reading

COLUMNS = (
    "mvbench",
    "vlmevalkit-mvbench",
    "lmms-eval-mvbench",
    "lmms-eval-mcq",
    "video-mme",
    "vlmevalkit-video-mme",
    "mlvu",
    "tempcompass-multi-choice",
    "lmms-eval-perception-test",
    "lmms-eval-next-qa",
    "lmms-eval-egoschema",
)
OPTIONS = ("moving right", "moving down", "moving left", "moving up")


def _cell(reading: Reading, cell: str) -> str:
    """The table's word for a reading: its columns of VLMEvalKit show the rule without the text match behind it."""
    if reading.why.startswith("fallback") or (cell == "fallback" and reading.why.startswith("no capital")):
        return "wrong" if cell == "wrong" else "fallback"
    if cell in ("right", "wrong") and reading.state in ("read", "unreadable"):
        return "right" if reading.correct else "wrong"
    if reading.state == "read":
        assert reading.choice is not None
        return "ABCD"[reading.choice]
    return {"unreadable": "-"}.get(reading.state, reading.state)


@pytest.mark.parametrize("number", range(len(COLUMNS)), ids=COLUMNS)
def test_readings_are_those_of_the_table(read: Callable[..., Reading], shared: Path, number: int) -> None:
    table = (shared / "golden" / "mcq_rules.tsv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.reader(table[1:], delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(rows) == 32
    document = Document("q", "v", "Where does it move?", OPTIONS[2], options=OPTIONS, correct=2)
    for answer, *cells in rows:
        assert len(cells) == len(COLUMNS)
        reading = read(COLUMNS[number], document, json.loads(answer))
        assert _cell(reading, cells[number]) == cells[number], (answer, reading)
