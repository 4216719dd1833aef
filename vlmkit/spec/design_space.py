"""A design-space file: a base experiment, ranges of its values, limits and objectives, from which designs are drawn."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vlmkit.api.bounds import Count, Name, Seed
from vlmkit.api.spec import Spec
from vlmkit.spec.study import Benchmarks, Metrics, Overrides, Seeds

__all__ = ["MOST_DESIGNS", "Cost", "DesignSpaceSpec", "LimitSpec", "RangeSpec"]

MOST_DESIGNS = 10_000
"""Designs that are composed; of more, a sample is drawn."""
_MOST_VALUES = 1000
"""Of one range."""

Cost = Literal["parameters", "tokens", "operations", "memory"]
"""Parameters of the aligner and of layers inside the LLM; of the aligner, tokens of a square video and
multiply-accumulates for it. Of the training: memory, the most that a stage is estimated to need on one GPU, GiB."""
_Number = Annotated[int | float, Field(allow_inf_nan=False)]


class RangeSpec(Spec):
    """The values of one key: a list of them, or numbers from one to another."""

    listed: Annotated[list[Any], Field(min_length=1, max_length=_MOST_VALUES)] | None = Field(None, alias="values")
    """Values of any sort."""
    first: _Number | None = Field(default=None, alias="from")
    """The first number."""
    last: _Number | None = Field(default=None, alias="to")
    """No number is larger."""
    step: Annotated[_Number, Field(gt=0)] | None = None
    """How much is added from one number to the next."""
    factor: Annotated[_Number, Field(gt=1)] | None = None
    """By what the next number is larger, in the place of a step."""

    @model_validator(mode="after")
    def _is_one_of_two(self) -> RangeSpec:
        numbers = (self.first, self.last, self.factor if self.step is None else self.step)
        given = [one for one in (self.first, self.last, self.step, self.factor) if one is not None]
        if self.listed is not None and not given:
            return self
        if self.listed is not None or None in numbers or len(given) != 3:
            raise ValueError("expected a list of values, or {from: 32, to: 128, step: 32}, or the same with a factor")
        if self.last < self.first:  # type: ignore[operator]
            raise ValueError(f"expected `to` of at least {self.first:g}, found {self.last:g}; exchange them")
        if self.factor is not None and self.first <= 0:  # type: ignore[operator]
            raise ValueError(f"expected `from` above 0 with a factor, found {self.first:g}")
        if len(self.values()) > _MOST_VALUES:
            raise ValueError(f"these are more than {_MOST_VALUES:,} numbers; make the step larger")
        return self

    def values(self) -> list[Any]:
        """Return the values; numbers are whole where all that was given is whole."""
        if self.listed is not None:
            return self.listed
        assert self.first is not None
        assert self.last is not None
        values: list[Any] = []
        for number in range(_MOST_VALUES + 1):
            value = self.first + number * self.step if self.step else self.first * (self.factor or 2) ** number
            if value > self.last and not math.isclose(value, self.last, rel_tol=1e-9):
                break
            values.append(value if isinstance(value, int) else float(f"{value:.12g}"))
        return values


class LimitSpec(Spec):
    """Between which numbers a cost has to be."""

    at_least: Annotated[_Number, Field(ge=0)] = 0
    """The least."""
    at_most: Annotated[_Number, Field(ge=0)] | None = None
    """The most; None: anything."""


class SampleSpec(Spec):
    """So many designs, drawn without repetition."""

    designs: Annotated[int, Field(gt=0, le=MOST_DESIGNS)]
    """How many are drawn; all, where there are no more."""
    seed: Seed = 0
    """Of the draw."""


class SurvivorRuns(Spec):
    """How the chosen designs are trained and measured: what a study file says of its rows."""

    set: Overrides = Field(default_factory=dict)
    """Values by dotted path, e.g. a shorter training."""
    seeds: Seeds
    """Each is trained with each of them."""
    benchmarks: Benchmarks | None = None
    """On what they are measured; None: as the base says."""
    metrics: Metrics | None = None
    """Columns of the table; None: the first metric of each benchmark."""


class DesignSpaceSpec(Spec):
    """A design space."""

    vlmkit: Literal[1]
    """Version of this format."""
    design: Name
    """Its name, and that of the study of the chosen designs."""
    title: str = Field(default="", max_length=500)
    """A heading for the tables."""
    base: str
    """A spec file, relative to this file; the shipped ones are found by their names."""
    set: Overrides = Field(default_factory=dict)
    """Values by dotted path for all designs."""
    ranges: Annotated[dict[str, RangeSpec], Field(min_length=1, max_length=20)]
    """Values that vary, by dotted path: a list of values, or `{from: 32, to: 128, step: 32}`, or with a factor."""
    limits: dict[Cost, LimitSpec] = Field(default_factory=dict)
    """Bounds of the costs: a number that must not be exceeded, or `{at_least: …, at_most: …}`."""
    sample: SampleSpec | None = None
    """So many of the combinations; None: all of them."""
    objectives: Annotated[dict[Cost, Literal["minimize", "maximize"]], Field(min_length=1)]
    """Costs that are traded off: a design is on the Pareto front if no other is at least as good in all of them and
    better in one. A cost can stand for what it brings before anything is trained: `{operations: minimize, tokens:
    maximize}`."""
    survivors: Annotated[Count, Field(le=999)] = 8
    """Most designs of the front that are trained: where it has more, those farthest from each other."""
    runs: SurvivorRuns
    """How they are trained and measured."""

    @field_validator("ranges", mode="before", json_schema_input_type=dict[str, RangeSpec | list[Any]])
    @classmethod
    def _list_alone(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: {"values": one} if isinstance(one, list) else one for key, one in value.items()}

    @field_validator("limits", mode="before", json_schema_input_type=dict[Cost, LimitSpec | _Number])
    @classmethod
    def _number_alone(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        numbers = {key: {"at_most": one} for key, one in value.items() if isinstance(one, int | float)}
        return {**value, **numbers}
