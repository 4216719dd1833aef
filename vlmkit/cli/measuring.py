"""`vlmkit eval` and `vlmkit judge`: any model on any benchmark, its answers judged by any judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmkit.cli.experiments import Overrides, RunsFolder
from vlmkit.cli.finished_options import FurtherEntries
from vlmkit.formatting import columns, figure, figures
from vlmkit.runtime import rank
from vlmkit.spec.loading import parse_overrides
from vlmkit.spec.yaml import parse_scalar

if TYPE_CHECKING:
    from vlmkit.evaluation.judge_again import JudgedAgain
    from vlmkit.evaluation.records import Metric

__all__ = ["evaluate", "judge"]

Benchmarks = Annotated[
    list[str] | None, typer.Option("--benchmark", metavar="NAME", help="A benchmark of the registry. Repeatable.")
]
JudgeOption = Annotated[
    str | None, typer.Option(metavar="JUDGE", help="Name of a judge, or e.g. '{type: openai, model: gpt-4o-mini}'.")
]


def evaluate(
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="A spec file, a run folder, or the folder of a saved model."),
    ],
    benchmark: Benchmarks = None,
    split: Annotated[str | None, typer.Option(help="Split; by default the entry's own default.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="How it is put and scored: authors, lmms-eval, strict, …")
    ] = None,
    video_root: Annotated[str | None, typer.Option(metavar="FOLDER", help="Folder of the videos.")] = None,
    annotation_root: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Folder of the annotation files.")
    ] = None,
    video_file: Annotated[
        str | None, typer.Option(metavar="TEMPLATE", help="How videos are called, e.g. msvd_{video}{ext}.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    judge: JudgeOption = None,
    control: Annotated[
        list[str] | None,
        typer.Option("--control", metavar="NAME", help="Also with something taken away, e.g. no-video. Repeatable."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Questions per forward pass.")] = None,
    benchmarks_path: FurtherEntries = None,
    set_: Overrides = None,
    output: RunsFolder = Path("runs"),
    shard: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Ask only this share of the questions, e.g. 3/16; the last share measures."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what there is to ask and to judge, and what that costs.")
    ] = False,
) -> None:
    """Measure a model on benchmarks: those named here, or those of its spec. Called again, it goes on.

    A run takes its results itself, those of a saved model go to a run folder of its name in --output. Options of
    benchmarks (--split, --limit, …) are for all of them. With torchrun each process asks a share; so do machines that
    see the same run folder, with --shard.
    """
    options: dict[str, Any] = {
        "split": split, "protocol": protocol, "video_root": video_root, "annotation_root": annotation_root,
        "video_file": video_file, "limit": limit,
    }  # fmt: skip
    options = {name: value for name, value in options.items() if value is not None}
    overrides: dict[str, Any] = {}
    if judge is not None:
        overrides["evaluation.judge"] = parse_scalar(judge, "--judge")
        options["judge"] = None  # in the place of what the spec has for one benchmark alone, too
    if control:
        overrides["evaluation.controls"] = control
    if batch_size is not None:
        overrides["evaluation.batch_size"] = batch_size
    if benchmarks_path:
        overrides["evaluation.benchmarks_path"] = benchmarks_path
    overrides |= parse_overrides(set_ or [])
    from vlmkit import runner

    if dry_run:
        costs = runner.evaluation_costs(target, output, benchmarks=benchmark, set=overrides, **options)
        typer.echo("\n".join(f"{name}: {cost}" for name, cost in costs.items()))
        return
    finished = runner.evaluate(target, output, shard, benchmarks=benchmark, set=overrides, **options)
    if not rank():
        typer.echo(finished.summary())
        finished.check()


def judge(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or one that `vlmkit answers import` has made.")
    ],
    benchmark: Annotated[
        list[str] | None,
        typer.Option("--benchmark", metavar="NAME", help="Only this result; by default all that need a judge."),
    ] = None,
    judge: JudgeOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what there is to judge, and what that costs.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Try it on the first so many answers; results stay as they are.")
    ] = None,
    benchmarks_path: FurtherEntries = None,
) -> None:
    """Have the stored answers judged again; nothing is asked of the model, and no verdict is paid twice.

    By default by the judge of the spec, or of the benchmark. The verdicts of other judges are kept.
    """
    from vlmkit import judgement

    chosen = None if judge is None else parse_scalar(judge, "--judge")
    options: Any = {"benchmarks": benchmark or (), "limit": limit, "benchmarks_path": benchmarks_path or ()}
    if dry_run:
        costs = judgement.judging_costs(run, chosen, **options)
        typer.echo("\n".join(f"{name}: {cost}" for name, cost in costs.items()))
        return
    judged = judgement.judge(run, chosen, **options)
    typer.echo("\n".join(_before_and_after(one) for one in judged.evaluations))
    judged.check()


def _before_and_after(one: JudgedAgain) -> str:
    results = {"before": one.before, "now": one.after}
    metrics = dict.fromkeys(name for result in results.values() for name in result.metrics)
    rows = [["", *(f"{when}: {result.judge}" for when, result in results.items())]]
    for name in metrics:
        rows.append([name, *(_estimate(result.metrics.get(name), name) for result in results.values())])
    for name in ("n", "unscored", "contradictions"):
        rows.append([name, *(f"{getattr(result, name):,}" for result in results.values())])
    return f"{one.name}\n{columns(rows)}"


def _estimate(metric: Metric | None, name: str) -> str:
    return "none" if metric is None else f"{figure(metric.value, name)} (95% interval {figures(metric.ci95, name)})"
