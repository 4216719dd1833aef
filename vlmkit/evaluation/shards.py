"""Shares of an evaluation that processes or machines answer apart from each other, and how their answers come together.

    eval/BENCHMARK/predictions.jsonl                    the answers, once all shares are there
    eval/BENCHMARK/predictions.shard-03-of-16.jsonl     those of the third of sixteen shares

A share is a part of the videos with all of their questions. No share waits for another: each appends to a file of its
own, and whoever finds every question answered puts the files together by the ids of the questions.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

from vlmkit.errors import RunError, SpecError, shown
from vlmkit.evaluation.answers import Answer, AnswerFile, Question, kept_answers, read_answers
from vlmkit.files import Locked, lock_file
from vlmkit.formatting import plural

__all__ = ["EvaluationShard", "QuestionsOfFile", "answers_so_far", "gather_shards", "unanswered", "wait_for"]

QuestionsOfFile = tuple[Sequence[Question], Path]
"""Questions, and the file of all answers to them."""
_FORM = re.compile(r"([1-9]\d{0,4})/([1-9]\d{0,4})")
_NAME = re.compile(r"\.shard-(\d+)-of-(\d+)\.jsonl\Z")
_POLL = 2.0
"""Seconds between two looks at what others do."""
_PATIENCE = 300.0
"""Seconds in which a process that answers a share has begun, or has answered something."""


@dataclass(frozen=True)
class EvaluationShard:
    """One share of an evaluation: the `number`-th of `count`, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the share that `3/16` names. A SpecError where the text names none."""
        found = _FORM.fullmatch(text)
        if found is None or int(found[1]) > int(found[2]):
            raise SpecError(f"--shard: expected a share like 3/16, the third of sixteen, found {shown(text)}")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """As it stands in the names of files: `shard-03-of-16`."""
        width = len(str(self.count))
        return f"shard-{self.number:0{width}}-of-{self.count}"

    def file(self, whole: Path) -> Path:
        """Return the file of this share's answers, beside the file of all of them."""
        return whole.with_name(f"{whole.stem}.{self.name}.jsonl")

    def share(self, sets: Sequence[QuestionsOfFile]) -> list[QuestionsOfFile]:
        """Return the questions of each set that are in this share: those about every `count`-th video."""
        places: dict[str, int] = {}
        for question in chain.from_iterable(questions for questions, _ in sets):
            places.setdefault(_video(question), len(places))
        return [
            ([question for question in questions if places[_video(question)] % self.count == self.number - 1], path)
            for questions, path in sets
        ]

    @contextmanager
    def locked(self, run: Path) -> Iterator[None]:
        """Keep other processes from the same share of a run. A RunError where one is at work on it."""
        with ExitStack() as held:
            for _ in range(5):
                try:
                    held.enter_context(lock_file(self._lock(run)))
                    break
                except Locked:
                    time.sleep(0.2)  # it may be one that only looks whether anybody is at work
            else:
                raise RunError(f"{run}: another process is working on shard {self} of this run; wait until it ends")
            yield

    def is_at_work(self, run: Path) -> bool:
        """Return whether a process is at work on this share; False where the disk has no file locks."""
        try:
            with lock_file(self._lock(run)):
                return False
        except Locked:
            return True

    def _lock(self, run: Path) -> Path:
        return run / f".lock-{self.name}"


def _video(question: Question) -> str:
    """Return the video that decides whose question it is: the one that is shown, if any is."""
    return question.shown or question.document.video


def answers_so_far(path: Path) -> dict[str, Answer]:
    """Return the answers, by id, of a file and of those of shares beside it, those that grow and that are kept too."""
    answers = read_answers(kept_answers(path)) | read_answers(path)
    for file in _files(path):
        answers |= read_answers(file)
    return answers


def unanswered(sets: Sequence[QuestionsOfFile]) -> list[Question]:
    """Return the questions that were neither answered nor skipped as they are asked now."""
    left: list[Question] = []
    for questions, path in sets:
        answers = answers_so_far(path)
        left += [question for question in questions if not _is_about(answers.get(question.document.id), question)]
    return left


def gather_shards(sets: Sequence[tuple[Sequence[Question], AnswerFile]]) -> None:
    """Take what shares have answered into the files of all answers, and remove those of the shares.

    Does nothing where there are none. A RunError, and nothing is changed, where questions have no answer.
    """
    files = [file for _, whole in sets for file in _files(whole.path)]
    if not files:
        return
    of_files = [(questions, whole.path) for questions, whole in sets]
    if left := unanswered(of_files):
        raise RunError(_incomplete(files, of_files, left))
    for questions, whole in sets:
        answers = answers_so_far(whole.path)
        news = [
            answers[question.document.id]
            for question in questions
            if not _is_about(whole.answers.get(question.document.id), question)
        ]
        whole.append(news)
    for file in files:
        file.unlink(missing_ok=True)


def wait_for(shards: Sequence[EvaluationShard], run: Path, left: Callable[[EvaluationShard], int]) -> None:
    """Wait until other processes have answered their shares, of which `left` says how many questions are to do.

    A RunError where one of them has ended before, or never begun.
    """
    for shard in shards:
        since, before = time.monotonic(), 0
        while True:
            at_work = shard.is_at_work(run)
            now = 0 if at_work else left(shard)
            if not at_work and not now:
                break
            if at_work or now != before:
                since, before = time.monotonic(), now
            elif time.monotonic() - since > _PATIENCE:
                raise RunError(
                    f"{run}: the process with shard {shard} has ended, or never begun, with {plural(now, 'question')} "
                    "to do; answers so far are kept: run the command again to go on"
                )
            time.sleep(_POLL)


def _files(path: Path) -> list[Path]:
    """Return the files of shares beside a file of all answers."""
    return sorted(file for file in path.parent.glob(f"{path.stem}.shard-*.jsonl") if _NAME.search(file.name))


def _is_about(answer: Answer | None, question: Question) -> bool:
    return answer is not None and answer.asked == question.fingerprint


def _incomplete(files: Sequence[Path], sets: Sequence[QuestionsOfFile], left: Sequence[Question]) -> str:
    counts = [int(found[2]) for file in files if (found := _NAME.search(file.name))]
    shards = [EvaluationShard(number, max(counts)) for number in range(1, max(counts) + 1)]
    missing = set(map(id, left))
    lacks = [
        f"{shard} ({sum(id(question) in missing for questions, _ in shard.share(sets) for question in questions)})"
        for shard in shards
    ]
    lacks = [lack for lack in lacks if not lack.endswith(" (0)")]
    total = sum(len(questions) for questions, _ in sets)
    return (
        f"{files[0].parent}: {len(left)} of {plural(total, 'question')} have no answer yet, by shard: "
        f"{', '.join(lacks)}; run these with --shard, or what is left of all of them here with --shard 1/1"
    )
