"""Files of studies and design spaces: which of them a file is, its validated content, and what neither may say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import ValidationError

from vlmkit.api.spec import Spec
from vlmkit.errors import SpecError, from_pydantic
from vlmkit.files import expand_path
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.spec_files import find_spec
from vlmkit.spec.tree import Placed, spec_error
from vlmkit.spec.yaml import read as read_yaml

__all__ = ["check_measures", "is_study", "read_study_file", "refuse_name_and_seed"]

S = TypeVar("S", bound=Spec)


class _Kind(NamedTuple):
    name: str
    keys: str
    use: str


_KINDS = {
    "study": _Kind("a study", "vlmkit, study, base, variants, seeds", "`vlmkit ablate {}` runs it"),
    "model": _Kind("an experiment", "vlmkit, name, model, training, evaluation", "`vlmkit run {}` runs it"),
    "design": _Kind(
        "a design space",
        "vlmkit, design, base, ranges, objectives",
        "`vlmkit design {}` explores it, and writes a study",
    ),
}
"""By the key that tells what a file is."""


def is_study(path: str | Path) -> bool:
    """Return whether a YAML file says that it is a study. A SpecError where there is none, or a design space."""
    file = find_spec(expand_path(path))
    found = _kind(read_yaml(file).value)
    if found == "design":
        raise SpecError(f"{file}: expected a study or a spec, found {_told(found, file)}")
    return found == "study"


def read_study_file(path: str | Path, kind: Literal["study", "design"], model: type[S]) -> tuple[Path, Placed, S]:
    """Return a file, its values with their places, and what they are once validated.

    A SpecError with all that is wrong with the file, or where it is of another kind.
    """
    file = find_spec(expand_path(path))
    expected = _KINDS[kind]
    values = read_yaml(file, f"the file of {expected.name}")
    found = _kind(values.value)
    if found is not None and kind not in values.value:
        told = _told(found, file)
        raise SpecError(f"{file}: expected {expected.name}, with the keys {expected.keys}; found {told}")
    try:
        return file, values, model.model_validate(values.data)
    except ValidationError as error:
        raise spec_error(from_pydantic(error), str(file), values) from None


def refuse_name_and_seed(overrides: Mapping[str, Placed], give: str) -> None:
    """Raise a SpecError, which says what to `give`, where values are set that a study gives to its runs itself."""
    for dotted, value in overrides.items():
        if dotted in ("name", "seed"):
            raise SpecError(f"{value.place}: the {dotted} of a run is the study's: give {give}")


def check_measures(experiment: ExperimentSpec, where: str, give: str) -> None:
    """Raise a SpecError, which says what to `give`, where an experiment of a study measures nothing."""
    if experiment.evaluation is None:
        raise SpecError(f"{where}: there is nothing to measure: give {give}")


def _kind(values: Any) -> str | None:
    keys: Iterable[str] = values if isinstance(values, dict) else ()
    return next((key for key in _KINDS if key in keys), None)


def _told(kind: str, file: Path) -> str:
    return f"{_KINDS[kind].name}; {_KINDS[kind].use.format(file)}"
