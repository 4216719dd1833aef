"""Systems side by side: each counted on the meta device, and timed in one run where this machine can; small ones of a
study with their training steps and scores."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field

from vlmkit.bench.memory import available_bytes
from vlmkit.bench.training_steps import bench_training_steps
from vlmkit.bench.vision import TimingOptions, bench_vision, machine
from vlmkit.errors import UserError
from vlmkit.files import shipped_folder
from vlmkit.json_files import Record
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec
from vlmkit.study.rows import Study
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.table import build_table
from vlmkit.study.table_formats import markdown_scores
from vlmkit.summary import Summary, summarize

__all__ = ["STEP_BATCH", "SystemLimits", "SystemTimings", "Systems", "TimedSystem", "count_systems", "study_scores",
           "systems_of", "time_systems"]  # fmt: skip

STEP_BATCH = 8
"""Videos in a timed training step."""
_FIRST = "video-panda-7b"
"""The shipped system that the others are compared with."""


@dataclass(frozen=True)
class SystemLimits:
    """Limits of the systems that are timed; the others are only counted."""

    memory: float | None = None
    """GiB that the weights of all visual parts may take together in float32; None: half of what is available."""
    macs: float = float("inf")
    """Multiply-accumulates of a video, at most."""

    def choose(self, counted: Mapping[str, Summary]) -> list[str]:
        """Return the names of the systems that are timed, in their order: small ones before large ones."""
        left, chosen = self._bytes(), set()
        for name in sorted(counted, key=lambda name: counted[name].parts["aligner"]):
            needed = 4 * counted[name].parts["aligner"]
            if counted[name].macs <= self.macs and needed <= left:
                left -= needed
                chosen.add(name)
        return [name for name in counted if name in chosen]

    def _bytes(self) -> float:
        if self.memory is not None:
            return self.memory * 2**30
        available = available_bytes()
        return float("inf") if available is None else available / 2


class TimedSystem(Record):
    """One system, timed beside the others: a value for each round, seconds of one batch."""

    parameters: int
    """Of its visual part when it was timed."""
    forward: list[float]
    """Of the visual part."""
    fractions: list[float]
    """Of the rate of a matrix product beside it."""
    forward_backward: list[float] = Field(default_factory=list)
    """Of the visual part."""
    step: list[float] = Field(default_factory=list)
    """Of a training step of the whole model."""


class SystemTimings(Record):
    """The times of one run on one machine: the content of the file beside the page."""

    command: str
    machine: str
    """The machine, in words."""
    systems: dict[str, TimedSystem]
    """Of full size, by name."""
    rows: dict[str, TimedSystem]
    """Of the study, by label."""

    def check(self, systems: Mapping[str, Summary], rows: Mapping[str, Summary]) -> None:
        """Raise a UserError where a system had other parameters when it was timed."""
        for timed, counted in ((self.systems, systems), (self.rows, rows)):
            for name, one in timed.items():
                if name in counted and counted[name].parts["aligner"] != one.parameters:
                    raise UserError(
                        f"{name} was timed with a visual part of {one.parameters:,} parameters and has "
                        f"{counted[name].parts['aligner']:,} now; leave --keep-times out, so that all are timed again"
                    )


@dataclass(frozen=True)
class Systems:
    """All that the page says."""

    counted: Mapping[str, Summary]
    """Systems of full size by name, the first one is what the others are compared with."""
    study: Study
    rows: Mapping[str, Summary]
    """Rows of the study by label."""
    scores: str
    """The table of the study as Markdown; empty where nothing was measured yet."""
    times: SystemTimings


def systems_of(specs: Sequence[ExperimentSpec]) -> dict[str, ExperimentSpec]:
    """Return specs by name; without any, the shipped ones of full size, whose names end in the size of their language
    model, e.g. `-7b`. A UserError where two have one name."""
    if not specs:
        files = [file for file in shipped_folder("specs").glob("*.yaml") if re.search(r"-\d+b$", file.stem)]
        specs = [load_spec(file) for file in sorted(files, key=lambda file: (file.stem != _FIRST, file.stem))]
    found = {spec.name: spec for spec in specs}
    if len(found) < len(specs):
        raise UserError(f"expected specs of different names, found {', '.join(spec.name for spec in specs)}")
    return found


def count_systems(specs: Mapping[str, ExperimentSpec]) -> dict[str, Summary]:
    """Return parameters, tokens and operations by name, without what training adds."""
    return {name: summarize(spec.model_copy(update={"training": None})) for name, spec in specs.items()}


def study_scores(study: Study, output: Path) -> str:
    """Return what a study has found so far, as Markdown; empty where it has not measured anything."""
    folder = StudyFolder(output / study.spec.study)
    if all(folder.state(run) != "done" for run in study.runs):
        return ""
    return markdown_scores(build_table(study, folder))


def time_systems(
    specs: Mapping[str, ExperimentSpec],
    rows: Mapping[str, ExperimentSpec],
    chosen: Sequence[str],
    options: TimingOptions,
    command: str,
    say: Callable[[str], None] = lambda message: None,
) -> SystemTimings:
    """Time visual parts, and training steps of small models, in turn.

    Args:
        specs: systems of full size.
        rows: small ones, which also train.
        chosen: names of the systems of full size that are timed, the first one among them.
        options: how to time.
        command: what was called, for the record.
        say: is told what was done.

    Raises:
        UserError: the first system, which the others are compared with, is not chosen.
    """
    if (first := next(iter(specs))) not in chosen:
        raise UserError(
            f"{first}, which the others are compared with, needs more memory or operations than it may: raise --memory "
            "or --most-macs"
        )
    where = _in_words(options)
    systems = dict(_timed({name: specs[name] for name in chosen}, options, say))
    alone = replace(options, threads=1)  # where others work too, threads that share so little wait for each other
    small = dict(_timed(rows, replace(alone, train=True), say))
    for name, seconds in bench_training_steps(rows, replace(alone, batch=STEP_BATCH), say).items():
        small[name] = small[name].model_copy(update={"step": seconds})
    return SystemTimings(command=command, machine=where, systems=systems, rows=small)


def _timed(
    specs: Mapping[str, ExperimentSpec], options: TimingOptions, say: Callable[[str], None]
) -> Iterator[tuple[str, TimedSystem]]:
    named = [spec.model_copy(update={"name": name}) for name, spec in specs.items()]
    for one in bench_vision(named, replace(options, peaks=False), say):
        yield (
            one.name,
            TimedSystem(
                parameters=one.parameters,
                forward=one.seconds,
                fractions=one.fractions,
                forward_backward=one.train_seconds,
            ),
        )


def _in_words(options: TimingOptions) -> str:
    found = machine(options)
    load = f", load average {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    return (
        f"{found['device']} with {os.cpu_count()} CPUs{load}, {options.device}, {options.dtype}, "
        f"{options.threads} threads, torch {found['torch']}, vlmkit {found['vlmkit']}; a matrix product reached "
        f"{found['matmul_gmacs_per_second']:,.1f} GMAC/s"
    )
