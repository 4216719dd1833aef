"""The lists of published numbers in `benchmarks_registry/published/`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from vlmkit.errors import DataError, problem_list
from vlmkit.files import shipped_folder
from vlmkit.spec.yaml import read as read_yaml

__all__ = ["PublishedCounts", "PublishedList", "PublishedNumber", "PublishedPair", "PublishedSystem", "read_published"]


class _Listed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedNumber(_Listed):
    """One number that others publish."""

    published: str
    """As it is printed: its decimals say how exactly it can be compared."""
    what: Literal["score", "mean", "right", "questions", "standard-error", "contradictions"] = "score"
    """`score` is the protocol's aggregate, `mean` that over questions; the standard error is the clustered one."""
    metric: str = "accuracy"
    """Accuracy and its standard error are in percent, all other metrics as they are."""
    where: dict[str, str | list[str]] = {}
    """Only the questions with these values, by column: `type`, `task` or a tag."""


class PublishedSystem(_Listed):
    """One system: its answers, how they are scored, and its numbers. Paths are below the folder of the data."""

    name: str
    answers: list[str]
    """Files or folders."""
    verdicts: list[str] = []
    """Of a judge, where they are files of their own."""
    take_judged: bool = False
    """Take the answers that were judged, where the files have other ones."""
    column: str = ""
    vocabulary: str | None = None
    split: str | None = None
    protocol: str | None = None
    """None: the default one."""
    judge: str | None = None
    """Whose stored verdicts decide; `exact`: no language model, but exact match; None: the protocol's own judge."""
    partial: bool = False
    """There are answers to a part of the questions."""
    numbers: list[PublishedNumber]


class PublishedPair(_Listed):
    """Two systems on the same questions, by name."""

    first: str
    second: str
    numbers: dict[Literal["only_first", "only_second", "difference", "low", "high", "p"], str]
    """Questions that one of them alone has right; difference with its 95% interval, points; p of McNemar's test."""


class PublishedCounts(_Listed):
    """A system of which only the right and all answers of each task are public, and two ways to sum them up."""

    name: str
    file: str
    """JSON: {task: {correct, total}}."""
    tasks: list[str]
    """Those that count; the file may also have sums."""
    micro: str
    macro: str


class PublishedList(_Listed):
    """The numbers of one benchmark."""

    title: str
    source: str
    """Repository, commit and folder of the answers."""
    benchmark: str | None = None
    """Name of the registry's entry; None where there are counts alone."""
    annotations: str | None = None
    """Folder of the annotation files; None: the questions are those of `documents`."""
    documents: str | None = None
    """A file of answers that also says what is right; None: the system's own."""
    letters: int = 0
    """How many options each question has, where the files name options by their letters alone."""
    systems: list[PublishedSystem] = []
    pairs: list[PublishedPair] = []
    counts: list[PublishedCounts] = []

    @model_validator(mode="after")
    def _says_the_benchmark(self) -> Self:
        if self.systems and self.benchmark is None:
            raise ValueError("expected `benchmark`, the registry's entry by which the systems are scored")
        names = [system.name for system in self.systems]
        if unknown := [name for pair in self.pairs for name in (pair.first, pair.second) if name not in names]:
            raise ValueError(f"expected pairs of the systems {', '.join(names)}, found {unknown[0]!r}")
        return self


def read_published(folder: Path | None = None) -> list[PublishedList]:
    """Return the lists of a folder, by default the registry's own, by name. A DataError where one is malformed."""
    place = folder or shipped_folder("benchmarks_registry") / "published"
    files = sorted(place.glob("*.yaml"))
    if not files:
        raise DataError(f"{place}: expected lists of published numbers, *.yaml; there are none")
    return [_read(file) for file in files]


def _read(file: Path) -> PublishedList:
    try:
        return PublishedList.model_validate(read_yaml(file, "published numbers", DataError).data)
    except ValidationError as error:
        raise DataError(problem_list(error, f"{file}: this list has")) from None
