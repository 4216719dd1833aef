"""A study file: a base experiment, variants of it, seeds and benchmarks, which become an ablation table."""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from vlmkit.api.bounds import Name
from vlmkit.api.spec import Spec
from vlmkit.spec.evaluation import BenchmarkUse

__all__ = ["Benchmarks", "BudgetSpec", "Metrics", "Overrides", "PublishedSource", "RowSpec", "Seeds", "StopSpec",
           "StudySpec", "VariantSpec"]  # fmt: skip

_MOST_VARIANTS = 1000

Scores = dict[str, dict[str, Annotated[float, Field(allow_inf_nan=False)]]]
Overrides = Annotated[dict[str, Any], Field(max_length=200)]
"""Values by dotted path, as `--set` takes them."""
Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1, max_length=1000)]
Benchmarks = Annotated[list[BenchmarkUse], Field(min_length=1, max_length=200)]
Metrics = Annotated[list[str], Field(min_length=1, max_length=50)]
_Values = Annotated[list[Any], Field(min_length=1, max_length=100)]


class RowSpec(Spec):
    """A row of the table: the fields that all rows have."""

    label: str = Field(default="", max_length=200)
    """How the row is called in the table; empty: its name."""
    published: Scores = Field(default={}, max_length=100)
    """What was published for it, by benchmark and metric, in our units: `{msvd-qa: {accuracy: 0.634, score: 3.7}}`."""


class BaseSpec(RowSpec):
    """The experiment that the others are compared with."""

    spec: str
    """Its spec file, relative to the study file; the shipped ones are found by their names."""


class VariantSpec(RowSpec):
    """One other row: the base with something changed."""

    name: Name
    """Its name; its runs are called after it."""
    spec: str | None = None
    """A spec file in the place of the base."""
    set: Overrides = Field(default_factory=dict)
    """Values by dotted path, as `--set` takes them: `{model.aligner.fsra: false}`."""

    @model_validator(mode="after")
    def _differs(self) -> VariantSpec:
        if self.spec is None and not self.set:
            raise ValueError("it changes nothing: give `set`, values by dotted path, or `spec`, a spec file")
        return self


class PublishedSource(Spec):
    """Where the published scores come from, and how they were made."""

    source: str
    """Paper and table."""
    judge: str = ""
    """Who judged the answers."""
    split: str = ""
    """Of the benchmarks."""
    frames: str = ""
    """How many of a video, and which."""


class StopSpec(Spec):
    """When a row is given no more seeds. Intervals and p values then hold after every seed at once, and are wider."""

    difference: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """A row ends when its difference is significant, or when its interval says that it differs by less than this:
    points (of 100) of an accuracy, other metrics in their own unit."""
    benchmark: str | None = None
    """The one that counts, by its first column in the table; None: the first one."""


class BudgetSpec(Spec):
    """The most that a study may cost, as a timed probe estimates it before anything runs. What its runs, or others
    under the same output folder, have made already costs nothing."""

    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Of all runs one after the other; None: any."""
    disk_gib: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Of all run folders; None: any."""


class StudySpec(Spec):
    """A study."""

    vlmkit: Literal[1]
    """Version of this format."""
    study: Name
    """Its name; its runs lie in runs/NAME."""
    title: str = Field(default="", max_length=500)
    """What it asks, for the head of the table."""
    base: BaseSpec
    """The experiment that the others are compared with, or its spec file alone."""
    set: Overrides = Field(default_factory=dict)
    """Values by dotted path for all rows, e.g. a shorter training."""
    variants: Annotated[list[VariantSpec], Field(max_length=_MOST_VARIANTS)] = Field(default_factory=list)
    """The other rows."""
    grid: Annotated[dict[str, _Values], Field(max_length=10)] = Field(default_factory=dict)
    """Further rows: every combination of these values, by dotted path."""
    seeds: Seeds
    """Each row is trained with each of them."""
    benchmarks: Benchmarks | None = None
    """On what all rows are measured; None: as the base's spec says."""
    metrics: Metrics | None = None
    """Columns of the table; None: the first metric of each benchmark."""
    fixed: Literal["steps", "tokens", "operations", "parameters"] = "steps"
    """What has to be equal in all rows for a fair comparison; a row that differs says by how much."""
    correction: Literal["holm", "none"] = "holm"
    """Of the tests against the base, for looking at many rows."""
    seed_variance: Literal["pooled", "own"] = "pooled"
    """How the chance of a training is known: from all rows together, as in an analysis of variance, or from the seeds
    of the row (and the base) alone, which takes many of them."""
    budget: BudgetSpec | None = None
    """A study that would cost more is not begun; None: nothing is estimated."""
    stop_when: StopSpec | None = None
    """Rows may end before they have all seeds; None: every row has all of them."""
    published: PublishedSource | None = None
    """Where the published scores of the rows come from."""

    @field_validator("base", mode="before", json_schema_input_type=str | BaseSpec)
    @classmethod
    def _file_alone(cls, value: Any) -> Any:
        return {"spec": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_together(self) -> StudySpec:
        if not self.variants and not self.grid:
            raise ValueError("expected something to compare with the base: give `variants` or `grid`")
        combinations = math.prod(map(len, self.grid.values())) if self.grid else 0
        if combinations + len(self.variants) > _MOST_VARIANTS:
            raise ValueError(f"{combinations:,} combinations of `grid`: expected at most {_MOST_VARIANTS:,} rows")
        names = Counter(["base", *(variant.name for variant in self.variants)])
        name, count = names.most_common(1)[0]
        if count > 1:
            raise ValueError(
                f"{count} rows are called {name!r}: give each variant a name of its own, other than `base`"
            )
        if repeated := [seed for seed, count in Counter(self.seeds).items() if count > 1]:
            raise ValueError(f"the seed {repeated[0]} stands there twice: name each once")
        if self.stop_when is not None and len(self.seeds) < 3:
            raise ValueError("`stop_when` looks at the rows after two seeds or more: give at least three `seeds`")
        rows: list[RowSpec] = [self.base, *self.variants]
        if self.published is None and any(row.published for row in rows):
            raise ValueError("rows have `published` scores: say in `published` of the study where they come from")
        return self
