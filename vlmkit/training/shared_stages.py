"""Stages that another run has trained already are taken from it: variants of a study often begin alike."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from vlmkit.files import atomic_folder
from vlmkit.json_files import BadSample, json_line, read_json_lines, read_record, write_record
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import identity, stage_identity
from vlmkit.training.checkpoint import check_components, check_finished, is_finished, note_components
from vlmkit.training.metrics import STAGE_RECORD, StageRecord

__all__ = ["take_stages"]


def take_stages(spec: ExperimentSpec, run: RunFolder, others: Sequence[RunFolder]) -> list[str]:
    """Put the finished stages of other runs into a run that would train them to the same weights.

    That are its first stages as far as `stage_identity` is equal. Files are shared with the other run as hard links
    where the file system has them. What the run has begun itself is left alone.

    Args:
        spec: the spec of the run.
        run: the run folder, of this spec.
        others: run folders; those that hold no spec are passed over.

    Returns:
        Names of the folders of the stages that were taken.

    Raises:
        CheckpointError: a stage that is to be taken is damaged.
        RunError: it was trained with components of another version than those here.
    """
    specs = [(other, other.spec()) for other in others if other.spec_file.is_file() and other.path != run.path]
    taken: list[str] = []
    for number, stage in enumerate(spec.training.stages if spec.training else (), 1):
        folder = run.stage(number, stage.name)
        if is_finished(folder):
            continue
        wanted = stage_identity(spec, number)
        source = next((pair for pair in specs if _has(*pair, number, stage.name, wanted)), None)
        if folder.exists() or source is None:
            break
        _take(*source, source[0].stage(number, stage.name), folder, identity(spec))
        _note_bad_samples(source[0], run, f"stages/{folder.name}")
        taken.append(folder.name)
    if taken:
        note_components(spec, run)
    return taken


def _has(other: RunFolder, spec: ExperimentSpec, number: int, name: str, wanted: str) -> bool:
    """Return whether a run has finished this very stage."""
    if spec.training is None or len(spec.training.stages) < number or not is_finished(other.stage(number, name)):
        return False
    return stage_identity(spec, number) == wanted


def _take(other: RunFolder, spec: ExperimentSpec, source: Path, target: Path, run: str) -> None:
    check_components(spec, other)
    check_finished(source, identity(spec))
    record = read_record(source / STAGE_RECORD, StageRecord)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(target) as made:
        for name in record.files:
            try:
                os.link(source / name, made / name)
            except OSError:  # another file system, or one without links
                shutil.copyfile(source / name, made / name)
        origin = record.taken_from or other.path.name
        write_record(made / STAGE_RECORD, record.model_copy(update={"run": run, "taken_from": origin}).model_dump())


def _note_bad_samples(other: RunFolder, run: RunFolder, where: str) -> None:
    """Copy what the other run has written down of samples that could not be read in this stage."""
    known = {(line.where, line.id) for line in run.bad_lines()}
    lines = [line for line in read_json_lines(other.bad_samples, BadSample) if line.where == where]
    new = "".join(json_line(line.model_dump()) for line in lines if (where, line.id) not in known)
    if new:
        with run.bad_samples.open("a", encoding="utf-8") as file:
            file.write(new)
