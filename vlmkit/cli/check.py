"""`vlmkit check`: does it fit together, and what will it cost?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from vlmkit.cli.options import Overrides, SpecFile
from vlmkit.formatting import columns, large
from vlmkit.spec.loading import load_spec, parse_overrides, resolved

if TYPE_CHECKING:
    from vlmkit.spec.evaluation import EvaluationSpec
    from vlmkit.summary import Summary

__all__ = ["command"]


def command(
    spec: SpecFile,
    set_: Overrides = None,
    show: Annotated[bool, typer.Option("--resolved", help="Also print the spec with every default.")] = False,
) -> None:
    """Validate a spec and compose its model without weights: parameters, tokens, operations, memory.

    Needs no network, no weights and no data; takes seconds.
    """
    experiment = load_spec(spec, set=parse_overrides(set_ or []))
    if show:
        typer.echo(resolved(experiment))
    benchmarks = _benchmarks(experiment.evaluation) if experiment.evaluation is not None else []
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: a check never asks a hub
    from vlmkit.summary import summarize

    typer.echo(_text(summarize(experiment)))
    if benchmarks:
        typer.echo(f"measured on\n{columns(benchmarks)}")


def _benchmarks(evaluation: EvaluationSpec) -> list[tuple[str, str, str]]:
    """Name, split and title of each. A DataError where the registry has no such benchmark or split."""
    from vlmkit.evaluation import find_benchmark

    entries = [(use, find_benchmark(use.name)) for use in evaluation.benchmarks]
    return [(use.result_name, f"split {entry.split(use.split)[0]}", entry.title) for use, entry in entries]


def _text(summary: Summary) -> str:
    parts = [(name, f"{number:,} parameters") for name, number in summary.parts.items()]
    tokens = [(f"{aspect} video", f"{number:,} tokens") for aspect, number in summary.tokens.items()]
    blocks = [
        f"{summary.name}: fits together",
        columns(parts),
        "tokens per video",
        columns(tokens),
        f"visual part: {large(summary.macs)} multiply-accumulates for {summary.frames} square frames",
    ]
    for number, stage in enumerate(summary.stages, 1):
        trains = [
            (name, f"{count:,} parameters", f"of {summary.parts[name]:,}")
            for name, count in stage.trains.items()
            if count
        ]
        rates = ", ".join(f"{part} {rate:g}" for part, rate in stage.rates.items())
        memory = ", ".join(f"{gpus}: {size / 2**30:.1f} GiB" for gpus, size in stage.memory.items())
        blocks += [
            f"stage {number}, {stage.name}: trains",
            columns(trains),
            f"  learning rates: {rates}",
            f"  estimated memory per GPU, by number of GPUs: {memory}",
        ]
    return "\n".join(blocks)
