"""The kind `harness`: another framework with benchmarks of its own, which measures the model of a run on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field

from vlmkit.api.contract import (
    Contract,
    ContractError,
    Promise,
    Promises,
    builds,
    check_int,
    check_number,
    check_text,
    check_type,
    versioned,
)
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import shown

__all__ = ["Harness", "HarnessPart", "HarnessResult", "HarnessScore", "HarnessSpec", "HarnessTask"]


@dataclass(frozen=True)
class HarnessTask:
    """A benchmark of another framework, as it is known before a model is loaded."""

    version: str
    """Changes whenever its scores may, by the framework's own numbering."""
    split: str
    asked: str
    """Fingerprint of all requests as they are put, and of how the replies are scored."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How it is run, for people: `{num_fewshot: 5}`. Plain data."""


@dataclass(frozen=True)
class HarnessScore:
    """One metric. Its 95% interval comes from `values` where there are some, else from `draws`."""

    value: float
    values: Sequence[float] = ()
    """Those of the single documents, of which `value` is the mean."""
    strata: Sequence[str] = ()
    """The part that each document belongs to, where `value` is the mean of the parts' means."""
    draws: Sequence[float] = ()
    """The metric of documents drawn with replacement, at least 100 times: the bootstrap."""


@dataclass(frozen=True)
class HarnessPart:
    """The scores of some documents."""

    documents: int
    metrics: Mapping[str, HarnessScore]


@dataclass(frozen=True)
class HarnessResult(HarnessPart):
    """The scores of a benchmark."""

    parts: Mapping[str, HarnessPart] = field(default_factory=dict)
    """By part, of a benchmark that has several."""
    samples: Sequence[Mapping[str, Any]] = ()
    """What was asked and replied, one row of plain data for each document."""


def _task(harness: object, found: object, *_: object) -> HarnessTask:
    task: HarnessTask = check_type(found, HarnessTask)
    for name in ("version", "split", "asked"):
        if not check_text(getattr(task, name), f"`{name}`"):
            raise ContractError(f"gives a HarnessTask whose `{name}` is empty")
    check_type(task.settings, Mapping, "`settings` as a mapping")
    return task


def _result(harness: object, found: object, *_: object) -> HarnessResult:
    result: HarnessResult = check_type(found, HarnessResult)
    for part in (result, *result.parts.values()):
        check_int(harness, check_type(part, HarnessPart).documents, what="the documents ")
        for name, score in part.metrics.items():
            _check_score(check_text(name, "the name of a metric"), check_type(score, HarnessScore))
    return result


def _check_score(name: str, score: HarnessScore) -> None:
    value = check_number(score.value, name)
    if bool(score.values) == (len(score.draws) >= 100):
        raise ContractError(
            f"gives {len(score.values)} values and {len(score.draws)} draws of {name}, expected values of the "
            "documents, or at least 100 draws"
        )
    for one in (*score.values, *score.draws):
        check_number(one, f"{name} of a document or draw")
    if score.strata and len(score.strata) != len(score.values):
        raise ContractError(f"gives {len(score.strata)} strata for {len(score.values)} values of {name}")
    if score.values:
        by_part: dict[str, list[float]] = {}
        for one, part in zip(score.values, score.strata or [""] * len(score.values), strict=True):
            by_part.setdefault(part, []).append(one)
        mean = sum(sum(some) / len(some) for some in by_part.values()) / len(by_part)
        if abs(mean - value) > 1e-6 * max(1.0, abs(value)):
            raise ContractError(f"gives {name} {shown(value)}, but the mean of its values is {mean:g}")


class Harness(Contract, ABC):
    """Runs one benchmark of another framework on a model, all of it in one process."""

    _promises: ClassVar[Promises] = {"prepare": Promise(_task), "measure": Promise(_result)}

    version: str
    """Name and version of the framework: `lm_eval 0.4.13`."""

    @abstractmethod
    def prepare(self, limit: int | None) -> HarnessTask:
        """Find and read all that the benchmark needs besides a model. A `DataError` where something is missing: it is
        called before a training begins. `limit`: only the first so many documents."""

    @abstractmethod
    def measure(self, model: Any, processor: Any, batch_size: int, limit: int | None) -> HarnessResult:
        """Return the scores of a `VideoLM`, which comes with its processor, loaded and on its device."""


class HarnessSpec(ComponentSpec):
    """Options of a harness. A benchmark of it is called `TYPE:TASK` in a spec, with options beside that name."""

    kind: ClassVar[str] = "harness"
    _promises: ClassVar[Promises] = {"build": builds(f"{__name__}:Harness", versioned("a harness", "scores"))}

    task: Annotated[str, Field(min_length=1, max_length=300)]
    """Name of the benchmark."""

    @abstractmethod
    def build(self) -> Harness:
        """The harness."""
