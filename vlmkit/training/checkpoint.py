"""Checkpoints: complete folders only, found again by the step in their name, never used when damaged.

Of a stage one checkpoint is kept. Where it is damaged the stage is not trained anew behind the user's back, which can
take days: the message names the folder to be removed. A stage that goes on must find the data and the versions of the
components that it began with.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field

from vlmkit.api.dataset import Dataset
from vlmkit.errors import CheckpointError, RunError
from vlmkit.files import PARTIAL_SUFFIX
from vlmkit.json_files import is_present, read_record, write_record
from vlmkit.manifest import Checksum, check_files, file_entries
from vlmkit.model.pretrained import refuse_damage
from vlmkit.plugin_files import obtain
from vlmkit.run_folder import RunFolder
from vlmkit.runtime import rank, world_size
from vlmkit.spec.experiment import ExperimentSpec, StageSpec
from vlmkit.spec.identity import Origins, changed, origins
from vlmkit.training.distributed import gather, local_share, raise_together
from vlmkit.training.loss import LossState
from vlmkit.training.metrics import METRICS, STAGE_RECORD, StageRecord

__all__ = [
    "WEIGHTS",
    "CheckpointRecord",
    "DatasetRecord",
    "check_components",
    "check_data",
    "check_finished",
    "checkpoint_name",
    "checkpoint_step",
    "is_finished",
    "latest_checkpoint",
    "measure_stage",
    "note_components",
    "read_checkpoint_record",
    "reading_checkpoint",
    "remove_leftovers",
    "write_checkpoint_record",
]

WEIGHTS = "weights.safetensors"
"""Name of the file of what a stage trains, in its checkpoints and, when it is done, beside them."""

_PREFIX = "checkpoint-"
_NUMBERED = re.compile(f"{_PREFIX}[0-9]+")
_RECORD = "sealed.json"
_DATA = "data.json"
_COMPONENTS = "stages/components.json"
_LEFTOVERS = (PARTIAL_SUFFIX, ".old")


def latest_checkpoint(stage: Path) -> Path | None:
    """Return the newest checkpoint of a stage. A folder with this name is complete: it is renamed when it is."""
    found = _checkpoints(stage)
    return found[-1] if found else None


def checkpoint_name(step: int) -> str:
    """Return the name of the checkpoint that is written after so many steps."""
    return f"{_PREFIX}{step}"


def checkpoint_step(folder: Path) -> int:
    """Return after how many steps a checkpoint was written."""
    return int(folder.name.removeprefix(_PREFIX))


class CheckpointRecord(BaseModel):
    """sealed.json, the last file of a checkpoint."""

    run: str
    """`vlmkit.spec.identity.identity` of the run's spec."""
    stage: str
    """Name of the stage's folder."""
    sums: Annotated[list[float], Field(min_length=2, max_length=2)]
    """Language and distillation loss, added up since the last line of metrics.jsonl."""
    steps: int
    """Optimizer steps since that line."""
    skipped: int
    processes: int = 1
    metrics: Checksum
    """Content of metrics.jsonl."""
    files: dict[str, Checksum]


def write_checkpoint_record(folder: Path, run: str, stage: str, sums: LossState, metrics: Checksum) -> None:
    """Give the checkpoint its last file, with size and checksum of every other file.

    All processes call it when all files are there, and each reads a part of them.
    """
    paths = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    files = {name: entry for part in gather(file_entries(folder, local_share(paths))) for name, entry in part.items()}
    if not rank():
        about = sums._asdict() | {"processes": world_size(), "metrics": metrics, "files": dict(sorted(files.items()))}
        write_record(folder / _RECORD, CheckpointRecord(run=run, stage=stage, **about).model_dump())


def read_checkpoint_record(folder: Path, run: str, stage: str) -> CheckpointRecord:
    """Return the record of a checkpoint, whose files are there and undamaged. `run` and `stage` as in the record.

    Raises:
        CheckpointError: a file is missing or damaged, or the checkpoint is that of another run or stage. All processes
            raise it together. The Trainer would go on without some of the files, e.g. with a fresh optimizer.
        RunError: it is of another number of processes.
    """
    record = raise_together(lambda: _read(folder / _RECORD, CheckpointRecord, run, stage))
    before, now = record.processes, world_size()
    if before != now:
        begun, continued = (f"{count} process{'es' * (count != 1)}" for count in (before, now))
        raise RunError(
            f"{folder}: this stage was begun by {begun} and cannot be continued by {continued}; "
            f"start as many as before, or remove the folder {folder.parent} to train the stage anew"
        )
    return record


def measure_stage(folder: Path) -> dict[str, Checksum]:
    """Return size and checksum of the files that are kept of a stage that is done."""
    files = [file for name in (WEIGHTS, _DATA, METRICS) if (file := folder / name).is_file()]
    return file_entries(folder, files)


def is_finished(folder: Path) -> bool:
    """Return whether the stage is done."""
    return (folder / STAGE_RECORD).is_file()


def check_finished(folder: Path, run: str) -> None:
    """Raise a CheckpointError where a file of a stage that is done is missing, damaged or another run's."""
    raise_together(lambda: _read(folder / STAGE_RECORD, StageRecord, run, folder.name))


Record = TypeVar("Record", CheckpointRecord, StageRecord)


def _read(file: Path, kind: type[Record], run: str, stage: str) -> Record:
    folder = file.parent
    try:
        record = read_record(file, kind, _remedy(folder))
    except RunError as error:
        raise CheckpointError(str(error)) from None
    if (record.run, record.stage) != (run, stage):
        raise CheckpointError(f"{folder}: this was written by another run, or by another stage; {_remedy(folder)}")
    mine = {name: record.files[name] for name in local_share(sorted(record.files))}
    check_files(folder, mine, _remedy(folder))
    return record


def reading_checkpoint(file: Path) -> AbstractContextManager[None]:
    """Raise a CheckpointError for whatever a damaged file of a checkpoint or finished stage makes its reader raise."""
    return refuse_damage(file, _remedy(file.parent))


def _remedy(folder: Path) -> str:
    return f"remove the folder {folder}: what it held is then trained again"


def remove_leftovers(stage: Path, keep: Path | None) -> None:
    """Remove what a kill has left half written, and every checkpoint but `keep`."""
    for folder in _checkpoints(stage):
        if folder != keep:
            # Renamed first: a kill in the middle of the removal must not leave a part of it under its good name.
            gone = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(gone, ignore_errors=True)
            folder.rename(gone)
    for left in [entry for entry in stage.iterdir() if entry.name.startswith(".") and entry.name.endswith(_LEFTOVERS)]:
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def _checkpoints(stage: Path) -> list[Path]:
    numbered = [f for f in stage.glob(f"{_PREFIX}*") if f.is_dir() and _NUMBERED.fullmatch(f.name)]
    return sorted(numbered, key=checkpoint_step)


class DatasetRecord(BaseModel):
    """An entry of data.json."""

    type: str
    samples: int
    fingerprint: str

    @classmethod
    def of(cls, type_: str, dataset: Dataset) -> DatasetRecord:
        """Return what is to be said of a dataset."""
        return cls(type=type_, samples=len(dataset), fingerprint=dataset.fingerprint())


def check_data(folder: Path, stage: StageSpec, now: Sequence[DatasetRecord]) -> None:
    """Write data.json, or raise a RunError where it names other data: positions of a continued stage count on it."""
    file = folder / _DATA
    if not file.is_file():
        write_record(file, [record.model_dump() for record in now])
        return
    remedy = f"remove the folder {folder} to train the stage anew, or the file if the data is as it was"
    before = read_record(file, list[DatasetRecord], remedy)
    if len(before) != len(now):
        raise RunError(f"{file}: expected {len(now)} datasets, found {len(before)}; {remedy}")
    for index, (old, new) in enumerate(zip(before, now, strict=True)):
        if old != new:
            raise RunError(
                f"stage {stage.name}: dataset {index} ({new.type}) has changed since this stage began: it held "
                f"{old.samples} samples with fingerprint {old.fingerprint[:12]}, now {new.samples} with "
                f"{new.fingerprint[:12]}; restore the data, or train anew under another name"
            )


class _Origin(BaseModel, extra="allow"):
    package: str
    version: str


class _ComponentsRecord(BaseModel):
    """components.json of a run: where the components of its training come from."""

    components: dict[str, _Origin]


def check_components(spec: ExperimentSpec, run: RunFolder) -> None:
    """Raise a RunError where components are of another version than the training was begun with: they may compute
    something else."""
    file = run.path / _COMPONENTS
    if not is_present(file):
        return
    remedy = "remove the file, if the packages are those that the training was begun with"
    before, now = read_record(file, _ComponentsRecord, remedy).model_dump()["components"], _origins(spec)
    if others := changed(before, now):
        missing = [origin for key, origin in before.items() if origin != now.get(key)]
        packages = "; ".join(dict.fromkeys(obtain(origin["package"], origin["version"]) for origin in missing))
        raise RunError(
            f"{run.path}: this training was begun with {'; '.join(others)}, which may compute something else; to go "
            f"on, install what it was begun with: {packages}; or remove the folder {file.parent} to train "
            "anew"
        )


def note_components(spec: ExperimentSpec, run: RunFolder) -> None:
    """Write components.json, if there is none."""
    file = run.path / _COMPONENTS
    if not is_present(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_record(file, {"components": _origins(spec)})


def _origins(spec: ExperimentSpec) -> Origins:
    return origins(spec.model, spec.data.reader, spec.training)
