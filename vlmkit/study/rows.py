"""A study file becomes the rows of a table, and the runs that they need; rows that are equal share their runs."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmkit.errors import SpecError, UserError, did_you_mean, shown
from vlmkit.spec.evaluation import EvaluationSpec
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import sha256_without_name
from vlmkit.spec.loading import validate_spec
from vlmkit.spec.merge import apply, read_extended
from vlmkit.spec.spec_files import find_beside
from vlmkit.spec.study import RowSpec, StudySpec
from vlmkit.spec.study_files import check_measures, read_study_file, refuse_name_and_seed
from vlmkit.spec.tree import Placed

__all__ = ["BASE", "Study", "StudyRow", "StudyRun", "below", "load_study"]

BASE = "base"
"""The name of the row that the others are compared with."""
_MOST_RUNS = 10_000


@dataclass(frozen=True)
class StudyRow:
    """One row of the table: an experiment, of which each seed makes a run."""

    name: str
    said: RowSpec
    """Label and published scores."""
    changes: Mapping[str, Any]
    """What it sets on top of its spec file, by dotted path."""
    experiment: ExperimentSpec
    """With the study's first seed."""

    @property
    def label(self) -> str:
        """The name of the row in the table."""
        return self.said.label or self.name


@dataclass(frozen=True)
class StudyRun:
    """One training and measurement."""

    experiment: ExperimentSpec
    """Its name is that of the run folder, below that of the study."""
    rows: tuple[str, ...]
    """Names of the rows that it serves: more than one where they are the same experiment."""

    @property
    def seed(self) -> int:
        """That of the experiment."""
        return self.experiment.seed


@dataclass(frozen=True)
class Study:
    """A study with all of its experiments validated."""

    file: Path
    spec: StudySpec
    rows: tuple[StudyRow, ...]
    """The base first."""
    runs: tuple[StudyRun, ...]
    """All of the first seed, then all of the second one, …; within a seed in the order of the rows."""

    @property
    def evaluation(self) -> EvaluationSpec:
        """The benchmarks of all rows and how they are answered."""
        evaluation = self.rows[0].experiment.evaluation
        assert evaluation is not None
        return evaluation

    @property
    def distinct(self) -> list[StudyRun]:
        """One run for each experiment that differs from the others in more than the seed: those of the first seed."""
        return [run for run in self.runs if run.seed == self.spec.seeds[0]]

    def runs_of(self, row: str) -> list[StudyRun]:
        """Return the runs of a row, in the order of the seeds."""
        return [run for run in self.runs if row in run.rows]


def load_study(path: str | Path) -> Study:
    """Read and validate a study file and every experiment in it.

    A SpecError with the problems of all of them, each with file and line.
    """
    file, values, spec = read_study_file(path, "study", StudySpec)
    rows = tuple(_rows(file, spec, values))
    name, count = Counter(row.name for row in rows).most_common(1)[0]
    if count > 1:
        raise SpecError(f"{file}: {count} rows are called {name!r}: give those of `grid` as `variants` with names")
    if (count := len(rows) * len(spec.seeds)) > _MOST_RUNS:
        found = f"{len(rows):,} rows with {len(spec.seeds):,} seeds are {count:,} runs"
        raise SpecError(f"{file}: {found}; expected at most {_MOST_RUNS:,}")
    _check_stop(file, spec, rows[0].experiment)
    _check_scores(file, spec, rows)
    return Study(file, spec, rows, tuple(_runs(rows, spec.seeds)))


def _check_stop(file: Path, spec: StudySpec, base: ExperimentSpec) -> None:
    assert base.evaluation is not None
    names = [use.result_name for use in base.evaluation.benchmarks]
    wanted = spec.stop_when.benchmark if spec.stop_when else None
    if wanted is not None and wanted not in names:
        listed = f"{did_you_mean(wanted, names)}benchmarks of the study: {', '.join(names)}"
        raise SpecError(f"{file}: stop_when.benchmark: there is no {shown(wanted)}; {listed}")


def _check_scores(file: Path, spec: StudySpec, rows: Sequence[StudyRow]) -> None:
    """Raise a SpecError where columns or published scores are of benchmarks or metrics that the study does not have."""
    from vlmkit.benchmarks.entries import find_benchmark

    evaluation = rows[0].experiment.evaluation
    assert evaluation is not None
    metrics: dict[str, tuple[str, ...] | None] = {}
    for use in evaluation.benchmarks:
        try:
            entry = None if use.harness else find_benchmark(use.name, evaluation.benchmarks_path)
            metrics[use.result_name] = None if entry is None else entry.protocol(use.protocol).metrics
        except UserError as error:
            raise SpecError(f"{file}: {error}") from None
    known = sorted({metric for found in metrics.values() for metric in found or ()})
    for metric in spec.metrics or ():
        if metric not in known and None not in metrics.values():
            raise SpecError(f"{file}: metrics: there is no {shown(metric)}; {_listed('metrics', metric, known)}")
    for row in rows:
        for name, scores in row.said.published.items():
            where = f"{file}, {row.name}: published.{name}"
            if name not in metrics:
                raise SpecError(f"{where}: it is not measured; {_listed('benchmarks', name, metrics)}")
            for metric in scores:
                if (own := metrics[name]) is not None and metric not in own:
                    raise SpecError(f"{where}: there is no {shown(metric)}; {_listed('metrics', metric, own)}")


def _listed(kind: str, wrong: str, known: Iterable[str]) -> str:
    return f"{did_you_mean(wrong, list(known))}{kind} of the study: {', '.join(known)}"


def _rows(file: Path, spec: StudySpec, values: Placed) -> Iterator[StudyRow]:
    """Yield the rows. A SpecError with what is wrong with any of them, each problem once."""
    problems: dict[str, None] = {}
    rows: list[StudyRow] = []
    for name, said, own_file, overrides in _described(spec, values):
        try:
            rows.append(_row(file, spec, values, name, said, own_file, overrides))
        except SpecError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    if problems:
        raise SpecError("\n".join(problems))
    yield from rows


_Described = tuple[str, RowSpec, str | None, Mapping[str, Placed]]


def _described(spec: StudySpec, values: Placed) -> Iterator[_Described]:
    """Yield name, label and scores, spec file and overrides of each row."""
    yield BASE, spec.base, None, {}
    listed = values.value.get("variants")
    for number, variant in enumerate(spec.variants):
        yield variant.name, variant, variant.spec, below(listed.value[number], "set")
    axes = below(values, "grid")
    for combination in itertools.product(*(axes[dotted].value for dotted in spec.grid)) if spec.grid else ():
        overrides = dict(zip(spec.grid, combination, strict=True))
        name = "-".join(_word(dotted, value) for dotted, value in overrides.items())
        yield name, RowSpec(), None, overrides


def _row(
    file: Path,
    spec: StudySpec,
    values: Placed,
    name: str,
    said: RowSpec,
    own_file: str | None,
    overrides: Mapping[str, Placed],
) -> StudyRow:
    experiment = read_extended(find_beside(file, own_file or spec.base.spec))
    changes = {**below(values, "set"), **overrides}
    refuse_name_and_seed(changes, "`seeds`, and names to variants")
    for dotted, value in changes.items():
        experiment = apply(experiment, dotted, value)
    if spec.benchmarks is not None:
        experiment = apply(experiment, "evaluation.benchmarks", values.value["benchmarks"])
    experiment = apply(experiment, "seed", spec.seeds[0])
    experiment = apply(experiment, "name", _run_name(name, spec.seeds[0]))
    validated = validate_spec(experiment, f"{file}, {name}")
    check_measures(validated, f"{file}, {name}", "`benchmarks`, or a spec with `evaluation`")
    return StudyRow(name, said, {dotted: value.data for dotted, value in overrides.items()}, validated)


def below(values: Placed, key: str) -> dict[str, Placed]:
    """Return the values of a mapping under a key; none where there is no mapping."""
    node = values.value.get(key)
    return dict(node.value) if node is not None and isinstance(node.value, dict) else {}


def _word(dotted: str, value: Placed) -> str:
    """Return a part of the name of a combination: `width-64`."""
    said = value.data.get("type", value.data) if isinstance(value.data, dict) else value.data
    word = re.sub(r"[^a-z0-9._]+", "-", f"{dotted.rpartition('.')[2]}-{said}".lower()).strip("-._")
    if len(word) > 60:
        raise SpecError(f"{value.place}: {shown(value.data)} is too long for the name of a row; give it as a variant")
    return word


def _run_name(row: str, seed: int) -> str:
    return f"{row}-seed{seed}"


def _runs(rows: Sequence[StudyRow], seeds: Sequence[int]) -> Iterator[StudyRun]:
    """Yield what has to be run: experiments that differ in nothing but their names are one."""
    served: dict[str, list[str]] = {}
    for row in rows:
        served.setdefault(sha256_without_name(row.experiment), []).append(row.name)
    first = {names[0]: tuple(names) for names in served.values()}
    experiments = {row.name: row.experiment for row in rows}
    for seed in seeds:
        for name, names in first.items():
            update = {"seed": seed, "name": _run_name(name, seed)}
            yield StudyRun(experiments[name].model_copy(update=update), names)
