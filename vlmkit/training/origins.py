"""A stage that goes on must find the components that the training began with: another version may compute others."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from vlmkit.errors import RunError
from vlmkit.json_files import is_present, read_record, write_record
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import Origins, changed, origins

__all__ = ["check_origins", "note_origins"]


class _Origin(BaseModel):
    package: str
    version: str


class _Noted(BaseModel):
    components: dict[str, _Origin]


def check_origins(spec: ExperimentSpec, run: RunFolder) -> None:
    """Compare where the components of a training come from with what is written down, if anything is.

    Raises:
        RunError: some are of another version now.
    """
    file = _file(run)
    if not is_present(file):
        return
    remedy = "remove the file, if the packages are those that the training was begun with"
    before, now = read_record(file, _Noted, remedy)["components"], _origins(spec)
    if others := changed(before, now):
        packages = " ".join(dict.fromkeys(_install(before[key]) for key in before if before[key] != now.get(key)))
        raise RunError(
            f"{run.path}: this training was begun with {'; '.join(others)}, which may compute something else; to go "
            f"on, install what it was begun with: pip install {packages}; or remove the folder {file.parent} to train "
            "anew"
        )


def note_origins(spec: ExperimentSpec, run: RunFolder) -> None:
    """Write down where they come from, if nothing is."""
    file = _file(run)
    if not is_present(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_record(file, {"components": _origins(spec)})


def _file(run: RunFolder) -> Path:
    return run.path / "stages" / "components.json"


def _origins(spec: ExperimentSpec) -> Origins:
    return origins(spec.model, spec.data.reader, spec.training)


def _install(origin: dict[str, str]) -> str:
    return f"'{origin['package']}=={origin['version']}'"
