"""The designs of a design space: every combination of its ranges, or a sample, composed on the meta device."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlmkit.errors import NAME_PATTERN, SpecError, UserError, as_written, shortened
from vlmkit.progress import Progress
from vlmkit.spec.design_space import MOST_DESIGNS, Cost, DesignSpaceSpec
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import validate_spec
from vlmkit.spec.merge import apply, read_extended
from vlmkit.spec.spec_files import find_beside
from vlmkit.spec.study_files import check_measures, read_study_file, refuse_name_and_seed
from vlmkit.spec.tree import Placed, placed
from vlmkit.study.pareto import pareto_front, spread_out
from vlmkit.study.rows import below
from vlmkit.summary import Summary, summarize

__all__ = ["Design", "DesignSpace", "Explored", "costs_of", "explore", "load_space"]

_LONGEST_NAME = 80


@dataclass(frozen=True)
class DesignSpace:
    """A design-space file with its base, both validated."""

    file: Path
    spec: DesignSpaceSpec
    base: Placed
    """The values of the base, with those that are set for all designs."""
    values: Mapping[str, Sequence[Placed]]
    """Of each range, by dotted path."""

    @property
    def combinations(self) -> int:
        """The number of all combinations of the ranges."""
        return math.prod(map(len, self.values.values()))

    def drawn(self) -> list[int]:
        """Return the numbers of the combinations that are looked at, from 0, ascending."""
        sample = self.spec.sample
        if sample is None or sample.designs >= self.combinations:
            return list(range(self.combinations))
        rng, drawn = random.Random(sample.seed), set[int]()  # noqa: S311 -- nothing is kept secret
        while len(drawn) < sample.designs:
            drawn.add(rng.randrange(self.combinations))
        return sorted(drawn)

    def changes(self, number: int) -> dict[str, Placed]:
        """Return the values of one combination; those of the last range change fastest."""
        chosen = {}
        for dotted, values in reversed(list(self.values.items())):
            number, place = divmod(number, len(values))
            chosen[dotted] = values[place]
        return {dotted: chosen[dotted] for dotted in self.values}

    def experiment(self, changes: Mapping[str, Placed]) -> ExperimentSpec:
        """Return the base with some values. A SpecError where they do not fit together."""
        values = self.base
        for dotted, value in changes.items():
            values = apply(values, dotted, value)
        return validate_spec(values, str(self.file))


@dataclass(frozen=True)
class Design:
    """One combination of values that fits together."""

    name: str
    label: str
    """The values in words: `width 64, size 48`."""
    changes: Mapping[str, Any]
    """By dotted path."""
    costs: Mapping[Cost, float]


@dataclass(frozen=True)
class Explored:
    """The designs of a space, its Pareto front and the designs to train."""

    space: DesignSpace
    base: Mapping[Cost, float]
    """Costs of the base itself."""
    designs: tuple[Design, ...]
    """Those that fit together and keep the limits."""
    front: tuple[int, ...]
    """Positions of those on the Pareto front."""
    survivors: tuple[int, ...]
    """Positions of those of the front that are to be trained."""
    misfits: Mapping[str, int] = field(default_factory=dict)
    """How many do not fit together, by reason."""
    beyond: Mapping[str, int] = field(default_factory=dict)
    """How many do not keep a limit, by limit."""


def load_space(path: str | Path) -> DesignSpace:
    """Read and validate a design-space file and its base.

    A SpecError with all that is wrong with the file, with line, or with the base.
    """
    file, values, spec = read_study_file(path, "design", DesignSpaceSpec)
    base = read_extended(find_beside(file, spec.base))
    changes, given, measured = below(values, "set"), below(values, "ranges"), below(values.value["runs"], "set")
    refuse_name_and_seed({**changes, **given, **measured}, "`seeds` in `runs`")
    for dotted, value in changes.items():
        base = apply(base, dotted, value)
    ranges = {dotted: list(_values(given[dotted], one.values())) for dotted, one in spec.ranges.items()}
    space = DesignSpace(file, spec, base, ranges)
    if spec.sample is None and space.combinations > MOST_DESIGNS:
        raise SpecError(
            f"{values.place_of(('ranges',))}: these ranges have {space.combinations:,} combinations, expected at most "
            f"{MOST_DESIGNS:,}; give `sample: {{designs: 200}}`, or fewer values"
        )
    if spec.runs.benchmarks is not None:
        measured["evaluation.benchmarks"] = values.value["runs"].value["benchmarks"]
    check_measures(space.experiment(measured), str(file), "`benchmarks` in `runs`, or a base with `evaluation`")
    return space


def _values(given: Placed, values: Sequence[Any]) -> Iterator[Placed]:
    """Yield the values of a range with their places: each its own in a list, all that of the range elsewhere."""
    listed = given.value if isinstance(given.value, list) else None
    if listed is None and "values" in given.value:
        listed = given.value["values"].value
    yield from listed if listed is not None else (placed(value, given.place) for value in values)


def costs_of(summary: Summary) -> dict[Cost, float]:
    """Return the costs that can be limited or traded off."""
    memory = max((stage.memory["1"] for stage in summary.stages), default=0)
    return {
        "parameters": summary.visual_parameters,
        "tokens": summary.tokens["square"],
        "operations": summary.macs,
        "memory": round(memory / 2**30, 3),
    }


def explore(space: DesignSpace) -> Explored:
    """Compose every design on the meta device, find the Pareto front, and choose whom to train.

    A UserError where the base does not fit together, or no design fits and keeps the limits.
    """
    base = costs_of(summarize(space.experiment({})))
    misfits = _Reasons()
    beyond: Counter[str] = Counter()
    designs: list[Design] = []
    numbers = space.drawn()
    with Progress("designs", len(numbers)) as progress:
        for number in numbers:
            changes = space.changes(number)
            try:
                costs = costs_of(summarize(space.experiment(changes)))
            except UserError as error:
                misfits.add(_reason(error, space))
            else:
                if said := _beyond(space.spec, costs):
                    beyond[said] += 1
                else:
                    designs.append(_named(number, changes, costs))
            progress.advance()
            progress.tell(f"{progress.done:,} of {progress.total:,}")
    if not designs:
        reasons = "; ".join(
            f"{count:,}: {reason}" for reason, count in [*beyond.items(), *misfits.counted().items()][:5]
        )
        raise SpecError(f"{space.file}: none of {len(numbers):,} designs fits together and keeps the limits: {reasons}")
    front = pareto_front([_point(space.spec, design) for design in designs])
    chosen = spread_out([_point(space.spec, designs[place], math.log1p) for place in front], space.spec.survivors)
    survivors = tuple(front[number] for number in chosen)
    return Explored(space, base, tuple(designs), tuple(front), survivors, misfits.counted(), dict(beyond))


def _named(number: int, changes: Mapping[str, Placed], costs: Mapping[Cost, float]) -> Design:
    """Return a design called by its values, or by its number where a value is longer than a word."""
    plain = {dotted: value.data for dotted, value in changes.items()}
    label = ", ".join(f"{dotted.rpartition('.')[2]} {_said(value)}" for dotted, value in plain.items())
    short = all(len(value) == 1 for value in plain.values() if isinstance(value, dict | list))
    words = label.lower().replace(", ", "-").replace(" ", "-") if short else ""
    name = words if len(words) <= _LONGEST_NAME and re.match(NAME_PATTERN, words) else f"design-{number}"
    return Design(name, shortened(label, 200), plain, costs)


def _said(value: Any) -> str:
    if isinstance(value, dict) and "type" in value:
        more = [f"{key} {_said(one)}" for key, one in value.items() if key != "type"]
        return " ".join([str(value["type"]), *more])
    return value if isinstance(value, str) else as_written(value)


def _point(spec: DesignSpaceSpec, design: Design, scale: Callable[[float], float] = float) -> list[float]:
    """Return the objectives as numbers to be minimized."""
    costs = [(scale(design.costs[cost]), way) for cost, way in spec.objectives.items()]
    return [value if way == "minimize" else -value for value, way in costs]


def _beyond(spec: DesignSpaceSpec, costs: Mapping[Cost, float]) -> str:
    for cost, limit in spec.limits.items():
        if limit.at_most is not None and costs[cost] > limit.at_most:
            return f"{cost} above {limit.at_most:,.12g}"
        if costs[cost] < limit.at_least:
            return f"{cost} below {limit.at_least:,.12g}"
    return ""


def _reason(error: UserError, space: DesignSpace) -> str:
    """Return the first problem, without the head of the message and the place."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[1] if len(lines) > 1 and lines[0].startswith(f"{space.file}: this spec has") else lines[0]
    return re.sub(r"^\S+:\d+: ", "", first)


class _Reasons:
    """Counts of reasons; those that differ in numbers alone are one, told as it was found first."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        """One design more."""
        key = re.sub(r"\d[\d,.]*", "0", reason)
        self._first.setdefault(key, reason)
        self._counts[key] += 1

    def counted(self) -> dict[str, int]:
        """Return how many designs each reason concerns, the most frequent one first."""
        return {self._first[key]: count for key, count in self._counts.most_common()}
