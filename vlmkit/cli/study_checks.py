"""A study before it runs, on the command line: its table, the timed probe, and whether the budget holds it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmkit.errors import RunError, UserError
from vlmkit.formatting import columns, duration, plural
from vlmkit.json_files import is_present, read_record, write_record
from vlmkit.study.probing import StudyCost, StudyProbe, probe_study
from vlmkit.study.rows import Study, StudyRun, load_study
from vlmkit.study.study_folder import StudyFolder

if TYPE_CHECKING:
    from vlmkit.study.already_made import AlreadyMade

__all__ = ["check_budget", "check_study"]


def check_study(file: Path, output: Path, seed_deviation: float, discordant: float, probe: bool) -> str:
    """Return the table before anything runs, for a reader.

    Args:
        file: the study.
        output: the folder of run folders: what runs of the study there have shown counts more than what is assumed.
        seed_deviation: assumed, 0..1.
        discordant: assumed, 0..1.
        probe: take the time that each row needs.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    from vlmkit.study.already_made import already_made
    from vlmkit.study.study_plan import plan_study
    from vlmkit.study.variance_components import PowerAssumptions, measured_components

    study = load_study(file)
    plan = plan_study(study)
    folder = StudyFolder(output / study.spec.study)
    measured = measured_components(study, folder)
    made = already_made(study, folder)
    lines = [plan.text(PowerAssumptions(seed_deviation, discordant), measured), *made.lines()]
    if probe:
        lines += _probe_lines(study, _probe(study, plan.questions), made)
    return "\n".join(lines)


def check_budget(study: Study, folder: StudyFolder, runs: Sequence[StudyRun]) -> None:
    """Raise a RunError where some runs cost more than the study may. What is there already, in the study or beside it,
    costs nothing. The probe that tells is made once and kept."""
    if study.spec.budget is None:
        return
    from vlmkit.study.already_made import already_made

    made = already_made(study, folder)
    if not (left := made.left(runs)):
        return
    file = folder.path / "probe.json"
    probe = read_record(file, StudyProbe) if is_present(file) else None
    if probe is None or not probe.is_of(study):
        from vlmkit.study.study_plan import count_questions

        probe = _probe(study, count_questions(study))
        write_record(file, probe.data())
    if over := _over_budget(study, probe.cost(left, made.identities)):
        raise RunError(
            f"{study.file}: {plural(len(left), 'run')} would take {over}; nothing was run: raise the budget, choose "
            "rows with --only, or make the study smaller"
        )


def _over_budget(study: Study, cost: StudyCost) -> str:
    """Return in words by what some runs cost more than the study may; nothing where they do not."""
    most, over = study.spec.budget, []
    if most is not None and most.hours is not None and cost.hours > most.hours:
        over.append(f"{cost.hours:.2f} hours on this machine, expected at most {most.hours:g} (budget.hours)")
    if most is not None and most.disk_gib is not None and cost.gib > most.disk_gib:
        over.append(f"{cost.gib:.2f} GiB, expected at most {most.disk_gib:g} (budget.disk_gib)")
    return " and ".join(over)


def _probe(study: Study, questions: dict[str, int]) -> StudyProbe:
    from vlmkit.study.launching import LocalLauncher

    rows = len(study.distinct)
    if unknown := [name for name, number in questions.items() if not number]:
        print(f"the time of {', '.join(unknown)} is left out: its questions cannot be counted", file=sys.stderr)
    done: list[str] = []

    def tell(name: str) -> None:
        done.append(name)
        print(f"probe {len(done)} of {rows}: {name}", file=sys.stderr, flush=True)

    try:
        return probe_study(study, LocalLauncher(1), questions, tell)
    except UserError as error:
        raise RunError(str(error)) from None


def _probe_lines(study: Study, probe: StudyProbe, made: AlreadyMade) -> list[str]:
    table: list[tuple[str, ...]] = [("row", "training", "questions", "else", "disk of a run")]
    for name, row in probe.rows.items():
        size = sum(row.bytes_of_stages) + row.bytes_beside
        times = sum(row.seconds_of_stages), row.seconds_of_questions, row.seconds_beside
        table.append((name, *map(duration, times), _size(size)))
    left, whole = made.left(study.runs), probe.cost(study.runs)
    lines = [
        "measured in a short run of each row, on this machine:",
        columns(table),
        f"all {plural(len(study.runs), 'run')}, one after the other: {_cost(whole)} and the checkpoints of the runs "
        "under way",
    ]
    cost = probe.cost(left, made.identities)
    if cost != whole:
        lines.append(f"{plural(len(left), 'run')} of them with what is not there yet: {_cost(cost)}")
    if over := _over_budget(study, cost):
        lines.append(f"the budget does not hold it: {over}")
    return lines


def _cost(cost: StudyCost) -> str:
    return f"{duration(cost.hours * 3600)}, {_size(cost.gib * 2**30)}"


def _size(size: float) -> str:
    return f"{size / 2**30:,.2f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
