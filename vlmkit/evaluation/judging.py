"""The judge's verdicts, kept so that judging again costs only what is new."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from xxhash import xxh3_128

from vlmkit.api.judge import Judge, Unscored, Verdict
from vlmkit.errors import RunError, shown
from vlmkit.evaluation.records import Answer, JudgedAnswer, JudgeName, read_answers, read_result
from vlmkit.json_files import is_present
from vlmkit.run_folder import RunFolder

__all__ = ["VerdictStore", "read_predictions"]

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
    judge TEXT, version TEXT, digest TEXT,
    question TEXT, reference TEXT, prediction TEXT,
    correct INTEGER, score REAL, raw TEXT, cost REAL, unscored TEXT, checksum TEXT,
    PRIMARY KEY (judge, version, digest)
)
"""


class VerdictStore:
    """`verdicts.sqlite`: a row per judge, version of the judge (its model, prompt and rules) and answered question.

    A failure of the judge is kept with its reason, so that it can be shown, and the judge is asked again next time.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file, with `read_only` also one that is not there. A RunError where it holds something else."""
        self._path = path
        is_present(path)
        # A killed process loses nothing in this mode, and not every verdict waits for the disk.
        modes = () if read_only else ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL")
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            address = _address(path) if read_only else path.resolve().as_uri()
            self._db = sqlite3.connect(address, uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise self._refusal(error) from None
        for query in (*modes, _TABLE):
            self._ask(query)
        if (said := self._ask("PRAGMA integrity_check(1)")) != ("ok",):
            raise self._unusable(f"damaged: {said[0]}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def find(
        self, judge: str, version: str, question: str, reference: str, prediction: str
    ) -> Verdict | Unscored | None:
        """Return the verdict on an answer; None where it was not judged."""
        row = self._ask(
            "SELECT * FROM verdicts WHERE judge = ? AND version = ? AND digest = ?",
            (judge, version, _digest(question, reference, prediction)),
        )
        if row is None:
            return None
        *values, found = row
        verdict = self._verdict(values[-5:])
        if found != _checksum(values):
            raise self._unusable(f"damaged: the checksum of the verdict about {shown(prediction)} is wrong")
        return verdict

    def judge(
        self, name: str, judge: Judge, question: str, reference: str, prediction: str, version: str = ""
    ) -> Verdict | Unscored:
        """Return the stored verdict, or a new one, which is stored; under the judge's own `version` or this one."""
        version = version or judge.version
        known = self.find(name, version, question, reference, prediction)
        if isinstance(known, Verdict):
            return known
        verdict = judge.judge(question, reference, prediction)
        values: tuple[object, ...] = (None, None, None, None, verdict.reason) if isinstance(verdict, Unscored) else (
            int(verdict.correct), verdict.score, verdict.raw, verdict.cost, None
        )  # fmt: skip
        digest = _digest(question, reference, prediction)
        row = (name, version, digest, question, reference, prediction, *values)
        self._ask("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, _checksum(row)))
        return verdict

    def _ask(self, query: str, values: tuple[object, ...] = ()) -> Any:
        """Return the first row, if there is one."""
        try:
            return self._db.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._refusal(error) from None

    def _verdict(self, row: Sequence[Any]) -> Verdict | Unscored:
        """Return the verdict of a row. SQLite takes any value in any column."""
        correct, score, raw, cost, unscored = row
        if isinstance(unscored, str):
            return Unscored(unscored)
        if correct in (0, 1) and _is_number(score) and isinstance(raw, str) and (cost is None or _is_number(cost)):
            return Verdict(bool(correct), score, raw, cost)
        raise self._unusable(f"expected the verdict of a judge (correct, score, raw, cost), found {shown(row[:-1])}")

    def _unusable(self, said: str) -> RunError:
        return RunError(f"{self._path}: {said}; remove it and run `vlmkit eval`: what it held is judged anew")

    def _refusal(self, error: sqlite3.Error) -> RunError:
        if getattr(error, "sqlite_errorcode", None) in _NO_ROOM:
            return RunError(f"{self._path}: cannot be written: {error}; make room and run the command again")
        return RunError(
            f"{self._path}: expected the verdicts of a judge, found what SQLite cannot use: {error}; "
            "correct who may use it, or remove it and run `vlmkit eval`: what it held is judged anew"
        )


def _address(path: Path) -> str:
    """Return the address for reading alone. Where nobody writes, SQLite need not put files of its own beside it."""
    if not path.exists():
        return "file::memory:"
    written = path.with_name(f"{path.name}-wal").exists()
    return f"{path.resolve().as_uri()}?{'mode=ro' if written else 'immutable=1'}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _checksum(row: Sequence[object]) -> str:
    kept = [float(value) if isinstance(value, int | float) else value for value in row]  # as SQLite keeps them
    return xxh3_128(repr([None if value != value else value for value in kept]).encode()).hexdigest()


def _digest(question: str, reference: str, prediction: str) -> str:
    return hashlib.sha256(json.dumps([question, reference, prediction]).encode()).hexdigest()


def read_predictions(run: RunFolder | Path, benchmark: str, blind: bool = False) -> list[JudgedAnswer]:
    """Return the answers of a finished evaluation with their verdicts, in the order of the benchmark. Writes nothing.

    Args:
        run: the run folder.
        benchmark: name of the result.
        blind: the answers about other clips' videos instead.

    Raises:
        RunError: this benchmark has no result in the run, or a file of it is malformed.
    """
    folder = RunFolder(run if isinstance(run, Path) else run.path).evaluation(benchmark)
    if not is_present(folder / "result.json"):
        raise RunError(f"{folder}: there is no result of {benchmark} in this run; run `vlmkit eval` first")
    judge = read_result(folder / "result.json").judge
    answers = read_answers(folder / ("blind_predictions.jsonl" if blind else "predictions.jsonl"))
    with closing(VerdictStore(folder / "verdicts.sqlite", read_only=True)) as store:
        return [JudgedAnswer(**dict(answer), verdict=_known(answer, store, judge)) for answer in answers.values()]


def _known(answer: Answer, store: VerdictStore, judge: JudgeName) -> Verdict | Unscored | None:
    if answer.prediction is None:
        return None
    known = store.find(judge.name, judge.version, answer.question, answer.answer, answer.prediction)
    return known or Unscored("not judged")
