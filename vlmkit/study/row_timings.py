"""Measured milliseconds of the visual part of each row, all rows in one run on one machine: timings.json."""

from __future__ import annotations

from collections.abc import Mapping

from vlmkit.json_files import Record, is_present, read_record, write_record
from vlmkit.spec.identity import sha256_without_name
from vlmkit.study.rows import Study
from vlmkit.study.study_folder import StudyFolder

__all__ = ["RowTimings", "keep_timings", "read_timings"]


class RowTimings(Record):
    """The content of timings.json."""

    device: str
    """The machine, precision and threads in words."""
    milliseconds: dict[str, float]
    """Median of a forward pass over one square video, by row."""
    specs: dict[str, str]
    """Checksum of the row's experiment, by row: another one has no time."""


def keep_timings(study: Study, folder: StudyFolder, device: str, milliseconds: Mapping[str, float]) -> None:
    """Write timings.json, with the times by row."""
    timings = RowTimings(device=device, milliseconds=dict(milliseconds), specs=_specs(study))
    write_record(folder.path / "timings.json", timings.data())


def read_timings(study: Study, folder: StudyFolder) -> RowTimings | None:
    """Return what was measured of the rows as they are now; None where nothing was."""
    file = folder.path / "timings.json"
    if not is_present(file):
        return None
    found, specs = read_record(file, RowTimings), _specs(study)
    now = {row: time for row, time in found.milliseconds.items() if found.specs.get(row) == specs.get(row)}
    return RowTimings(device=found.device, milliseconds=now, specs=specs) if now else None


def _specs(study: Study) -> dict[str, str]:
    return {row.name: sha256_without_name(row.experiment) for row in study.rows}
