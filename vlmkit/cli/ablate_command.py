"""`vlmkit ablate`: a study is run, its table and page written."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmkit.cli.experiments import RunsFolder
from vlmkit.errors import RunError, SpecError, UserError, shown
from vlmkit.formatting import plural
from vlmkit.spec.yaml import parse_scalar

if TYPE_CHECKING:
    from vlmkit.study.launching import Launcher
    from vlmkit.study.rows import Study
    from vlmkit.study.running import StudyProgress
    from vlmkit.study.study_folder import StudyFolder

__all__ = ["ablate"]

_NO_OPTIONS = "{}"


def ablate(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A study file, e.g. specs/studies/table4.yaml.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ROW", help="Only the base and this row. Repeatable.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try the runs again that failed before.")] = False,
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Runs at once; with --devices at least one for each. They share the CPUs evenly, unless "
            "OMP_NUM_THREADS says otherwise.",
        ),
    ] = 1,
    devices: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="GPUs that runs are dealt to in turn: `0,1` has one run on each at once, `--jobs 16 --devices 0` "
            "sixteen on one.",
        ),
    ] = "",
    cluster: Annotated[str, typer.Option(help="Start runs as jobs of submitit: slurm, or local.")] = "",
    cluster_options: Annotated[
        str, typer.Option(metavar="OPTIONS", help="Of submitit, e.g. '{slurm_partition: gpu, timeout_min: 600}'.")
    ] = _NO_OPTIONS,
    measure: Annotated[
        bool, typer.Option("--measure", help="Also time the visual part of every row, in turn: a column of the table.")
    ] = False,
    output: RunsFolder = Path("runs"),
) -> None:
    """Run every row of a study with every seed, and write table and page. The same command goes on where it stopped.

    Runs that are equal are run once, and stages that begin alike are trained once. A run that fails is set aside and
    listed; the others go on.
    """
    from vlmkit.cli.study_checks import check_budget
    from vlmkit.cli.study_screen import show_progress
    from vlmkit.study.rows import load_study
    from vlmkit.study.running import choose_runs, run_study
    from vlmkit.study.study_folder import StudyFolder

    loaded = load_study(study)
    runs = choose_runs(loaded, only or [])
    folder = StudyFolder.open(loaded, output)
    launcher = _launcher(folder, jobs, devices, cluster, cluster_options)
    with folder.locked():
        check_budget(loaded, folder, runs)
        with show_progress(loaded, folder, runs, launcher.slots) as tell:
            progress = run_study(loaded, folder, launcher, runs, retry, tell)
        if measure:
            _measure(loaded, folder)
        written = _write_table(loaded, folder) if progress.ended or progress.passed_over else []
    typer.echo("\n".join(_summary(progress, folder, written)))
    if progress.failed:
        raise RunError(
            f"{plural(len(progress.failed), 'run')} of the study failed, see above; --retry tries them again"
        )


def _write_table(study: Study, folder: StudyFolder) -> list[Path]:
    from vlmkit.report import write_study_page
    from vlmkit.study.table import build_table
    from vlmkit.study.table_formats import write_tables

    return [*write_tables(build_table(study, folder), folder.path), write_study_page(study, folder)]


def _measure(study: Study, folder: StudyFolder) -> None:
    """Time the visual parts of all models in one run, on the first GPU if there is one, and keep the times."""
    import torch

    from vlmkit.bench import TimingOptions, bench_vision, machine
    from vlmkit.study.row_timings import aligners_of, keep_timings

    cuda, specs = torch.cuda.is_available(), aligners_of(study)
    options = TimingOptions(rounds=3, device="cuda" if cuda else "cpu", dtype="bfloat16" if cuda else "float32")
    timed = bench_vision(list(specs.values()), options, lambda line: print(line, file=sys.stderr))
    device = f"{machine(options)['device']}, {options.dtype}" + ("" if cuda else f", {options.threads} threads")
    keep_timings(folder, device, {key: 1000 * one.median for key, one in zip(specs, timed, strict=True)})


def _launcher(folder: StudyFolder, jobs: int, devices: str, cluster: str, options: str) -> Launcher:
    from vlmkit.study.launching import LocalLauncher, SubmititLauncher

    if cluster and devices:
        raise UserError(
            "--devices are GPUs of this machine, --cluster starts jobs elsewhere: give one of them; of a cluster "
            "--cluster-options ask for GPUs, e.g. '{gpus_per_node: 1}'"
        )
    if cluster:
        parsed: Any = parse_scalar(options, "--cluster-options")
        if not isinstance(parsed, dict):
            raise SpecError(f"--cluster-options: expected a mapping, found {shown(parsed)}")
        return SubmititLauncher(jobs, folder.path / "submitit", cluster, parsed)
    if options != _NO_OPTIONS:
        raise UserError("--cluster-options are those of a cluster: give --cluster slurm or --cluster local as well")
    listed = [device.strip() for device in devices.split(",") if device.strip()]
    return LocalLauncher(jobs, listed)


def _summary(progress: StudyProgress, folder: StudyFolder, written: list[Path]) -> Iterator[str]:
    failures = folder.failures()
    for name in progress.failed:
        last = failures[name].said.splitlines()[-1:] if name in failures else []
        yield f"failed: {name}: {''.join(last)} ({os.path.relpath(folder.path / 'logs' / f'{name}.log')})"
    if progress.not_needed:
        yield f"{plural(len(progress.not_needed), 'run')} not needed: their rows are clear (stop_when)"
    for study, runs in Counter(place.partition("/")[0] for place in progress.runs_taken.values()).most_common():
        yield f"{plural(runs, 'run')} taken from {study}"
    if taken := sum(map(len, progress.stages_taken.values())):
        yield f"{plural(taken, 'stage')} taken from other runs"
    yield from (f"written: {file}" for file in written)
