"""The judge's verdicts, kept so that judging again costs only what is new."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlmkit.api.judge import Judge, Unscored, Verdict

__all__ = ["VerdictStore"]

_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
    judge TEXT, version TEXT, digest TEXT,
    question TEXT, reference TEXT, prediction TEXT,
    correct INTEGER, score REAL, raw TEXT, cost REAL, unscored TEXT,
    PRIMARY KEY (judge, version, digest)
)
"""


class VerdictStore:
    """`verdicts.sqlite`: a row per judge, version of the judge (its model, prompt and rules) and answered question.

    A failure of the judge is kept with its reason, so that it can be shown, and the judge is asked again next time.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        # A killed process loses nothing in this mode, and not every verdict waits for the disk.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(_TABLE)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[VerdictStore]:
        """The store at `path`, closed afterwards."""
        store = cls(path)
        try:
            yield store
        finally:
            store._db.close()

    def find(
        self, judge: str, version: str, question: str, reference: str, prediction: str
    ) -> Verdict | Unscored | None:
        """What is known of an answer; None where it was not judged."""
        row = self._db.execute(
            "SELECT correct, score, raw, cost, unscored FROM verdicts WHERE judge = ? AND version = ? AND digest = ?",
            (judge, version, _digest(question, reference, prediction)),
        ).fetchone()
        if row is None:
            return None
        correct, score, raw, cost, unscored = row
        return Unscored(unscored) if unscored is not None else Verdict(bool(correct), score, raw, cost)

    def judge(self, name: str, judge: Judge, question: str, reference: str, prediction: str) -> Verdict | Unscored:
        """The stored verdict, or a new one, which is stored."""
        known = self.find(name, judge.version, question, reference, prediction)
        if isinstance(known, Verdict):
            return known
        verdict = judge.judge(question, reference, prediction)
        values: tuple[object, ...] = (None, None, None, None, verdict.reason) if isinstance(verdict, Unscored) else (
            int(verdict.correct), verdict.score, verdict.raw, verdict.cost, None
        )  # fmt: skip
        digest = _digest(question, reference, prediction)
        self._db.execute(
            "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (name, judge.version, digest, question, reference, prediction, *values),
        )
        return verdict


def _digest(question: str, reference: str, prediction: str) -> str:
    return hashlib.sha256(json.dumps([question, reference, prediction]).encode()).hexdigest()
