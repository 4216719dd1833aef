"""Questions per second of an evaluation, against one question at a time, on clips that are drawn for it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vlmkit.bench.memory import peak_bytes, reset_peak
from vlmkit.benchmarks.locating import QuestionDataset
from vlmkit.data import VideoLoader
from vlmkit.errors import UnreadableVideo, UserError
from vlmkit.evaluation import LoadedModel, ModelQuestion, VideoPart, ask
from vlmkit.evaluation.prefetch import AlignerVideos, worker_count
from vlmkit.model import compose
from vlmkit.runtime import exit_in_worker, keep_freed_memory
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import read_component

__all__ = ["EvaluationOptions", "EvaluationTimings", "bench_evaluation"]

_QUESTIONS = (
    "<video>\nWhich colour?",
    "<video>\nWhat colour is the shape that moves?",
    "<video>\nWhich shape is it, a circle, a square or a triangle?",
    "<video>\nWhich way does it move, and does it move slow or fast?",
    "<video>\nHow many shapes are there, which colour appears first, and which colour appears last?",
)
Numbered = tuple[int, ModelQuestion]


@dataclass(frozen=True)
class EvaluationOptions:
    """How to measure."""

    clips: int = 80
    """Drawn by the dataset moving-shapes; five questions are asked about each."""
    size: int = 64
    """Side of a clip, pixels."""
    batch_size: int = 64
    workers: int | None = None
    """As `evaluation.workers`."""
    max_new_tokens: int = 8
    rounds: int = 3
    """In each round both ways have their turn."""
    threads: int = 1
    """CPU threads of the model."""


@dataclass
class EvaluationTimings:
    """One way to ask all questions."""

    name: str
    questions: int
    seconds: list[float] = field(default_factory=list)
    """Of each round."""
    peaks: list[int] = field(default_factory=list)
    """Most resident memory of this process in each round, bytes; empty where it is not known."""

    @property
    def median(self) -> float:
        """Median time for all questions, seconds."""
        return statistics.median(self.seconds)

    @property
    def rate(self) -> float:
        """Questions per second."""
        return self.questions / self.median


def bench_evaluation(
    spec: ExperimentSpec,
    folder: Path | None,
    options: EvaluationOptions,
    say: Callable[[str], None] = lambda message: None,
) -> list[EvaluationTimings]:
    """Ask the spec's model, with random weights, all questions in both ways, round by round.

    The first way decodes, encodes and asks one question after the other; the second is that of `vlmkit eval`. Clips lie
    below `folder`, or in the cache of moving-shapes. A UserError where the two ways have given different answers.
    """
    exit_in_worker()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    composed = compose(spec.model, seed=spec.seed, reader=spec.data.reader)
    model = LoadedModel(lambda: composed)
    asked = _questions(folder, options)
    frames = spec.model.aligner.input
    load = AlignerVideos(VideoLoader(spec.data.reader, frames, {"aligner": frames}))
    workers = worker_count(options.workers, options.clips)
    ways: list[tuple[EvaluationTimings, Callable[[Sequence[Numbered]], list[str]]]] = [
        (EvaluationTimings("one at a time", len(asked)), lambda some: _one_at_a_time(some, model, load)),
        (
            EvaluationTimings(f"batches of {options.batch_size}, {workers} workers", len(asked)),
            lambda some: _as_evaluated(some, model, load, options),
        ),
    ]
    for _, way in ways:
        way(asked[: 4 * len(_QUESTIONS)])  # the first pass also loads what it needs
    for number in range(options.rounds):
        answers = []
        for timings, way in ways:
            counts = reset_peak()
            start = time.perf_counter()
            answers.append(way(asked))
            timings.seconds.append(time.perf_counter() - start)
            timings.peaks += [peak_bytes()] if counts else []
            say(f"round {number + 1} of {options.rounds}: {timings.name} {timings.seconds[-1]:.2f} s")
        if differing := sum(one != other for one, other in zip(*answers, strict=True)):
            raise UserError(f"{spec.name}: {differing} of {len(asked)} answers differ between the two ways to ask")
    return [timings for timings, _ in ways]


def _questions(folder: Path | None, options: EvaluationOptions) -> list[Numbered]:
    said: dict[str, Any] = {"type": "moving-shapes", "split": "test", "clips": options.clips, "size": options.size}
    clips = read_component("dataset", said | ({} if folder is None else {"root": str(folder)}), "bench")
    assert isinstance(clips, QuestionDataset)
    clips.prepare()
    parts = [VideoPart(str(path)) for path in sorted(clips.video_root().glob("*.mp4"))[: options.clips]]
    return list(enumerate(ModelQuestion(text, part, options.max_new_tokens) for text in _QUESTIONS for part in parts))


def _one_at_a_time(asked: Sequence[Numbered], model: LoadedModel, load: AlignerVideos) -> list[str]:
    answers = []
    for _, question in asked:
        assert question.part is not None
        video = model.encode_video(load(question.part))
        answers += model.answer([model.encode_prompt(question.prompt, video)], [video], [question.max_new_tokens])
    return answers


def _as_evaluated(
    asked: Sequence[Numbered], model: LoadedModel, load: AlignerVideos, options: EvaluationOptions
) -> list[str]:
    answers: dict[int, str] = {}
    for batch in ask(asked, lambda item: item[1], model, load, options.batch_size, options.workers):
        for (number, _), answer in batch:
            if isinstance(answer, UnreadableVideo):
                raise answer
            answers[number] = answer.text
    return [answers[number] for number, _ in asked]
