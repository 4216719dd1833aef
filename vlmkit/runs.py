"""The folder that one experiment fills.

    runs/NAME/  spec.yaml  environment.json  model.json  bad_samples.jsonl
      stages/1-align/{checkpoint-100/, data.json, metrics.jsonl, stage.json, weights.safetensors}
      model/   eval/BENCHMARK/   report.html

A run belongs to one spec from the first file of a stage on. What may change without a new run is listed in `FREE`: keys
that leave the trained weights as they are. `spec.yaml` then follows the change.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from xxhash import xxh3_128

from vlmkit.api.files import expand_path
from vlmkit.api.locks import Locked, lock_file
from vlmkit.checksums import stamp, stamped_comment
from vlmkit.environment import environment
from vlmkit.errors import CheckpointError, RunError, SpecError
from vlmkit.launch import rank
from vlmkit.lines import BadSample, read_json, read_lines, write_json
from vlmkit.plain_files import check_kinds
from vlmkit.seals import check_folder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.load import read_resolved, resolved
from vlmkit.spec.yaml import read as read_yaml
from vlmkit.writing import SAVING, write_atomic

__all__ = ["FREE", "RunFolder", "identity"]

FREE = ("evaluation", "data.cache_mib", "data.max_bad_fraction", "training.workers")
"""Dotted keys that a continued run may change: the trained weights do not depend on them."""

_OWN = {"spec.yaml", "environment.json", "bad_samples.jsonl", ".lock"}


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

    @classmethod
    def open(cls, spec: ExperimentSpec, root: str | Path = "runs") -> RunFolder:
        """The run folder `root`/NAME: a new one, or the one that an interrupted run of the same spec left behind.

        Raises:
            RunError: the folder belongs to another spec (with the keys that differ), is no run folder at all, or a file
                in it is malformed.
        """
        run = cls(Path(root) / spec.name)
        with run.guarded():
            check_kinds(run.path)
            if run.spec_file.is_file():
                run._continue(spec)
            elif not rank():
                run._create(spec)
            if not rank():
                run._note_environment()
            run.bad_lines()  # the summary reads them at the end; what is malformed should be said now
        return run

    @property
    def spec_file(self) -> Path:
        """The resolved spec."""
        return self.path / "spec.yaml"

    @property
    def environment_file(self) -> Path:
        """Versions, plugins and threads: a JSON list with one entry for each environment that worked on the run."""
        return self.path / "environment.json"

    @property
    def bad_samples(self) -> Path:
        """One JSON line for each sample that could not be read; absent while there is none."""
        return self.path / "bad_samples.jsonl"

    @property
    def model(self) -> Path:
        """The trained model and its processor; absent until all stages are done."""
        return self.path / "model"

    @property
    def composition_file(self) -> Path:
        """What was composed, in numbers; absent while nothing was trained."""
        return self.path / "model.json"

    @property
    def report(self) -> Path:
        """The HTML page."""
        return self.path / "report.html"

    def spec(self) -> ExperimentSpec:
        """The spec that the run belongs to."""
        self.check()
        return read_resolved(self.spec_file)

    def check(self) -> None:
        """A RunError where this is no run folder, its spec is damaged, or it holds neither files nor folders alone."""
        check_kinds(self.path)
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
        return read_json(file, list[_Environment]) if file.is_file() else []

    def bad_lines(self) -> list[dict[str, Any]]:
        """The lines of `bad_samples`. A RunError where one is malformed."""
        return read_lines(self.bad_samples, BadSample)

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
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            remedy = "make room" if full else "put right what lies there, or who may use it,"
            raise RunError(
                f"{place}: cannot be read or written: {error.strerror}; {remedy} and run the command again"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out while this one works on the run; ends with the process, however that ends.

        Raises:
            RunError: another process is at work here.
        """
        try:
            with self.guarded(), lock_file(self.path / ".lock"):
                yield
        except Locked:
            raise RunError(
                f"{self.path}: another process is working on this run; wait until it ends, or use another --output"
            ) from None

    def _create(self, spec: ExperimentSpec) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: expected a folder for the run, found a file; use another --output")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{self.path}: this folder cannot be made: {error.strerror or error}; use another --output"
            ) from None
        foreign = sorted(f.name for f in self.path.iterdir() if f.name not in _OWN and not f.name.endswith(SAVING))
        if foreign:
            raise RunError(
                f"{self.path}: this folder is no run: it has no spec.yaml, but holds {', '.join(foreign[:5])}; "
                "empty it, or use another name or --output"
            )
        self._write_spec(spec)

    def _write_spec(self, spec: ExperimentSpec) -> None:
        write_atomic(self.spec_file, stamped_comment(resolved(spec)))

    def _continue(self, spec: ExperimentSpec) -> None:
        changes = dict(_changes(self._stored(), spec.model_dump(mode="json"), ()))
        refused = {key: change for key, change in changes.items() if not _free(key)}
        if refused and self._begun():
            lines = [f"  {key}: {_show(before)} -> {_show(after)}" for key, (before, after) in refused.items()]
            differ = f"{len(lines)} keys differ" if len(lines) > 1 else "1 key differs"
            raise RunError(
                "\n".join(
                    [
                        f"{self.path}: this run belongs to another spec; {differ}:",
                        *lines,
                        "give the changed spec another `name`, choose another --output, or remove the folder",
                    ]
                )
            )
        if changes and not rank():
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
        """Whether there is anything that the spec has made: a run that failed at the door may be corrected."""
        return any(file.is_file() for name in ("stages", "model", "eval") for file in (self.path / name).rglob("*"))

    def _note_environment(self) -> None:
        now, before = environment(), self.environments()
        if now not in before:
            write_json(self.environment_file, [*before, now])


def identity(spec: ExperimentSpec) -> str:
    """Return a checksum of everything that the trained weights depend on: whose a checkpoint is."""
    content = spec.model_dump(mode="json")
    for key in FREE:
        *path, last = key.split(".")
        part = content
        for name in path:
            part = part.get(name) or {}
        part.pop(last, None)
    return xxh3_128(json.dumps(content, sort_keys=True).encode()).hexdigest()


_ABSENT = object()


def _changes(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Dotted keys whose values differ; a component of another type counts as one change."""
    if old == new:
        return
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)) or old.get("type") != new.get("type"):
        yield ".".join(path), (old, new)
        return
    for key in [*old, *(key for key in new if key not in old)]:
        yield from _changes(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, str(key)))


def _free(key: str) -> bool:
    return any(key == free or key.startswith(f"{free}.") for free in FREE)


def _show(value: Any) -> str:
    if value is _ABSENT:
        return "(absent)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
