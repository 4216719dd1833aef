"""What a run folder holds, finished or not, as data for the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vlmkit.errors import RunError, UserError
from vlmkit.evaluation.result import read_result
from vlmkit.files import read_text
from vlmkit.json_files import is_present, read_json_lines, read_record, validated
from vlmkit.manifest import Manifest, check_files
from vlmkit.report.kinds import Composition, Options, Row
from vlmkit.run_folder import RunFolder
from vlmkit.spec import ExperimentSpec, read_resolved
from vlmkit.spec.yaml import read as read_yaml

__all__ = ["RunFiles", "StageLog", "read_run"]


@dataclass(frozen=True)
class StageLog:
    """The metrics of one training stage."""

    name: str
    rows: list[dict[str, Any]]
    """Lines of metrics.jsonl by ascending step; of a step that was repeated after an interruption, the last."""


@dataclass(frozen=True)
class RunFiles:
    """What the files of one run say. What is absent is empty."""

    folder: Path
    spec_text: str
    options: dict[str, Any]
    """The resolved spec as plain data."""
    spec: ExperimentSpec | None
    """The same, validated; None where this installation cannot (a plugin is missing)."""
    spec_problem: str
    """Why `spec` is None."""
    environments: list[dict[str, Any]]
    """One entry for each environment that worked on the run."""
    composition: dict[str, Any]
    stages: dict[str, StageLog]
    """By stage name."""
    trained: bool
    """Whether the trained model is written, which happens after the last stage."""
    bad: list[dict[str, Any]]
    results: dict[str, dict[str, Any]]
    """By benchmark."""
    started: datetime
    ended: datetime

    @property
    def planned_stages(self) -> list[dict[str, Any]]:
        """The training stages of the spec."""
        return list((self.options.get("training") or {}).get("stages", []))

    @property
    def planned_benchmarks(self) -> list[str]:
        """The results that the spec asks for, by name."""
        uses = (self.options.get("evaluation") or {}).get("benchmarks", [])
        return [use.get("label") or use["name"] for use in uses]


def read_run(folder: Path) -> RunFiles:
    """Read a run folder. A UserError where it is none, or where a file in it is malformed."""
    run = RunFolder(folder)
    run.check()
    run.check_model()
    folder, path = run.path, run.spec_file
    options = validated(read_yaml(path).data, Options, str(path), "restore the file from a copy")
    spec, problem = _validated(path)
    composed = run.composition_file
    logs = sorted(folder.glob("stages/*/metrics.jsonl"), key=lambda log: (_number(log.parent.name), log.parent.name))
    results = sorted(folder.glob("eval/*/result.json"))
    times = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in [path, *logs, *results]]
    for log in logs:
        _check_log(log)
    stages = {log.parent.name.partition("-")[2]: _by_step(read_json_lines(log, Row)) for log in logs}
    return RunFiles(
        folder=folder,
        spec_text=read_text(path, "the resolved spec", RunError),
        options=options,
        spec=spec,
        spec_problem=problem,
        environments=run.environments(),
        composition=read_record(composed, Composition) if is_present(composed) else {},
        stages={name: StageLog(name, rows) for name, rows in stages.items()},
        trained=run.model.is_dir(),
        bad=run.bad_lines(),
        results={file.parent.name: read_result(file) for file in results},
        started=min(times),
        ended=max(times),
    )


def _check_log(log: Path) -> None:
    """A CheckpointError where the log of a stage that is done is not what it was then."""
    done = log.with_name("stage.json")
    if is_present(done):
        files = read_record(done, Manifest)["files"]
        remedy = "restore it, or remove it: the report then does without its curves"
        check_files(log.parent, {log.name: files[log.name]} if log.name in files else {}, remedy)


def _validated(path: Path) -> tuple[ExperimentSpec | None, str]:
    try:
        return read_resolved(path), ""
    except UserError as error:
        return None, str(error)


def _number(folder: str) -> int:
    number = folder.partition("-")[0]
    return int(number) if number.isascii() and number.isdecimal() else 0


def _by_step(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = {row["step"]: row for row in rows}
    return [last[step] for step in sorted(last)]
