"""The folder of a study: the run folders of all its runs, their specs, their output, and what failed.

runs/STUDY/  .lock
  specs/NAME.yaml   logs/NAME.log   failures.json   NAME/ (a run folder)   submitit/ (with --cluster)
  probe.json (with a budget)   timings.json (with --measure)
  table.json  table.md  table.tex  table.csv  study.html   ranking.md  ranking.svg (of `vlmkit rank`)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from vlmkit.errors import RunError
from vlmkit.files import Locked, lock_file, write_atomic
from vlmkit.formatting import plural
from vlmkit.json_files import Record, is_present, read_record, write_record
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import resolved, sha256
from vlmkit.study.rows import Study, StudyRun
from vlmkit.summary import Summary

__all__ = ["Failure", "RunState", "StudyFolder"]

RunState = Literal["new", "begun", "done", "failed"]
_SAID = 2000
"""Characters of a run's last words."""
_SHOWN = 5
"""Runs that a message lists."""


class Failure(Record):
    """A run that ended otherwise than it should."""

    code: int
    """Its exit code."""
    said: str
    """The end of its output."""
    spec_sha256: str
    """Of its spec: another one is tried anew."""


class _Result(Record):
    spec_sha256: str


class StudyFolder:
    """Where everything of one study lies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failures = path / "failures.json"

    @classmethod
    def open(cls, study: Study, output: Path) -> StudyFolder:
        """Return the folder `output`/STUDY, which is made where there is none.

        A RunError where it holds runs of the same names that were trained as an earlier version of the study said.
        """
        folder = cls(output / study.spec.study)
        folder._check_runs(study)
        try:
            for name in ("specs", "logs"):
                (folder.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{folder.path}: this folder cannot be made: {error.strerror or error}; use another --output"
            ) from None
        return folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others out while this process works on the study. A RunError where one does, and in place of an OSError
        about a file of the study."""
        try:
            with RunFolder(self.path).guarded(), lock_file(self.path / ".lock"):
                yield
        except Locked:
            raise RunError(f"{self.path}: another process is working on this study; wait until it ends") from None

    def write_spec(self, run: StudyRun) -> Path:
        """Write the resolved spec of a run, and return its file."""
        file = self.path / "specs" / f"{run.experiment.name}.yaml"
        write_atomic(file, resolved(run.experiment))
        return file

    def log(self, run: StudyRun) -> Path:
        """The file with the output of a run."""
        return self.path / "logs" / f"{run.experiment.name}.log"

    def run_folder(self, run: StudyRun) -> RunFolder:
        """The run folder."""
        return RunFolder(self.path / run.experiment.name)

    def composition(self, runs: Sequence[StudyRun]) -> Summary | None:
        """Return what the model of some equal runs is made of; None where none of them has begun."""
        file = next((file for run in runs if (file := self.run_folder(run).composition_file).is_file()), None)
        return None if file is None else read_record(file, Summary)

    def state(self, run: StudyRun) -> RunState:
        """Return how far a run is, from its files alone."""
        folder = self.run_folder(run)
        if is_measured(folder, run.experiment):
            return "done"
        failure = self.failures().get(run.experiment.name)
        if failure is not None and failure.spec_sha256 == sha256(run.experiment):
            return "failed"
        return "begun" if folder.spec_file.is_file() else "new"

    def is_busy(self, run: StudyRun) -> bool:
        """Return whether a process works on a run: a job of a cluster goes on when the study that began it ends."""
        return self.run_folder(run).is_busy()

    def failures(self) -> dict[str, Failure]:
        """Return what failed, by the name of the run."""
        return read_record(self._failures, dict[str, Failure]) if is_present(self._failures) else {}

    def note_failure(self, run: StudyRun, code: int) -> None:
        """Keep how a run ended, with its last words."""
        log = self.log(run)
        said = log.read_text(encoding="utf-8", errors="replace")[-_SAID:].strip() if log.is_file() else ""
        failure = Failure(code=code, said=said, spec_sha256=sha256(run.experiment))
        self._write({**self.failures(), run.experiment.name: failure})

    def forget_failure(self, run: StudyRun) -> None:
        """Take back that a run failed: it is to be tried again."""
        left = {name: failure for name, failure in self.failures().items() if name != run.experiment.name}
        if len(left) < len(self.failures()):
            self._write(left)

    def _check_runs(self, study: Study) -> None:
        refused = {run.experiment.name: self.run_folder(run).refused(run.experiment) for run in study.runs}
        refused = {name: keys for name, keys in refused.items() if keys}
        if refused:
            shown = list(refused.items())[:_SHOWN]
            lines = [f"  {name}: {'; '.join(f'{k}: {change}' for k, change in keys.items())}" for name, keys in shown]
            more = [f"  and {len(refused) - _SHOWN} more"] if len(refused) > _SHOWN else []
            raise RunError("\n".join([
                f"{self.path}: {plural(len(refused), 'run')} of this study trained with other values than "
                f"{study.file} has now:", *lines, *more,
                "take the change back, give the changed study another name (`study`), choose another --output, or "
                "remove the folders of these runs",
            ]))  # fmt: skip

    def _write(self, failures: dict[str, Failure]) -> None:
        write_record(self._failures, {name: failure.data() for name, failure in failures.items()})


def is_measured(folder: RunFolder, experiment: ExperimentSpec) -> bool:
    """Return whether every benchmark of an experiment has a result in its run folder, measured under this very spec."""
    if experiment.evaluation is None or (experiment.training is not None and not folder.model.is_dir()):
        return False
    wanted = sha256(experiment)
    files = [folder.evaluation(use.result_name) / "result.json" for use in experiment.evaluation.benchmarks]
    return all(is_present(file) and read_record(file, _Result).spec_sha256 == wanted for file in files)
