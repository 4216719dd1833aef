"""Bad samples: written once, counted once, limited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmkit.api import DataError
from vlmkit.data import BadSamples


def _lines(path: Path) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "checksum"} for line in lines]


def test_each_bad_sample_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "run" / "bad_samples.jsonl"
    bad = BadSamples(path, 0.5, "align")
    for _ in range(3):
        bad.add_readable("a")
        bad.add_unreadable("b", "b.mp4", "broken")
        bad.add_unreadable("c", "c.mp4", "empty")
    assert (bad.num_bad, bad.num_seen) == (2, 3)
    assert "b" in bad
    assert "a" not in bad
    assert _lines(path) == [
        {"id": "b", "video": "b.mp4", "reason": "broken", "where": "align"},
        {"id": "c", "video": "c.mp4", "reason": "empty", "where": "align"},
    ]


def test_a_continued_run_counts_on(tmp_path: Path) -> None:
    path = tmp_path / "bad_samples.jsonl"
    BadSamples(path, 0.5, "align").add_unreadable("b", "b.mp4", "broken")
    BadSamples(path, 0.5, "msvd-qa").add_unreadable("q", "q.mp4", "broken")
    with path.open("a") as file:
        file.write('{"id": "half a li')
    again = BadSamples(path, 0.5, "align")
    assert (again.num_bad, again.num_seen) == (1, 0)
    again.add_unreadable("b", "b.mp4", "broken")
    again.add_unreadable("c", "c.mp4", "broken")
    assert (again.num_bad, again.num_seen) == (2, 2)
    assert [line["id"] for line in _lines(path)] == ["b", "q", "c"]


def test_too_many_stop_the_run(tmp_path: Path) -> None:
    path = tmp_path / "bad_samples.jsonl"
    bad = BadSamples(path, 0.02, "align")
    bad.add_unreadable("0", "0.mp4", "broken")
    bad.add_unreadable("1", "1.mp4", "broken")  # 2 of 2, but a long run may follow
    with pytest.raises(DataError) as error:
        bad.add_unreadable("2", "2.mp4", "no moov atom")
    for part in (
        "align: 3 of 3",
        "max_bad_fraction = 0.02",
        "  0 (0.mp4): broken\n",
        "  2 (2.mp4): no moov atom\n",
        str(path),
    ):
        assert part in str(error.value)


def test_the_limit_moves_with_the_samples_seen(tmp_path: Path) -> None:
    bad = BadSamples(tmp_path / "bad_samples.jsonl", 0.02, "align")
    for i in range(400):
        bad.add_readable(str(i))
    for i in range(8):
        bad.add_unreadable(f"bad {i}", None, "broken")  # 8 of 408 is below 2 %
    with pytest.raises(DataError, match="9 of 409"):
        bad.add_unreadable("bad 8", None, "broken")


def test_the_end_of_a_short_run_counts_truly(tmp_path: Path) -> None:
    bad = BadSamples(tmp_path / "bad_samples.jsonl", 0.1, "align")
    for i in range(9):
        bad.add_readable(str(i))
    bad.add_unreadable("x", "x.mp4", "broken")
    bad.finish()
    bad.add_unreadable("y", "y.mp4", "broken")
    with pytest.raises(DataError, match="2 of 11"):
        bad.finish()


def test_what_an_earlier_process_met_at_the_same_places_counts(tmp_path: Path) -> None:
    first = BadSamples(tmp_path / "bad_samples.jsonl", 0.01, "align")
    first.add_unreadable("x", "x.mp4", "broken")
    again = BadSamples(tmp_path / "bad_samples.jsonl", 0.01, "align", " and start anew")
    for sample in ("a", "x", "b"):
        again.add_earlier(sample)
    with pytest.raises(DataError, match=r"1 of 3 .*\n.*\n.*remove these files and start anew, or raise"):
        again.finish()


def test_nothing_bad_is_allowed_with_zero(tmp_path: Path) -> None:
    bad = BadSamples(tmp_path / "bad_samples.jsonl", 0.0, "align")
    bad.add_readable("a")
    bad.finish()
    with pytest.raises(DataError, match="1 of 2"):
        bad.add_unreadable("b", "b.mp4", "broken")


def test_a_continued_run_is_not_stopped_by_what_an_earlier_one_met(tmp_path: Path) -> None:
    path = tmp_path / "bad_samples.jsonl"
    first = BadSamples(path, 0.02, "align")
    for i in range(1000):
        first.add_readable(str(i))
    for i in range(15):
        first.add_unreadable(f"bad {i}", None, "broken")
    again = BadSamples(path, 0.02, "align")
    again.add_unreadable("bad 15", None, "broken")
    assert (again.num_bad, again.num_seen) == (16, 1)
