"""The judge's verdicts, kept so that judging again costs only what is new."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xxhash import xxh3_128

from vlmkit.api.judge import Judge, Unscored, Verdict
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.errors import RunError, shown
from vlmkit.evaluation.judge_costs import judging_cost
from vlmkit.evaluation.records import JudgeName
from vlmkit.evaluation.scores import JudgeAll
from vlmkit.json_files import is_present

__all__ = ["VerdictStore"]

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
_OWN = (
    *("judge", "version", "digest", "question", "reference", "prediction"),
    *("correct", "score", "raw", "cost", "unscored"),
)
_LATER = {"prompt": "TEXT", "model": "TEXT", "input_tokens": "INTEGER", "output_tokens": "INTEGER", "seconds": "REAL"}
"""Columns that the files of earlier versions lack. In a row they are NULL where they are not known."""
_COLUMNS = (*_OWN, *_LATER, "checksum")
_MARKS = ", ".join("?" * len(_COLUMNS))
_INSERT = f"INSERT OR REPLACE INTO verdicts ({', '.join(_COLUMNS)}) VALUES ({_MARKS})"  # noqa: S608
_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
    judge TEXT, version TEXT, digest TEXT,
    question TEXT, reference TEXT, prediction TEXT,
    correct INTEGER, score REAL, raw TEXT, cost REAL, unscored TEXT, checksum TEXT,
    PRIMARY KEY (judge, version, digest)
)
"""


class VerdictStore:
    """`verdicts.sqlite`: a row per judge, version of the judge (its model and rules) and request (answer and prompt).

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
        there = {row[1] for row in self._ask_all("PRAGMA table_info(verdicts)")}
        lacking = [name for name in _LATER if name not in there]
        for name in () if read_only else lacking:
            self._ask(f"ALTER TABLE verdicts ADD COLUMN {name} {_LATER[name]}")
        absent = {name: f"NULL AS {name}" for name in lacking} if read_only else {}
        self._prompt = absent.get("prompt", "prompt")
        columns = ", ".join(absent.get(name, name) for name in _COLUMNS)
        self._select = f"SELECT {columns} FROM verdicts WHERE judge = ? AND version = ? AND digest = ?"  # noqa: S608
        if (said := self._ask("PRAGMA integrity_check(1)")) != ("ok",):
            raise self._unusable(f"damaged: {said[0]}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def find(self, judge: str, version: str, request: JudgeRequest) -> Verdict | Unscored | None:
        """Return the verdict on an answer; None where it was not judged."""
        row = self._ask(self._select, (judge, version, request.sha256))
        if row is None:
            return None
        *values, found = row
        verdict = self._verdict(values)
        if found != _checksum(values):
            raise self._unusable(f"damaged: the checksum of the verdict about {shown(request.answer)} is wrong")
        return verdict

    def judges(self) -> list[JudgeName]:
        """Return the judges that have said anything, sorted, each with the checksums of the prompts it was given."""
        found: dict[tuple[str, str], list[str]] = {}
        query = f"SELECT DISTINCT judge, version, {self._prompt} FROM verdicts ORDER BY 1, 2, 3"  # noqa: S608
        for row in self._ask_all(query):
            if not all(isinstance(text, str) for text in row if text is not None) or None in row[:2]:
                raise self._unusable(f"expected name, version and prompt of a judge, found {shown(row)}")
            found.setdefault(row[:2], []).extend(row[2:] if row[2] else ())
        return [JudgeName(name=name, version=version, prompts=some) for (name, version), some in found.items()]

    def unjudged(self, judge: str, version: str, requests: Sequence[JudgeRequest]) -> list[JudgeRequest]:
        """Return the requests that have no verdict yet, those that are the same once."""
        different = {request.sha256: request for request in requests}
        return [one for one in different.values() if not isinstance(self.find(judge, version, one), Verdict)]

    def judge_all(
        self,
        name: str,
        judge: Judge,
        requests: Sequence[JudgeRequest],
        version: str = "",
        tell: Callable[[str], None] | None = None,
    ) -> list[Verdict | Unscored]:
        """Return the verdict of each request. What is not stored yet is asked for once and stored as soon as it comes.

        Args:
            name: name of the judge.
            judge: the judge.
            requests: answers to be judged; some may be the same.
            version: the version that verdicts are stored under; empty: the judge's own.
            tell: is told before it begins what asking will take, if that is anything.
        """
        version = version or judge.version
        asked = self.unjudged(name, version, requests)
        if asked and tell is not None and (cost := judging_cost(name, judge, asked)):
            tell(cost)
        for index, verdict in judge.judge(asked) if asked else ():
            self._keep(name, version, asked[index], verdict)
        return [self.find(name, version, request) or Unscored("not judged") for request in requests]

    def judging(
        self, name: JudgeName | None, judge: Judge | None, tell: Callable[[str], None] | None = None
    ) -> JudgeAll:
        """Return what judges requests: the stored verdicts and, unless it is None, the judge for those not stored.

        `tell` as in `judge_all`.
        """

        def judge_all(requests: Sequence[JudgeRequest]) -> list[Verdict | Unscored]:
            if name is None:
                raise RuntimeError("an evaluator that says it needs no judge leaves answers to one")
            requests = requests if name.prompts else [request.plain() for request in requests]
            if judge is not None:
                return self.judge_all(name.name, judge, requests, name.version, tell)
            return [self.find(name.name, name.version, request) or Unscored("not judged") for request in requests]

        return judge_all

    def _keep(self, name: str, version: str, request: JudgeRequest, verdict: Verdict | Unscored) -> None:
        said: tuple[object, ...] = (None, None, None, None, verdict.reason) if isinstance(verdict, Unscored) else (
            None if verdict.correct is None else int(verdict.correct), verdict.score, verdict.raw, verdict.cost, None
        )  # fmt: skip
        reply = (None,) * 4 if isinstance(verdict, Unscored) else (
            verdict.model or None, verdict.input_tokens, verdict.output_tokens, verdict.seconds
        )  # fmt: skip
        reference = request.references[0] if len(request.references) == 1 else json.dumps(request.references)
        asked = (name, version, request.sha256, request.question, reference, request.answer)
        row = (*asked, *said, request.prompt and request.prompt.sha256, *reply)
        self._ask(_INSERT, (*row, _checksum(row)))

    def _ask(self, query: str, values: tuple[object, ...] = ()) -> Any:
        """Return the first row, if there is one."""
        return next(iter(self._ask_all(query, values)), None)

    def _ask_all(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._refusal(error) from None

    def _verdict(self, row: Sequence[Any]) -> Verdict | Unscored:
        """Return the verdict of a row. SQLite takes any value in any column."""
        correct, score, raw, cost, unscored, prompt, model, *reply = row[len(_OWN) - 5 :]
        if isinstance(unscored, str):
            return Unscored(unscored)
        if (
            unscored is None
            and correct in (0, 1, None)
            and not (correct is None and score is None)
            and all(number is None or _is_number(number) for number in (score, cost, *reply))
            and isinstance(raw, str)
            and all(text is None or isinstance(text, str) for text in (prompt, model))
        ):
            return Verdict(None if correct is None else bool(correct), score, raw, cost, model or "", *reply)
        raise self._unusable(f"expected the verdict of a judge (correct, score, raw, cost, …), found {shown(row[6:])}")

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
    row = row if any(value is not None for value in row[len(_OWN) :]) else row[: len(_OWN)]  # as earlier versions wrote
    kept = [float(value) if isinstance(value, int | float) else value for value in row]  # as SQLite keeps them
    return xxh3_128(repr([None if value != value else value for value in kept]).encode()).hexdigest()
