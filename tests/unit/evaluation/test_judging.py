"""The memory of judges."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from vlmkit.api import Judge, Unscored, Verdict
from vlmkit.errors import RunError
from vlmkit.evaluation.judging import VerdictStore


class Moody(Judge):
    """Fails as often as it is told, then finds everything right; counts its calls."""

    def __init__(self, failures: int = 0, version: str = "1") -> None:
        self.failures, self.version, self.calls = failures, version, 0

    def judge(self, question: str, reference: str, prediction: str) -> Verdict | Unscored:
        self.calls += 1
        return Unscored("asleep") if self.calls <= self.failures else Verdict(True, 4.5, "yes", 0.25)


ASKED = ("who?", "man", "a man")


def test_a_verdict_is_asked_for_once(tmp_path: Path) -> None:
    judge = Moody()
    for _ in range(2):
        with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
            assert store.judge("moody", judge, *ASKED) == Verdict(True, 4.5, "yes", 0.25)
    assert judge.calls == 1


def test_what_differs_is_judged_anew(tmp_path: Path) -> None:
    judge, newer = Moody(), Moody(version="2")
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        store.judge("moody", judge, *ASKED)
        for asked in (("what?", "man", "a man"), ("who?", "cat", "a man"), ("who?", "man", "a cat")):
            store.judge("moody", judge, *asked)
        store.judge("other", judge, *ASKED)
        store.judge("moody", newer, *ASKED)
    assert judge.calls == 5
    assert newer.calls == 1


def test_a_failure_is_no_verdict_and_is_asked_again(tmp_path: Path) -> None:
    judge = Moody(failures=1)
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        assert store.find("moody", "1", *ASKED) is None
        assert store.judge("moody", judge, *ASKED) == Unscored("asleep")
        assert store.find("moody", "1", *ASKED) == Unscored("asleep")
        assert store.judge("moody", judge, *ASKED) == Verdict(True, 4.5, "yes", 0.25)
        assert store.find("moody", "1", *ASKED) == Verdict(True, 4.5, "yes", 0.25)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_of_something_else_is_a_clear_error(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "v.sqlite"
    for make in (lambda: path.write_text("no verdicts " * 99), lambda: (path.unlink(), path.mkdir())):
        make()
        with (
            pytest.raises(RunError, match=r"v\.sqlite: expected (the verdicts of a judge|a file), found "),
            closing(VerdictStore(path, read_only=read_only)),
        ):
            pass


@pytest.mark.parametrize(
    "values",
    [
        "correct = 'yes'",
        "correct = 2",
        "correct = NULL",
        "score = 'high'",
        "score = NULL",
        "score = 9e999",
        "raw = NULL",
        "raw = x'ff'",
        "cost = 'dear'",
        "unscored = x'ff', correct = NULL",
    ],
)
def test_a_damaged_verdict_is_none(tmp_path: Path, values: str) -> None:
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        store.judge("moody", Moody(), *ASKED)
        store._ask(f"UPDATE verdicts SET {values}")
        with pytest.raises(RunError, match=r"v\.sqlite: expected the verdict of a judge \(.*\), found .*; remove"):
            store.find("moody", "1", *ASKED)


@pytest.mark.parametrize("values", ["correct = 0", "score = 4.0", "raw = 'Yes'", "cost = NULL", "prediction = 'a mam'"])
def test_a_verdict_that_was_changed_into_another_one_is_none(tmp_path: Path, values: str) -> None:
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        store.judge("moody", Moody(), *ASKED)
        store._ask(f"UPDATE verdicts SET {values}")
        with pytest.raises(
            RunError, match=r"v\.sqlite: damaged: the checksum of the verdict about 'a man' is wrong; rem"
        ):
            store.find("moody", "1", *ASKED)


def test_every_damaged_byte_of_the_file_is_seen_or_changes_nothing(tmp_path: Path) -> None:
    judged = [(f"who is {number}?", "man", "a man") for number in range(30)]
    path, right = tmp_path / "v.sqlite", Verdict(True, 4.5, "yes", 0.25)
    with closing(VerdictStore(path)) as store:
        for asked in judged:
            store.judge("moody", Moody(), *asked)
    whole = path.read_bytes()
    seen = 0
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            with closing(VerdictStore(path, read_only=True)) as store:
                found = [store.find("moody", "1", *asked) for asked in judged]
        except RunError:
            seen += 1
        else:
            assert all(verdict in (right, None) for verdict in found), place  # what is not found is judged again
    assert seen > 50


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        store._ask("PRAGMA max_page_count = 4")

        def fill() -> None:
            for number in range(1000):
                store.judge("moody", Moody(), f"{number}" * 999, "a", "b")

        with pytest.raises(RunError, match=r"v\.sqlite: cannot be written: .* full; make room and run the command"):
            fill()


def test_reading_alone_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "of a judge?" / "v.sqlite"
    with closing(VerdictStore(path)) as store:
        store.judge("moody", Moody(), *ASKED)
        with closing(VerdictStore(path, read_only=True)) as reader:
            assert reader.find("moody", "1", *ASKED) == Verdict(True, 4.5, "yes", 0.25), "while it is written"
    with closing(VerdictStore(path, read_only=True)) as store:
        assert store.find("moody", "1", *ASKED) == Verdict(True, 4.5, "yes", 0.25)
        with pytest.raises(RunError, match="readonly database"):
            store.judge("moody", Moody(version="2"), *ASKED)
    assert [file.name for file in path.parent.iterdir()] == ["v.sqlite"]
    shutil.rmtree(path.parent)
    with closing(VerdictStore(path, read_only=True)) as store:
        assert store.find("moody", "1", *ASKED) is None
    assert not path.parent.exists()
