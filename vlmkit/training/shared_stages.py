"""Stages that another run has trained already are taken from it: variants of a study often begin alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vlmkit.files import atomic_folder, link_file
from vlmkit.json_files import BadSample, json_line, read_json_lines, read_record, write_record
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec, StageSpec
from vlmkit.spec.identity import identity, sha256_without_name, stage_identity
from vlmkit.training.checkpoint import (
    DatasetRecord,
    check_components,
    check_data,
    check_finished,
    is_finished,
    note_components,
)
from vlmkit.training.metrics import STAGE_RECORD, StageRecord

__all__ = ["SharedRun", "take_stages"]


@dataclass(frozen=True)
class SharedRun:
    """A run that may have stages in common with others."""

    folder: RunFolder
    spec: ExperimentSpec
    place: str
    """The name of the run; `STUDY/NAME` of one of another study."""

    @cached_property
    def sha256(self) -> str:
        """Of all that its spec says but for the name."""
        return sha256_without_name(self.spec)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The identity of each stage."""
        count = len(self.spec.training.stages) if self.spec.training else 0
        return tuple(stage_identity(self.spec, number) for number in range(1, count + 1))

    def common(self, other: SharedRun) -> int:
        """Return how many stages are the same in another run, from the first one on."""
        pairs = enumerate(zip(self.stages, other.stages, strict=False))
        return next((i for i, (mine, theirs) in pairs if mine != theirs), min(len(self.stages), len(other.stages)))

    def stage(self, number: int) -> Path:
        """Return the folder of a stage; `number` counts from 1."""
        assert self.spec.training is not None
        return self.folder.stage(number, self.spec.training.stages[number - 1].name)

    def missing(self) -> list[str]:
        """Return the identities of the stages that are not done."""
        return [stage for number, stage in enumerate(self.stages, 1) if not is_finished(self.stage(number))]

    def has_finished(self, number: int) -> bool:
        """Return whether the first so many stages are done."""
        return all(is_finished(self.stage(one)) for one in range(1, number + 1))


def take_stages(
    run: SharedRun, others: Sequence[SharedRun], known: dict[str, DatasetRecord] | None = None
) -> list[str]:
    """Put the finished stages of other runs into a run that would train them to the same weights.

    These are its first stages, as far as `stage_identity` is equal. Files are shared with the other run as hard links
    where the file system has them. What the run has begun itself is left alone.

    Args:
        run: the run, whose folder is there.
        others: runs, which need not have begun.
        known: the datasets that were looked at, by their specs: they are the same for many runs.

    Returns:
        Names of the folders of the stages that were taken.

    Raises:
        CheckpointError: a stage that is to be taken is damaged.
        RunError: it was trained with components of another version than those here, or the data has changed since.
        DataError: the data cannot be read.
    """
    known = {} if known is None else known
    taken: list[str] = []
    for number, stage in enumerate(run.spec.training.stages if run.spec.training else (), 1):
        folder = run.stage(number)
        if is_finished(folder):
            continue
        alike = (other for other in others if other.folder.path != run.folder.path and other.common(run) >= number)
        source = next((other for other in alike if is_finished(other.stage(number))), None)
        if folder.exists() or source is None:
            break
        bad_samples = _bad_samples(source.folder, run.folder, f"stages/{folder.name}")
        environments = _environments(source.folder, run.folder)
        _take(source, number, folder, identity(run.spec), _datasets(stage, known))
        if bad_samples:
            with run.folder.bad_samples.open("a", encoding="utf-8") as file:
                file.writelines(json_line(line.model_dump()) for line in bad_samples)
        write_record(run.folder.environment_file, environments)
        taken.append(folder.name)
    if taken:
        note_components(run.spec, run.folder)
    return taken


def _datasets(stage: StageSpec, known: dict[str, DatasetRecord]) -> list[DatasetRecord]:
    keys = [spec.model_dump_json() for spec in stage.data]
    for key, spec in zip(keys, stage.data, strict=True):
        if key not in known:
            known[key] = DatasetRecord.of(spec.type, spec.build())
    return [known[key] for key in keys]


def _take(other: SharedRun, number: int, target: Path, run: str, datasets: Sequence[DatasetRecord]) -> None:
    source = other.stage(number)
    assert other.spec.training is not None
    check_components(other.spec, other.folder)
    check_finished(source, identity(other.spec))
    check_data(source, other.spec.training.stages[number - 1], datasets)
    record = read_record(source / STAGE_RECORD, StageRecord)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(target) as made:
        for name in record.files:
            link_file(source / name, made / name)
        origin = record.taken_from or other.place
        write_record(made / STAGE_RECORD, record.model_copy(update={"run": run, "taken_from": origin}).model_dump())


def _bad_samples(other: RunFolder, run: RunFolder, where: str) -> list[BadSample]:
    """Return what the other run alone has written down of samples that could not be read in a stage."""
    known = {(line.where, line.id) for line in run.bad_lines()}
    lines = read_json_lines(other.bad_samples, BadSample)
    return [line for line in lines if line.where == where and (where, line.id) not in known]


def _environments(other: RunFolder, run: RunFolder) -> list[dict[str, Any]]:
    """Return the environments of a run, and after them those of the other one, of which a stage becomes part of it."""
    known = run.environments()
    return [*known, *(entry for entry in other.environments() if entry not in known)]
