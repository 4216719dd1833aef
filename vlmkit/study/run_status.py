"""How far one run of a study is: read from its own records, metrics, stages and results, never from its process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from vlmkit.benchmarks.entries import find_benchmark
from vlmkit.errors import UserError
from vlmkit.evaluation.records import BenchmarkResult
from vlmkit.json_files import read_record
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.study.rows import Study, StudyRun
from vlmkit.study.run_values import chosen_metrics
from vlmkit.study.study_folder import StudyFolder
from vlmkit.training.checkpoint import DatasetRecord
from vlmkit.training.metrics import METRICS, STAGE_RECORD, MetricsLine, StageRecord, read_metrics
from vlmkit.training.sample_order import SampleOrder

__all__ = ["JobState", "Part", "RunRecords", "RunStatus", "Score"]

T = TypeVar("T")
JobState = Literal["done", "failed", "not needed", "running", "waiting"]
_RECENT = 10
"""Lines of metrics.jsonl whose mean is the pace."""


class Score(NamedTuple):
    """One metric of a run."""

    benchmark: str
    metric: str
    value: float


class Part(NamedTuple):
    """A training stage of a run, or one of its benchmarks."""

    name: str
    """`eval NAME` of a benchmark."""
    is_done: bool
    step: int
    """Optimizer steps that are done, or answers."""
    steps: int | None
    """Of how many; None: not known yet."""
    pace: float | None
    """Seconds for each, lately; None: not known yet."""
    loss: float | None = None
    """The last one."""

    @property
    def length(self) -> int | None:
        """The number of all steps or answers, where it is known."""
        return self.step if self.is_done else self.steps

    def seconds_left(self, pace: float | None = None) -> float | None:
        """Return how long it takes to the end, at its own pace or else another one. None where that is not known."""
        if self.is_done:
            return 0.0
        pace = pace if self.pace is None else self.pace
        return None if pace is None or self.steps is None else pace * max(0, self.steps - self.step)


@dataclass(frozen=True)
class RunStatus:
    """How far one run is."""

    name: str
    state: JobState
    part: Part | None = None
    """What is under way; None before and after, when the report is written."""
    scores: tuple[Score, ...] = ()
    stages_taken: tuple[str, ...] = ()
    """The runs that have trained stages of this one, `NAME` or `STUDY/NAME`: one for each stage."""
    taken_from: str = ""
    """The run beside the study whose model and answers this one has."""
    error: str = ""
    """The last words of a run that failed."""


class RunRecords:
    """Reads the records of the runs of a study; a file that has not changed since the last time is not read again.

    A record that is damaged counts as absent: the run that it belongs to says so.
    """

    def __init__(self, study: Study, folder: StudyFolder) -> None:
        self._study, self._folder = study, folder
        self._known: dict[Path, tuple[tuple[int, int, int], Any]] = {}
        self._questions = {use.result_name: self._count(use) for use in study.evaluation.benchmarks}

    def status(self, run: StudyRun, state: JobState) -> RunStatus:
        """Return how far a run is that is in some state."""
        status = RunStatus(run.experiment.name, state, stages_taken=tuple(self._taken(run)))
        if state == "running":
            return replace(status, part=next((part for part in self.parts(run) if not part.is_done), None))
        return replace(status, scores=tuple(self._scores(run))) if state == "done" else status

    def parts(self, run: StudyRun) -> list[Part]:
        """Return the stages and benchmarks of a run, in their order."""
        return [*self._stages(run), *self._benchmarks(run)]

    def _stages(self, run: StudyRun) -> Iterator[Part]:
        training = run.experiment.training
        for number, stage in enumerate(training.stages if training else (), 1):
            folder = self._folder.run_folder(run).stage(number, stage.name)
            lines = self._read(folder / METRICS, read_metrics) or []
            record = self._read(folder / STAGE_RECORD, lambda file: read_record(file, StageRecord))
            steps = stage.steps
            if steps is None and (data := self._read(folder / "data.json", _datasets)):
                samples = sum(one.samples for one in data)
                steps = SampleOrder.of(stage, samples, run.experiment.seed, number).steps
            yield Part(
                name=stage.name,
                is_done=record is not None,
                step=lines[-1].step if lines else 0,
                steps=steps,
                pace=_pace(lines),
                loss=lines[-1].loss if lines else None,
            )

    def _benchmarks(self, run: StudyRun) -> Iterator[Part]:
        evaluation = run.experiment.evaluation
        for use in evaluation.benchmarks if evaluation else ():
            folder = self._folder.run_folder(run).evaluation(use.result_name)
            result = self._result(folder / "result.json")
            answers = sum(self._read(file, _count_lines) or 0 for file in folder.glob("*predictions.jsonl"))
            questions = self._questions[use.result_name]
            total = questions * (1 + len(evaluation.controls)) if questions and evaluation else None
            pace = result.seconds / answers if result is not None and answers else None
            yield Part(f"eval {use.result_name}", result is not None, answers, total, pace)

    def _scores(self, run: StudyRun) -> Iterator[Score]:
        for use in self._study.evaluation.benchmarks:
            result = self._result(self._folder.run_folder(run).evaluation(use.result_name) / "result.json")
            metrics = {} if result is None else result.metrics
            for metric in chosen_metrics(self._study.spec, list(metrics)):
                yield Score(use.result_name, metric, metrics[metric].value)

    def _taken(self, run: StudyRun) -> Iterator[str]:
        for file in sorted(self._folder.run_folder(run).path.glob(f"stages/*/{STAGE_RECORD}")):
            record = self._read(file, lambda file: read_record(file, StageRecord))
            if record is not None and record.taken_from is not None:
                yield record.taken_from

    def _result(self, file: Path) -> BenchmarkResult | None:
        return self._read(file, lambda file: read_record(file, BenchmarkResult))

    def _count(self, use: BenchmarkUse) -> int | None:
        """Return how many questions a benchmark has, as the spec or the registry says."""
        if use.harness is not None:
            return use.limit
        _, split = find_benchmark(use.name, self._study.evaluation.benchmarks_path).split(use.split)
        return min(filter(None, (split.questions, use.limit)), default=None)

    def _read(self, file: Path, read: Callable[[Path], T]) -> T | None:
        """Return the content of a file; None where there is none, or it is damaged."""
        with suppress(OSError, UserError):
            found = file.stat()
            state = found.st_ino, found.st_size, found.st_mtime_ns
            if file not in self._known or self._known[file][0] != state:
                self._known[file] = state, read(file)
            content: T = self._known[file][1]
            return content
        return None


def _datasets(file: Path) -> list[DatasetRecord]:
    return read_record(file, list[DatasetRecord])


def _count_lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def _pace(lines: list[MetricsLine]) -> float | None:
    """Return the seconds of a step, over the last lines."""
    steps = seconds = 0.0
    before = [0, *(line.step for line in lines)]
    for line, start in list(zip(lines, before, strict=False))[-_RECENT:]:
        if line.seconds_per_step is not None:
            steps += line.step - start
            seconds += line.seconds_per_step * (line.step - start)
    return seconds / steps if steps else None
