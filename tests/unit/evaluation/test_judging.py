"""The memory of judges."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from xxhash import xxh3_128

from vlmkit.api import Judge, JudgePrompt, JudgeRequest, Unscored, Verdict
from vlmkit.errors import RunError
from vlmkit.evaluation.judging import VerdictStore


class Moody(Judge):
    """Fails as often as it is told, then finds everything right; counts its calls."""

    def __init__(self, failures: int = 0, version: str = "1") -> None:
        self.failures, self.version, self.calls = failures, version, 0

    def judge_one(self, request: JudgeRequest) -> Verdict | Unscored:
        self.calls += 1
        return Unscored("asleep") if self.calls <= self.failures else YES


ASKED = JudgeRequest("who?", ("man",), "a man")
PROMPT = JudgePrompt("p", "1", "{question} {answer}", "score")
DIFFERENT = (
    ASKED,
    replace(ASKED, question="what?"),
    replace(ASKED, references=("cat",)),
    replace(ASKED, references=("man", "boy")),
    replace(ASKED, references=()),
    replace(ASKED, answer="a cat"),
    replace(ASKED, options=("man", "cat")),
    replace(ASKED, prompt=PROMPT),
    replace(ASKED, prompt=replace(PROMPT, temperature=1.0)),
    replace(ASKED, other_question="where?"),
    replace(ASKED, other_answer="where?"),
    replace(ASKED, tags={"aspect": "order"}),
)
YES = Verdict(True, 4.5, "yes", 0.25)


def test_a_verdict_is_asked_for_once(tmp_path: Path) -> None:
    judge = Moody()
    for _ in range(2):
        with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
            assert store.judge_all("moody", judge, [ASKED]) == [YES]
    assert judge.calls == 1


def test_what_differs_is_judged_anew(tmp_path: Path) -> None:
    judge, newer = Moody(), Moody(version="2")
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        for _ in range(2):
            assert store.judge_all("moody", judge, DIFFERENT) == [YES] * len(DIFFERENT)
        store.judge_all("other", judge, [ASKED])
        store.judge_all("moody", newer, [ASKED])
    assert judge.calls == len(DIFFERENT) + 1
    assert newer.calls == 1


def test_the_same_is_asked_once(tmp_path: Path) -> None:
    judge = Moody()
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        assert store.unjudged("moody", "1", [ASKED, *DIFFERENT, ASKED]) == list(DIFFERENT)
        assert store.judge_all("moody", judge, [ASKED, DIFFERENT[1], ASKED]) == [YES] * 3
        assert store.unjudged("moody", "1", [ASKED, *DIFFERENT, ASKED]) == list(DIFFERENT[2:])
    assert judge.calls == 2


class Slow(Judge):
    """Tells its verdicts in the other order and is interrupted before the last."""

    version = "1"

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Verdict | Unscored]]:
        for index in reversed(range(1, len(requests))):
            yield index, Verdict(None, index / 4, model="m", input_tokens=7, output_tokens=2, seconds=0.5, cost=None)
        raise KeyboardInterrupt


def test_each_verdict_is_kept_as_soon_as_it_is_there(tmp_path: Path) -> None:
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store, pytest.raises(KeyboardInterrupt):
        store.judge_all("slow", Slow(), DIFFERENT)
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        assert store.unjudged("slow", "1", DIFFERENT) == [ASKED]
        found = store.find("slow", "1", DIFFERENT[2])
    assert found == Verdict(None, 0.5, "", None, "m", 7, 2, 0.5)


OLD = """
CREATE TABLE verdicts (judge TEXT, version TEXT, digest TEXT, question TEXT, reference TEXT, prediction TEXT,
    correct INTEGER, score REAL, raw TEXT, cost REAL, unscored TEXT, checksum TEXT,
    PRIMARY KEY (judge, version, digest))
"""


@pytest.mark.parametrize("read_only", [True, False])
def test_verdicts_of_earlier_versions_are_found(tmp_path: Path, read_only: bool) -> None:
    """Their files lack columns; row, digest and checksum are as those versions wrote them."""
    path = tmp_path / "v.sqlite"
    texts = ["who?", "man", "a man"]
    row = ["moody", "1", hashlib.sha256(json.dumps(texts).encode()).hexdigest(), *texts, 1, 4.5, "yes", 0.25, None]
    kept = [float(value) if isinstance(value, int | float) else value for value in row]
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute(OLD)
        old.execute(
            f"INSERT INTO verdicts VALUES ({','.join('?' * 12)})", (*row, xxh3_128(repr(kept).encode()).hexdigest())
        )
    before = path.read_bytes()
    with closing(VerdictStore(path, read_only=read_only)) as store:
        assert store.find("moody", "1", ASKED) == YES
        assert store.unjudged("moody", "1", DIFFERENT) == list(DIFFERENT[1:])
        if not read_only:
            store.judge_all("moody", Moody(), DIFFERENT)
            assert store.find("moody", "1", DIFFERENT[-1]) == YES
    assert (path.read_bytes() == before) is read_only
    with closing(VerdictStore(path, read_only=True)) as store:
        assert store.find("moody", "1", ASKED) == YES


def test_a_failure_is_no_verdict_and_is_asked_again(tmp_path: Path) -> None:
    judge = Moody(failures=1)
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        assert store.find("moody", "1", ASKED) is None
        assert store.judge_all("moody", judge, [ASKED]) == [Unscored("asleep")]
        assert store.find("moody", "1", ASKED) == Unscored("asleep")
        assert store.judge_all("moody", judge, [ASKED]) == [YES]
        assert store.find("moody", "1", ASKED) == YES


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
        "correct = NULL, score = NULL",
        "score = 'high'",
        "model = x'ff'",
        "input_tokens = 'many'",
        "seconds = 9e999",
        "score = 9e999",
        "raw = NULL",
        "raw = x'ff'",
        "cost = 'dear'",
        "unscored = x'ff', correct = NULL",
    ],
)
def test_a_damaged_verdict_is_none(tmp_path: Path, values: str) -> None:
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        store.judge_all("moody", Moody(), [ASKED])
        store._ask(f"UPDATE verdicts SET {values}")
        with pytest.raises(RunError, match=r"v\.sqlite: expected the verdict of a judge \(.*\), found .*; remove"):
            store.find("moody", "1", ASKED)


@pytest.mark.parametrize(
    "values",
    ["correct = 0", "score = 4.0", "raw = 'Yes'", "cost = NULL", "prediction = 'a mam'", "model = 'm'", "score = NULL"],
)
def test_a_verdict_that_was_changed_into_another_one_is_none(tmp_path: Path, values: str) -> None:
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        store.judge_all("moody", Moody(), [ASKED])
        store._ask(f"UPDATE verdicts SET {values}")
        with pytest.raises(
            RunError, match=r"v\.sqlite: damaged: the checksum of the verdict about 'a man' is wrong; rem"
        ):
            store.find("moody", "1", ASKED)


def test_every_damaged_byte_of_the_file_is_seen_or_changes_nothing(tmp_path: Path) -> None:
    judged = [replace(ASKED, question=f"who is {number}?") for number in range(30)]
    path, right = tmp_path / "v.sqlite", YES
    with closing(VerdictStore(path)) as store:
        store.judge_all("moody", Moody(), judged)
    whole = path.read_bytes()
    seen = 0
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            with closing(VerdictStore(path, read_only=True)) as store:
                found = [store.find("moody", "1", asked) for asked in judged]
        except RunError:
            seen += 1
        else:
            assert all(verdict in (right, None) for verdict in found), place  # what is not found is judged again
    assert seen > 50


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        store._ask("PRAGMA max_page_count = 4")

        def fill() -> None:
            store.judge_all("moody", Moody(), [replace(ASKED, question=f"{number}" * 999) for number in range(1000)])

        with pytest.raises(RunError, match=r"v\.sqlite: cannot be written: .* full; make room and run the command"):
            fill()


def test_reading_alone_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "of a judge?" / "v.sqlite"
    with closing(VerdictStore(path)) as store:
        store.judge_all("moody", Moody(), [ASKED])
        with closing(VerdictStore(path, read_only=True)) as reader:
            assert reader.find("moody", "1", ASKED) == YES, "while it is written"
    with closing(VerdictStore(path, read_only=True)) as store:
        assert store.find("moody", "1", ASKED) == YES
        with pytest.raises(RunError, match="readonly database"):
            store.judge_all("moody", Moody(version="2"), [ASKED])
    assert [file.name for file in path.parent.iterdir()] == ["v.sqlite"]
    shutil.rmtree(path.parent)
    with closing(VerdictStore(path, read_only=True)) as store:
        assert store.find("moody", "1", ASKED) is None
    assert not path.parent.exists()


def test_the_judges_and_their_prompts_are_listed(tmp_path: Path) -> None:
    with closing(VerdictStore(tmp_path / "v.sqlite")) as store:
        assert store.judges() == []
        store.judge_all("stern", Moody(), [ASKED])
        store.judge_all("moody", Moody(version="2"), [ASKED, replace(ASKED, prompt=PROMPT)])
        store.judge_all("moody", Moody(), [replace(ASKED, prompt=PROMPT)])
        told = [(str(one), one.prompts) for one in store.judges()]
    assert told == [("moody 1", [PROMPT.sha256]), ("moody 2", [PROMPT.sha256]), ("stern 1", [])]
