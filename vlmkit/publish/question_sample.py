"""The questions that a capsule shows: some of each benchmark, question type and outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

__all__ = ["AnsweredQuestion", "sample_questions"]


class AnsweredQuestion(NamedTuple):
    """A question that can be asked again."""

    benchmark: str
    type: str
    outcome: str
    """`right`, `wrong`, or why it is neither."""
    id: str


def sample_questions(questions: Sequence[AnsweredQuestion], count: int, seed: int) -> list[AnsweredQuestion]:
    """Return so many questions, or all where there are fewer: first one of each cell, then a second of each, and so on.

    A cell has the questions of one benchmark, type and outcome. Where there are more cells than questions, the
    benchmarks take turns. Within a cell, and between those of a benchmark, the seed decides.
    """

    def drawn(*names: str) -> bytes:
        return sha256("\0".join((str(seed), *names)).encode()).digest()

    cells: dict[tuple[str, str, str], list[AnsweredQuestion]] = defaultdict(list)
    for question in sorted(questions, key=lambda one: drawn(one.benchmark, one.id)):
        cells[question[:3]].append(question)
    turns: dict[str, int] = defaultdict(int)
    placed = []
    for cell in sorted(cells, key=lambda names: drawn(*names)):
        benchmark, turn = cell[0], turns[cell[0]]
        turns[benchmark] += 1
        placed += [((rank, turn, benchmark), question) for rank, question in enumerate(cells[cell])]
    return [question for _, question in sorted(placed)[:count]]
