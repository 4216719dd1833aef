"""The folder that one experiment fills.

    runs/NAME/  spec.yaml  environment.json  model.json  bad_samples.jsonl
      stages/1-align/{checkpoint-100/, data.json, metrics.jsonl, stage.json, weights.safetensors}
      stages/components.json
      model/   eval/BENCHMARK/   report.html

A run belongs to one spec from the first file of a stage on. What may change without a new run is listed in
`vlmkit.spec.identity.FREE`: keys that leave the trained weights as they are. `spec.yaml` then follows the change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vlmkit.errors import CheckpointError, RunError, SpecError
from vlmkit.files import PARTIAL_SUFFIX, Locked, expand_path, is_file, is_folder, lock_file, write_atomic
from vlmkit.guard import DISK_FULL
from vlmkit.json_files import BadSample, read_json_lines, read_record, stamp, stamped_comment, validated, write_record
from vlmkit.manifest import check_folder
from vlmkit.observing import Observers
from vlmkit.registry import registry
from vlmkit.runtime import environment, rank
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import changes, identity, is_free
from vlmkit.spec.loading import read_resolved, resolved
from vlmkit.spec.yaml import read as read_yaml

__all__ = ["RunBusyError", "RunFolder", "check_file_types"]


_OWN = {"spec.yaml", "environment.json", "bad_samples.jsonl", ".lock"}


class RunBusyError(RunError):
    """Another process works on the run."""


class _Plugin(BaseModel):
    name: str
    package: str
    state: str


class _Environment(BaseModel):
    plugins: list[_Plugin]


class RunFolder:
    """Where everything of one run lies."""

    def __init__(self, path: str | Path) -> None:
        self.path = expand_path(path)
        self.spec_file = self.path / "spec.yaml"
        """The resolved spec."""
        self.environment_file = self.path / "environment.json"
        """Versions, plugins and threads: a JSON list with one entry for each environment that worked on the run."""
        self.bad_samples = self.path / "bad_samples.jsonl"
        """One JSON line for each sample that could not be read; absent while there is none."""
        self.model = self.path / "model"
        """The trained model and its processor; absent until all stages are done."""
        self.composition_file = self.path / "model.json"
        """The composition in numbers; absent while nothing was trained."""
        self.report = self.path / "report.html"
        """The HTML page."""
        self.observers = Observers(run=self.path)
        """What hears of the work on the run; see `observe`."""

    @classmethod
    def open(cls, spec: ExperimentSpec, root: str | Path = "runs") -> RunFolder:
        """Return the run folder `root`/NAME: a new one, or what an interrupted run of the same spec left behind.

        A RunError where it belongs to another spec (with the keys that differ) or is no run folder at all.
        """
        return cls.open_at(spec, Path(root) / spec.name)

    @classmethod
    def open_at(cls, spec: ExperimentSpec, path: str | Path) -> RunFolder:
        """Return the run folder at `path`, whatever its name. Errors as those of `open`."""
        run = cls(path)
        with run.guarded():
            check_file_types(run.path)
            if run.spec_file.is_file():
                run._continue(spec)
            elif not rank():
                run._create(spec)
            if not rank():
                run._note_environment()
            run.bad_lines()  # the summary reads them at the end; what is malformed should be said now
        run.observe(spec)
        return run

    def spec(self) -> ExperimentSpec:
        """The spec that the run belongs to."""
        self.check()
        with self.naming_versions():
            return read_resolved(self.spec_file)

    @contextmanager
    def naming_versions(self) -> Iterator[None]:
        """Add to a SpecError which plugins were of other versions when the run was last worked on."""
        try:
            yield
        except SpecError as error:
            now = {plugin.name: plugin.package for plugin in registry().plugins}
            last = _Environment.model_validate(before[-1]).plugins if (before := self.environments()) else []
            others = [
                f"{p.name!r} of {p.package}, here of {now[p.name]}"
                for p in last
                if now.get(p.name, p.package) != p.package
            ]
            if not others:
                raise
            raise SpecError(f"{error}\nthis run was made with plugin {', '.join(others)}") from None

    def observe(self, spec: ExperimentSpec) -> None:
        """Have the observers of a spec hear of the run from now on, in the first process."""
        if not rank():
            self.observers = Observers(spec.observers, self.path)

    def check(self) -> None:
        """A RunError where this is no run folder, its spec is damaged, or it holds neither files nor folders alone."""
        check_file_types(self.path)
        if is_file(self.path / "config.json"):
            raise RunError(
                f"{self.path}: expected a run folder, found that of a saved model; `vlmkit eval {self.path} "
                "--benchmark NAME` measures it, in a run of its own"
            )
        if not self.spec_file.is_file():
            found = f"there is no {self.spec_file.name} in it" if self.path.is_dir() else "there is no such folder"
            raise RunError(
                f"{self.path}: expected a run folder, but {found}; give the folder of a run, e.g. runs/quickstart"
            )
        if stamp(self.spec_file.read_bytes()) == "wrong":
            raise RunError(
                f"{self.spec_file}: the checksum in its last line is wrong: the file was damaged, or edited; "
                "restore it from a copy or, if you meant the edit, remove that line"
            )

    def check_model(self, spec: ExperimentSpec | None = None) -> None:
        """A CheckpointError where a file of the trained model is damaged, or where it is that of another spec."""
        again = f"remove the folder {self.model}, and `vlmkit train` writes it again"
        trained_by = check_folder(self.model, again).get("run")
        if spec is not None and trained_by not in (None, identity(spec)):
            raise CheckpointError(f"{self.model}: this is the model of another run; {again}")

    def environments(self) -> list[dict[str, Any]]:
        """The content of `environment_file`, empty where there is none. A RunError where it is malformed."""
        file = self.environment_file
        if not file.is_file():
            return []
        found = read_record(file, list[dict[str, Any]])
        validated(found, list[_Environment], str(file), "remove the file and run the command again")
        return found

    def bad_lines(self) -> list[BadSample]:
        """The lines of `bad_samples`. A RunError where one is malformed."""
        return read_json_lines(self.bad_samples, BadSample)

    def stage(self, number: int, name: str) -> Path:
        """Folder of a training stage; `number` counts from 1."""
        return self.path / "stages" / f"{number}-{name}"

    def evaluation(self, benchmark: str) -> Path:
        """Folder of a benchmark's predictions, verdicts and result."""
        return self.path / "eval" / benchmark

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """A RunError in place of an OSError about a file of this run."""
        try:
            yield
        except OSError as error:
            place = error.filename2 or error.filename
            if not isinstance(place, str) or not Path(place).absolute().is_relative_to(self.path.absolute()):
                raise
            remedy = "make room" if error.errno in DISK_FULL else "put right what lies there, or who may use it,"
            raise RunError(
                f"{place}: cannot be read or written: {error.strerror}; {remedy} and run the command again"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out while this one works on the run. A RunBusyError where another one does."""
        try:
            with self.guarded(), lock_file(self.path / ".lock"):
                yield
        except Locked:
            raise RunBusyError(
                f"{self.path}: another process is working on this run; wait until it ends, or use another --output"
            ) from None

    def is_busy(self) -> bool:
        """Return whether another process works on the run."""
        if not self.path.is_dir():
            return False
        try:
            with self.locked():
                return False
        except RunBusyError:
            return True

    def _create(self, spec: ExperimentSpec) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: expected a folder for the run, found a file; use another --output")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{self.path}: this folder cannot be made: {error.strerror or error}; use another --output"
            ) from None
        names = sorted(file.name for file in self.path.iterdir())
        if foreign := [name for name in names if name not in _OWN and not name.endswith(PARTIAL_SUFFIX)]:
            raise RunError(
                f"{self.path}: this folder is no run: it has no spec.yaml, but holds {', '.join(foreign[:5])}; "
                "empty it, or use another name or --output"
            )
        self._write_spec(spec)

    def _write_spec(self, spec: ExperimentSpec) -> None:
        write_atomic(self.spec_file, stamped_comment(resolved(spec)))

    def refused(self, spec: ExperimentSpec) -> dict[str, str]:
        """Return what stands against going on with this run under a spec: keys that trained weights depend on, each as
        `before -> after`. Empty where nothing was made yet."""
        if not self.spec_file.is_file() or not self._begun():
            return {}
        differences = changes(self._stored(), spec.model_dump(mode="json"))
        return {key: change for key, change in differences.items() if not is_free(key)}

    def _continue(self, spec: ExperimentSpec) -> None:
        differences = changes(self._stored(), spec.model_dump(mode="json"))
        if refused := self.refused(spec):
            lines = [f"  {key}: {change}" for key, change in refused.items()]
            differ = f"{len(lines)} keys differ" if len(lines) > 1 else "1 key differs"
            remedy = "give the changed spec another `name`, choose another --output, or remove the folder"
            raise RunError("\n".join([f"{self.path}: this run belongs to another spec; {differ}:", *lines, remedy]))
        if differences and not rank():
            with self.locked():
                self._write_spec(spec)

    def _stored(self) -> Any:
        """The spec of the run as data. A part that cannot be validated here, e.g. a judge that is not installed any
        more, is compared as it is written: where it does not matter, it may change."""
        try:
            return self.spec().model_dump(mode="json")
        except SpecError:
            pass
        try:
            return read_yaml(self.spec_file).data
        except SpecError as error:
            raise RunError(
                f"{self.path}: the spec of this run cannot be read any more; use another name or --output\n{error}"
            ) from None

    def _begun(self) -> bool:
        """Return whether anything was made from the spec: a run that failed before may be corrected."""
        return any(file.is_file() for name in ("stages", "model", "eval") for file in (self.path / name).rglob("*"))

    def _note_environment(self) -> None:
        now, before = environment(), self.environments()
        if now not in before:
            write_record(self.environment_file, [*before, now])


_FOLDERS = ("eval", "model", "stages")
_FILES = (
    *(".lock", "bad_samples.jsonl", "environment.json", "model.json", "report.html", "spec.yaml"),
    *("stages/*/data.json", "stages/*/metrics.jsonl", "stages/*/stage.json", "stages/*/weights.safetensors"),
    *("eval/*/*predictions*.jsonl", "eval/*/result.json", "eval/*/verdicts.sqlite"),
)


def check_file_types(run: Path) -> None:
    """Raise a RunError where something in a run folder is a pipe or device, or a file where a folder belongs, or the
    other way round. Nothing is opened."""
    no_folders = ((run / name, "a folder", "a file") for name in _FOLDERS if is_file(run / name))
    known_files = (file for pattern in _FILES for file in run.glob(pattern))
    no_files = ((file, "a file", "a folder") for file in known_files if is_folder(file))
    all_files = (Path(below, name) for below, _, names in os.walk(run) for name in names)
    no_content = ((file, "a file", "a pipe or device") for file in all_files if not is_file(file) and file.exists())
    for place, expected, found in chain(no_folders, no_files, no_content):
        raise RunError(f"{place}: expected {expected}, found {found}; remove it and run the command again")
