"""Answers on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmkit.errors import RunError
from vlmkit.evaluation.journal import Journal

ASKED = {"video": "v", "question": "q?", "answer": "a", "type": "t", "asked": "0"}


def lines(*keys: str) -> list[dict[str, str]]:
    return [{"id": key, **ASKED, "prediction": f"Grüße, {key}"} for key in keys]


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    Journal(tmp_path / "eval" / "j.jsonl").append(lines("a", "b"))
    journal = Journal(tmp_path / "eval" / "j.jsonl")
    assert "a" in journal
    assert "c" not in journal
    assert journal["b"] == lines("b")[0]
    assert journal.entries() == lines("a", "b")


def test_a_torn_line_is_cut_off_wherever_it_tears(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    Journal(path).append(lines("a", "b"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        journal = Journal(path)
        assert journal.entries() == lines("a")
        journal.append(lines("b"))
        assert path.read_bytes() == whole


def test_the_last_line_of_an_id_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    for said in ("old", "new"):
        journal.append([{"id": "a", **ASKED, "prediction": said}])
    assert Journal(journal.path)["a"]["prediction"] == "new"


def test_compact_leaves_these_lines_in_this_order_and_brings_them_up_to_date(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append(lines("a", "b", "c", "a"))
    journal.compact([{"id": "c", "answer": "new"}, {"id": "a"}])
    c, a = lines("c", "a")
    assert journal.entries() == [c | {"answer": "new"}, a]
    assert Journal(journal.path).entries() == journal.entries()


def test_a_line_that_is_no_answer_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append(lines("a"))
    with journal.path.open("a") as file:
        file.write('{"prediction": "left"}\n')
    with pytest.raises(RunError, match=r"j\.jsonl, line 2: expected the key id, which is missing; remove the line"):
        Journal(journal.path)
