"""Runs beside a study, under the same output folder: what they have made and the study needs is taken from them.

They are those of other studies, and ordinary ones. A run is the same if its spec is, but for the name; a stage, if its
`stage_identity` is.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vlmkit.errors import UserError
from vlmkit.evaluation.questions import answers_file
from vlmkit.evaluation.records import read_result
from vlmkit.evaluation.rescoring import read_scored
from vlmkit.files import atomic_folder, is_file, link_file
from vlmkit.manifest import MANIFEST, write_manifest
from vlmkit.run_folder import RunBusyError, RunFolder
from vlmkit.spec.identity import identity
from vlmkit.study.rows import StudyRun
from vlmkit.study.study_folder import StudyFolder, is_measured
from vlmkit.training.checkpoint import DatasetRecord, is_finished
from vlmkit.training.shared_stages import SharedRun, take_stages

__all__ = ["OtherRuns", "shared", "told"]

_SPECS = ("*/spec.yaml", "*/*/spec.yaml")
_VERDICTS = ("verdicts.sqlite", "verdicts.sqlite-wal")


class OtherRuns:
    """The runs beside a study. What is damaged in them is left alone and told: no run of the study fails of it."""

    def __init__(self, folder: StudyFolder, datasets: dict[str, DatasetRecord] | None = None) -> None:
        """Look at the folder that holds the folder of the study. `datasets` as `known` of `take_stages`."""
        self.unusable: dict[str, str] = {}
        """By name of the run, `STUDY/NAME` or `NAME`: why nothing is taken from it."""
        self._own = folder.path
        self._output = folder.path.parent
        self._runs: list[SharedRun] = []
        self._read: dict[Path, tuple[tuple[int, ...], SharedRun]] = {}
        self._datasets = {} if datasets is None else datasets
        self.look()

    def look(self) -> None:
        """Take note of the runs that have begun since."""
        own = self._own.resolve()
        files = sorted(file for pattern in _SPECS for file in self._output.glob(pattern))
        places = {file: file.parent.relative_to(self._output).as_posix() for file in files}
        shown = [file for file in files if not any(part.startswith(".") for part in places[file].split("/"))]
        found = [self._run(file, places[file]) for file in shown if not file.resolve().is_relative_to(own)]
        self._runs = [run for run in found if run is not None and run.place not in self.unusable]

    def measured(self, run: SharedRun) -> list[SharedRun]:
        """Return those that are the same as a run of the study, and done."""
        found = []
        for other in self._runs:
            with self._set_aside(other.place):
                if other.sha256 == run.sha256 and is_measured(other.folder, other.spec):
                    found.append(other)
        return found

    def trained(self, run: SharedRun) -> tuple[int, str]:
        """Return how many stages of a run of the study one of them has trained, and its name."""
        counts = ((self._finished(other, run), other.place) for other in self._runs)
        return max(counts, key=lambda found: found[0], default=(0, ""))

    def are_making(self, run: SharedRun) -> bool:
        """Return whether a process works on something that a run of the study could take when it is done."""
        return any(
            (other.sha256 == run.sha256 or not other.has_finished(other.common(run))) and _is_busy(other.folder)
            for other in self._runs
            if other.sha256 == run.sha256 or other.common(run)
        )

    def take(self, run: SharedRun) -> tuple[list[str], str]:
        """Put into a run, whose folder is there, what they have made and it lacks.

        Returns:
            The names of the stages; and the run whose model and answers were taken as well, or nothing.
        """
        stages: list[str] = []
        for other in [other for other in self._runs if other.common(run)]:
            with self._set_aside(other.place):
                stages += take_stages(run, [other], self._datasets)
        for other in self.measured(run) if run.has_finished(len(run.stages)) else ():
            with self._set_aside(other.place):
                if _take_answers(run, other):
                    return stages, other.place
        return stages, ""

    @contextmanager
    def _set_aside(self, place: str) -> Iterator[None]:
        """Do without a run that cannot be used, and say why."""
        try:
            yield
        except RunBusyError:
            pass
        except UserError as error:
            self.unusable[place] = str(error)
            self._runs = [run for run in self._runs if run.place != place]

    def _run(self, file: Path, place: str) -> SharedRun | None:
        """Return the run of a spec; None where it cannot be read."""
        folder = RunFolder(file.parent)
        with self._set_aside(place), folder.guarded(), suppress(FileNotFoundError):  # it may have been removed since
            found = file.stat()
            state = found.st_ino, found.st_size, found.st_mtime_ns
            if file not in self._read or self._read[file][0] != state:
                self._read[file] = state, SharedRun(folder, folder.spec(), place)
            return self._read[file][1]
        return None

    @staticmethod
    def _finished(other: SharedRun, run: SharedRun) -> int:
        return next((n for n in range(other.common(run), 0, -1) if is_finished(other.stage(n))), 0)


def shared(run: StudyRun, folder: StudyFolder) -> SharedRun:
    """Return a run of a study as one that has stages in common with others."""
    return SharedRun(folder.run_folder(run), run.experiment, run.experiment.name)


def told(unusable: Mapping[str, str]) -> list[str]:
    """Return in words that nothing is taken from some runs."""
    return [f"nothing is taken from {place}: {said.splitlines()[0]}" for place, said in unusable.items()]


def _is_busy(folder: RunFolder) -> bool:
    try:
        return folder.is_busy()
    except UserError:  # a folder that this user cannot write: nobody is seen working on it
        return False


def _take_answers(run: SharedRun, other: SharedRun) -> bool:
    """Put the model and the answers of the same run into a run that has all stages; return whether it lacked any.

    The result is not taken for that of this run: the command that goes on with it finds all questions answered and
    judged, and writes the result anew.
    """
    evaluation = run.spec.evaluation
    names = [use.result_name for use in evaluation.benchmarks] if evaluation else []
    lacking = [name for name in names if not run.folder.evaluation(name).exists()]
    with other.folder.guarded(), other.folder.locked():
        if (other.folder.model / MANIFEST).is_file() and not run.folder.model.exists():
            other.folder.check_model(other.spec)
            with atomic_folder(run.folder.model) as made:
                _link_all(other.folder.model, made)
                write_manifest(made, {"run": identity(run.spec)})
        for name in lacking:
            source = other.folder.evaluation(name)
            files = _checked_answers(source, evaluation.benchmarks_path if evaluation else [])
            with atomic_folder(run.folder.evaluation(name)) as made:
                for file in files:
                    shutil.copyfile(source / file, made / file)  # no link: answers and verdicts are written in place
    return bool(lacking)


def _link_all(source: Path, target: Path) -> None:
    for file in sorted(source.rglob("*")):
        place = target / file.relative_to(source)
        if file.is_dir():
            place.mkdir()
        elif file.name != MANIFEST:
            link_file(file, place)


def _checked_answers(folder: Path, more: Sequence[str]) -> list[str]:
    """Return the names of the files of a result. A UserError where one of them is damaged."""
    result = read_result(folder / "result.json")
    answers = [name for name in result.files if is_file(folder / name)]
    for control in ("", *result.controls) if result.harness is None else ():
        if answers_file(control) in answers:
            read_scored(folder, control, more)
    return ["result.json", *answers, *(name for name in _VERDICTS if is_file(folder / name))]
