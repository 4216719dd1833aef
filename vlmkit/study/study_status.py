"""How far a study is: its runs, the stages that are trained, and the time that is left."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from vlmkit.json_files import is_present, read_record
from vlmkit.study.already_made import already_made
from vlmkit.study.other_runs import shared
from vlmkit.study.probing import StudyProbe
from vlmkit.study.rows import Study, StudyRun
from vlmkit.study.run_status import JobState, Part, RunRecords, RunStatus
from vlmkit.study.running import StudyProgress
from vlmkit.study.study_folder import StudyFolder

__all__ = ["StudyStatus", "StudyWatch"]

_Key = tuple[tuple[str, ...], str]
"""Names of the rows that runs serve, and of a stage or benchmark."""


class _Measured(NamedTuple):
    length: int | None
    """Steps or questions."""
    pace: float | None
    """Seconds for each, a mean."""


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is."""

    study: str
    runs: tuple[RunStatus, ...]
    stages_trained: int
    """Stages that runs of the study have trained."""
    stages_taken: int
    """Stages that they have taken from other runs, of the study or beside it."""
    stages_left: int
    """Stages that have to be trained, each once."""
    training_left: float | None
    """Seconds until all is trained, with as many runs at once as there are; None: not known yet."""
    questions_left: float | None
    """The same of the questions."""
    unusable: tuple[str, ...] = ()
    """Runs beside the study from which nothing is taken."""

    def count(self, state: JobState) -> int:
        """Return how many runs are in a state."""
        return sum(run.state == state for run in self.runs)


class StudyWatch:
    """Looks at some runs of a study again and again."""

    def __init__(self, study: Study, folder: StudyFolder, runs: Sequence[StudyRun], slots: int) -> None:
        """Watch runs of which at most `slots` run at once."""
        self._name, self._folder, self._runs, self._slots = study.spec.study, folder, runs, slots
        self._records = RunRecords(study, folder)
        self._shared = {run.experiment.name: shared(run, folder) for run in runs}
        self._beside = already_made(study, folder)
        file = folder.path / "probe.json"
        probe = read_record(file, StudyProbe) if is_present(file) else None
        self._probe = probe if probe is not None and probe.is_of(study) else None

    def look(self, progress: StudyProgress) -> StudyStatus:
        """Return how far all is now."""
        failures = self._folder.failures()
        runs = []
        for run in self._runs:
            name = run.experiment.name
            status = self._records.status(run, _state(name, progress))
            if status.state == "failed" and name in failures:
                status = replace(status, error="".join(failures[name].said.splitlines()[-1:]))
            runs.append(replace(status, taken_from=progress.runs_taken.get(name, "")))
        finished = [set(run.stages).difference(run.missing()) for run in self._shared.values()]
        taken = sum(len(run.stages_taken) for run in runs)
        training, questions, stages = self._left(runs, self._beside.identities.union(*finished))
        at_once = max(1, min(self._slots, sum(run.state in ("running", "waiting") for run in runs)))
        return StudyStatus(
            study=self._name,
            runs=tuple(runs),
            stages_trained=sum(map(len, finished)) - taken,
            stages_taken=taken,
            stages_left=stages,
            training_left=None if training is None else training / at_once,
            questions_left=None if questions is None else questions / at_once,
            unusable=tuple(progress.unusable),
        )

    def _left(self, runs: Sequence[RunStatus], trained: frozenset[str]) -> tuple[float | None, float | None, int]:
        """Return the seconds of training and of questions, and the number of the stages that are left; runs that have
        begun count before those that would wait for their stages."""
        by_name = {run.experiment.name: run for run in self._runs}
        parts = {name: self._records.parts(run) for name, run in by_name.items()}
        measured = self._measured(parts)
        counted = set(trained)
        training: list[float | None] = []
        questions: list[float | None] = []
        for status in sorted(runs, key=lambda run: run.state != "running"):
            if status.state not in ("running", "waiting") or status.name in self._beside.taken:
                continue
            run, own = by_name[status.name], parts[status.name]
            stages = self._shared[status.name].stages
            for number, (part, stage) in enumerate(zip(own, stages, strict=False)):
                if stage not in counted:
                    counted.add(stage)
                    training.append(self._seconds(run, part, measured, number))
            questions += [self._seconds(run, part, measured) for part in own[len(stages) :]]
        return _sum(training), _sum(questions), len(training)

    def _measured(self, parts: Mapping[str, Sequence[Part]]) -> Mapping[_Key, _Measured]:
        """Return what was measured of each stage and benchmark: in the runs of a row, under `()` in those of all."""
        groups: dict[_Key, list[Part]] = {}
        for run in self._runs:
            if run.experiment.name not in self._beside.taken:
                for part in parts[run.experiment.name]:
                    groups.setdefault((run.rows, part.name), []).append(part)
                    groups.setdefault(((), part.name), []).append(part)
        return {key: _summary(group) for key, group in groups.items()}

    def _seconds(
        self, run: StudyRun, part: Part, measured: Mapping[_Key, _Measured], stage: int | None = None
    ) -> float | None:
        """Return the seconds that are left of a part of a run. What it does not tell yet is taken from the same part of
        other runs, first those of the row, and the pace of a stage from the probe before those of other rows."""
        own, every = measured[run.rows, part.name], measured[(), part.name]
        steps = part.length or own.length or every.length
        pace = own.pace
        if pace is None and self._probe is not None and stage is not None and steps:
            pace = self._probe.rows[run.rows[0]].seconds_of_stages[stage] / steps
        return part._replace(steps=steps).seconds_left(every.pace if pace is None else pace)


def _summary(parts: Sequence[Part]) -> _Measured:
    paces = [part.pace for part in parts if part.pace is not None]
    length = next((part.length for part in parts if part.length), None)
    return _Measured(length, statistics.fmean(paces) if paces else None)


def _state(name: str, progress: StudyProgress) -> JobState:
    if name in progress.running:
        return "running"
    if name in progress.ended or name in progress.passed_over:
        return "done"
    if name in progress.failed:
        return "failed"
    return "not needed" if name in progress.not_needed else "waiting"


def _sum(times: Sequence[float | None]) -> float | None:
    """Return the sum; None where one of them is not known."""
    known = [one for one in times if one is not None]
    return sum(known) if len(known) == len(times) else None
