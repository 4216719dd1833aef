"""The browser for samples: questions with the answers of all compared systems, as data for the page's script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vlmkit.api.judge import Unscored
from vlmkit.errors import UserError
from vlmkit.evaluation.scores import ScoredAnswer
from vlmkit.formatting import figure
from vlmkit.report.compared_scores import BenchmarkAnswers
from vlmkit.report.compared_systems import SystemComparison
from vlmkit.report.gallery import ReadStrip, strip_reader, systematic_sample

__all__ = ["SAMPLES", "STRIP_BYTES", "SampleBrowser", "outcome_of", "sample_browser"]

SAMPLES = 200
"""Questions of a page, unless another number is asked for."""
STRIP_BYTES = 3_000_000
"""About as large all frames of a page may be together; further videos are left out."""


class SampleBrowser(NamedTuple):
    """The questions that the page holds."""

    data: Mapping[str, Any]
    """What the page's script reads: systems, benchmarks, videos with their frames, samples."""
    chosen: int
    questions: int
    """How many there are."""
    without_frames: int
    """Videos whose frames are left out, for the page would be too large."""


class _Strips:
    """The frames of videos, each once."""

    def __init__(self) -> None:
        self.videos: dict[str, dict[str, Any]] = {}
        self.left_out = 0
        self._size = 0

    def add(self, key: str, video: str, read: ReadStrip | None, problem: str) -> None:
        """Read the frames of a video, unless they are there."""
        if key in self.videos:
            return
        entry: dict[str, Any] = {"frames": [], "problem": problem}
        self.videos[key] = entry
        if read is None:
            return
        if self._size > STRIP_BYTES:
            self.left_out += 1
            entry["problem"] = "left out, to keep the page small"
            return
        try:
            entry["frames"] = [[round(frame.seconds, 2), frame.uri] for frame in read(video)]
        except UserError as error:
            entry["problem"] = str(error)
        self._size += sum(len(uri) for _, uri in entry["frames"])


def sample_browser(comparison: SystemComparison, answers: Sequence[BenchmarkAnswers], samples: int) -> SampleBrowser:
    """Return questions of all benchmarks with the answers of each system, of which the first run stands for all seeds.

    Where there are more questions than `samples`, each combination of outcomes and each question type has its share.
    """
    strips = _Strips()
    chosen: list[dict[str, Any]] = []
    total = 0
    for number, benchmark in enumerate(answers):
        by_id = _by_question(benchmark)
        total += len(by_id)
        wanted = max(1, samples // len(answers))
        seed = next(run.spec.seed for system in comparison.systems for run in system.runs)
        labels = {key: _label(known) for key, known in sorted(by_id.items())}
        some = set(systematic_sample(list(labels), wanted, seed, labels.__getitem__))
        read, problem = _reader(comparison, benchmark)
        for key in (key for key in by_id if key in some):
            sample = _sample(by_id[key], len(comparison.systems), benchmark.column.metric)
            video = f"{number}/{sample['video']}"
            strips.add(video, sample["video"], read, problem)
            chosen.append({**sample, "benchmark": number, "strip": video})
    data = {
        "systems": [system.label for system in comparison.systems],
        "benchmarks": [benchmark.name for benchmark in answers],
        "videos": strips.videos,
        "samples": chosen,
    }
    return SampleBrowser(data, len(chosen), total, strips.left_out)


def _by_question(benchmark: BenchmarkAnswers) -> dict[str, dict[int, ScoredAnswer]]:
    """Return by id of the question the answer of the first run of each system that was asked the same."""
    found: dict[str, dict[int, ScoredAnswer]] = {}
    for system, runs in benchmark.of.items():
        for answer in runs[min(runs)]:
            known = found.setdefault(answer.document.id, {})
            first = next(iter(known.values()), answer).document
            if (first.question, first.references) == (answer.document.question, answer.document.references):
                known[system] = answer
    return found


def _label(answers: Mapping[int, ScoredAnswer]) -> tuple[Any, ...]:
    outcomes = tuple((system, outcome_of(answer)) for system, answer in answers.items())
    return outcomes, next(iter(answers.values())).document.type


def _reader(comparison: SystemComparison, benchmark: BenchmarkAnswers) -> tuple[ReadStrip | None, str]:
    """Return what reads the videos as the first system with answers sees them; None with the reason why not."""
    problem = ""
    for system in benchmark.of:
        try:
            return strip_reader(comparison.systems[system].runs[0], benchmark.name), ""
        except UserError as error:
            problem = problem or str(error)
    return None, problem


def _sample(answers: Mapping[int, ScoredAnswer], systems: int, metric: str) -> dict[str, Any]:
    document = next(iter(answers.values())).document
    return {
        "id": document.id,
        "video": document.video,
        "type": document.type,
        "question": document.question,
        "options": list(document.options),
        "reference": " / ".join(document.references) or document.answer,
        "answers": [_answer(answers[system]) if system in answers else None for system in range(systems)],
    }


def outcome_of(answer: ScoredAnswer) -> str:
    """`right` or `wrong`; `scored` where a benchmark knows neither; else why it does not count: `unscored`, …"""
    if answer.is_right is not None:
        return "right" if answer.is_right else "wrong"
    return answer.outcome


def _answer(answer: ScoredAnswer) -> dict[str, Any]:
    verdict, reading = answer.verdict, answer.reading
    said = answer.answer.prediction
    notes = [f"{name} {figure(value, name)}" for name, value in answer.values.items() if name != "accuracy"]
    if reading is not None and reading.why:
        notes.append(f"read as: {reading.why}")
    if isinstance(verdict, Unscored):
        notes.append(f"the judge failed: {verdict.reason}")
    if said is None:
        notes.append(f"not asked: {answer.answer.skipped or 'the video is unreadable'}")
    return {
        "said": said,
        "outcome": outcome_of(answer),
        "notes": notes,
        "words": verdict.raw if verdict is not None and not isinstance(verdict, Unscored) else "",
    }
