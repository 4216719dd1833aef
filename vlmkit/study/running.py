"""The runs of a study, one after the other or side by side: what is done is passed over, what failed is set aside."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vlmkit.errors import UserError, did_you_mean
from vlmkit.run_folder import RunFolder
from vlmkit.study.claims import Claims
from vlmkit.study.launching import Job, Launcher
from vlmkit.study.other_runs import OtherRuns, shared
from vlmkit.study.rows import Study, StudyRun
from vlmkit.study.run_values import measured_columns
from vlmkit.study.stopping import is_needed, stopped_rows
from vlmkit.study.study_folder import StudyFolder
from vlmkit.training.checkpoint import DatasetRecord
from vlmkit.training.shared_stages import SharedRun, take_stages

__all__ = ["StudyProgress", "choose_runs", "run_study"]

_PAUSE = 0.5
"""Seconds between two looks at the processes."""


@dataclass
class StudyProgress:
    """How far a study is."""

    running: dict[str, StudyRun] = field(default_factory=dict)
    """By name of the run."""
    ended: list[str] = field(default_factory=list)
    """Names of the runs that ended well under this call."""
    failed: list[str] = field(default_factory=list)
    """Names of the runs that did not."""
    passed_over: list[str] = field(default_factory=list)
    """Names of the runs that were done before."""
    not_needed: list[str] = field(default_factory=list)
    """Names of the runs of rows that were stopped early."""
    stages_taken: dict[str, list[str]] = field(default_factory=dict)
    """By name of the run, the stages that another run had trained."""
    runs_taken: dict[str, str] = field(default_factory=dict)
    """By name of the run, the same one beside the study, `STUDY/NAME` or `NAME`, whose model and answers it has."""
    unusable: dict[str, str] = field(default_factory=dict)
    """By name of a run beside the study, why nothing is taken from it."""


def choose_runs(study: Study, only: Sequence[str] = ()) -> list[StudyRun]:
    """Return the runs of some rows and the base, or of all. A UserError for a name that no row has."""
    names = [row.name for row in study.rows]
    if unknown := [name for name in only if name not in names]:
        listed = f"{did_you_mean(unknown[0], names)}rows: {', '.join(names)}"
        raise UserError(f"--only {unknown[0]}: no row of the study is called so; {listed}")
    wanted = {names[0], *only} if only else set(names)
    return [run for run in study.runs if wanted & set(run.rows)]


def run_study(
    study: Study,
    folder: StudyFolder,
    launcher: Launcher,
    runs: Sequence[StudyRun],
    retry: bool = False,
    tell: Callable[[StudyProgress], None] = lambda progress: None,
) -> StudyProgress:
    """Run what is not done yet. Called again after an interruption, it goes on where it stopped.

    A run that would train a stage which a running one trains waits for that stage, and takes it. The same holds for
    runs beside the study, under the same output folder; where one is the same and done, its answers are taken as well.

    Args:
        study: the study.
        folder: its folder.
        launcher: what starts processes or jobs.
        runs: those of `study` that are wanted, in the order in which they start.
        retry: also those that failed before.
        tell: called whenever something has changed, and now and then.

    Returns:
        What was done. Failures are kept in the folder; those of one run do not end the others.
    """
    scheduler = _Scheduler(study, folder, launcher)
    waiting = scheduler.sort_out(runs, retry)
    try:
        while waiting or scheduler.jobs:
            tell(scheduler.progress)
            scheduler.collect()
            waiting = scheduler.still_needed(waiting)
            slots = scheduler.free_slots()
            if slots and waiting:
                scheduler.others.look()
            for slot in slots:
                ready = next((run for run in scheduler.this_round(waiting) if scheduler.claim(run)), None)
                if ready is None:
                    break
                waiting.remove(ready)
                scheduler.start(ready, slot)
            time.sleep(_PAUSE)
    except BaseException:
        scheduler.stop()
        raise
    finally:
        scheduler.close()
    tell(scheduler.progress)
    return scheduler.progress


class _Scheduler:
    """The runs that are under way."""

    def __init__(self, study: Study, folder: StudyFolder, launcher: Launcher) -> None:
        self.study, self.folder, self.launcher = study, folder, launcher
        self._datasets: dict[str, DatasetRecord] = {}
        self.others = OtherRuns(folder, self._datasets)
        self.progress = StudyProgress(unusable=self.others.unusable)
        self._claims = Claims(folder.path.parent)
        self._shared = {run.experiment.name: shared(run, folder) for run in study.runs}
        self.jobs: dict[str, tuple[Job, int]] = {}
        """By name of the run, with its slot."""
        self._looked_at = 1

    def sort_out(self, runs: Sequence[StudyRun], retry: bool) -> list[StudyRun]:
        """Return the runs that are to be started."""
        waiting = []
        for run in runs:
            state = self.folder.state(run)
            if state == "failed" and retry:
                self.folder.forget_failure(run)
            if state == "done":
                self.progress.passed_over.append(run.experiment.name)
            elif state == "failed" and not retry:
                self.progress.failed.append(run.experiment.name)
            else:
                waiting.append(run)
        return waiting

    def still_needed(self, waiting: Sequence[StudyRun]) -> list[StudyRun]:
        """Return the runs without those of rows that need no more seeds. Rows are looked at when a seed is done."""
        done = self._round(waiting)
        if self.study.spec.stop_when is None or done == self._looked_at:
            return list(waiting)
        self._looked_at = done
        stopped = stopped_rows(self.study, self.folder, list(measured_columns(self.study, self.folder)))
        needed = [run for run in waiting if is_needed(self.study, run, stopped)]
        self.progress.not_needed += [run.experiment.name for run in waiting if run not in needed]
        return needed

    def this_round(self, waiting: Sequence[StudyRun]) -> list[StudyRun]:
        """Return the runs that may start: all of them, or those of the first seed that is not done, if rows can be
        stopped after it."""
        if self.study.spec.stop_when is None:
            return list(waiting)
        last = self._round(waiting)
        return [run for run in waiting if self.study.spec.seeds.index(run.seed) <= last]

    def _round(self, waiting: Sequence[StudyRun]) -> int:
        """Return the number of the first seed, from 0, of which a run is not done; 1 at least: nothing is decided after
        one seed."""
        numbers = map(self.study.spec.seeds.index, (run.seed for run in [*waiting, *self.progress.running.values()]))
        return max(1, min(numbers, default=len(self.study.spec.seeds)))

    def free_slots(self) -> list[int]:
        """Return the places in which nothing runs."""
        return sorted(set(range(self.launcher.slots)) - {slot for _, slot in self.jobs.values()})

    def claim(self, run: StudyRun) -> bool:
        """Return whether a run can start: nobody works on it, and nothing that it could take is under way. It is this
        study's then, and so are its stages until they are done."""
        mine = self._shared[run.experiment.name]
        if self.folder.is_busy(run) or self.others.are_making(mine):
            return False
        return self._claims.take([mine.sha256, *mine.missing()])

    def start(self, run: StudyRun, slot: int) -> None:
        """Start a run, with the stages that others have trained."""
        name = run.experiment.name
        mine = self._shared[name]
        try:
            RunFolder.open(run.experiment, self.folder.path)
            stages = take_stages(mine, list(self._shared.values()), self._datasets)
            more, same = self.others.take(mine)
            if same:
                self.progress.runs_taken[name] = same
            elif stages or more:
                self.progress.stages_taken[name] = [*stages, *more]
        except UserError as error:
            self.folder.log(run).write_text(f"vlmkit: {error}\n", encoding="utf-8")
            self._fail(run, 2)
            return
        self._release_stages(mine)
        command = ["run", str(self.folder.write_spec(run)), "--output", str(self.folder.path)]
        self.jobs[name] = self.launcher.start(command, self.folder.log(run), slot), slot
        self.progress.running[name] = run

    def collect(self) -> None:
        """Take note of what has ended."""
        for name, (job, _) in list(self.jobs.items()):
            code = job.exit_code()
            self._release_stages(self._shared[name])
            if code is None:
                continue
            del self.jobs[name]
            run = self.progress.running.pop(name)
            if self.folder.state(run) == "done":
                self.progress.ended.append(name)
                self._claims.release([self._shared[name].sha256])
            else:
                self._fail(run, code)

    def stop(self) -> None:
        """End what runs."""
        for job, _ in self.jobs.values():
            job.stop()

    def close(self) -> None:
        """Leave all that was claimed to others."""
        self._claims.close()

    def _release_stages(self, run: SharedRun) -> None:
        """Let others take the stages that are done."""
        self._claims.release(set(run.stages).difference(run.missing()))

    def _fail(self, run: StudyRun, code: int) -> None:
        mine = self._shared[run.experiment.name]
        self._claims.release([mine.sha256, *mine.stages])
        self.folder.note_failure(run, code)
        self.progress.failed.append(run.experiment.name)
