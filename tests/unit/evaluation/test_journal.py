"""Answers on disk."""

from __future__ import annotations

from pathlib import Path

from vlmkit.evaluation.journal import Journal


def lines(*keys: str) -> list[dict[str, str]]:
    return [{"id": key, "prediction": f"Grüße, {key}"} for key in keys]


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
    journal.append([{"id": "a", "prediction": "old"}])
    journal.append([{"id": "a", "prediction": "new"}])
    assert Journal(journal.path)["a"]["prediction"] == "new"


def test_compact_leaves_these_lines_in_this_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append(lines("a", "b", "c", "a"))
    journal.compact(["c", "a"])
    assert journal.entries() == lines("c", "a")
    assert Journal(journal.path).entries() == lines("c", "a")
