"""Measured milliseconds of the visual part of each row, all in one run on one machine: timings.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from vlmkit.json_files import Record, is_present, read_record, write_record
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.study.rows import Study
from vlmkit.study.study_folder import StudyFolder

__all__ = ["RowTimings", "aligners_of", "keep_timings", "read_timings"]


class RowTimings(Record):
    """The content of timings.json."""

    device: str
    """The machine, precision and threads in words."""
    milliseconds: dict[str, float]
    """Median of a forward pass over one square video, by a checksum of the model's spec."""

    def of(self, experiment: ExperimentSpec) -> float | None:
        """Return the time of an experiment's model; None where it was not measured."""
        return self.milliseconds.get(_checksum(experiment))


def aligners_of(study: Study) -> dict[str, ExperimentSpec]:
    """Return one experiment for each model of the study, by checksum: rows often differ in their training alone."""
    found: dict[str, ExperimentSpec] = {}
    for row in study.rows:
        found.setdefault(_checksum(row.experiment), row.experiment.model_copy(update={"name": row.name}))
    return found


def keep_timings(folder: StudyFolder, device: str, milliseconds: Mapping[str, float]) -> None:
    """Write timings.json, with the times by checksum."""
    write_record(folder.path / "timings.json", RowTimings(device=device, milliseconds=dict(milliseconds)).data())


def read_timings(folder: StudyFolder) -> RowTimings | None:
    """Return what was measured; None where nothing was."""
    file = folder.path / "timings.json"
    return read_record(file, RowTimings) if is_present(file) else None


def _checksum(experiment: ExperimentSpec) -> str:
    return hashlib.sha256(json.dumps(experiment.model.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
