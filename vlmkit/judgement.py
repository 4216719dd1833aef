"""The stored answers of a run are judged, as a step of its own: the calls that `vlmkit judge` makes, for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmkit.errors import DataError, RunError
from vlmkit.evaluation.dry_run import cost_of_judging
from vlmkit.evaluation.judge_again import JudgedAgain, judge_again, stored_answers
from vlmkit.evaluation.judge_costs import unscored_problems
from vlmkit.files import is_folder
from vlmkit.run_folder import RunFolder, check_file_types
from vlmkit.spec.evaluation import EvaluationSpec

__all__ = ["Judgement", "judge", "judging_costs"]


@dataclass(frozen=True)
class Judgement:
    """The verdicts of a judge on the stored answers of a run, summed up."""

    evaluations: list[JudgedAgain]
    max_unscored_fraction: float
    """Of answers, on which a judge may give no verdict."""

    def check(self) -> None:
        """Raise a DataError where the judge gave no verdict on too many answers."""
        results = {one.name: one.after for one in self.evaluations}
        if problems := unscored_problems(results, self.max_unscored_fraction):
            raise DataError("\n".join(problems))


def judge(
    run: str | Path,
    judge: str | dict[str, Any] | None = None,
    *,
    benchmarks: Sequence[str] = (),
    limit: int | None = None,
    benchmarks_path: Sequence[str] = (),
) -> Judgement:
    """Have the stored answers of a run judged; nothing is asked of its model.

    Args:
        run: a run folder, or one that `vlmkit answers import` has made.
        judge: name of a judge, or a mapping with its options; None: that of the spec, or of the benchmark.
        benchmarks: names of results; empty: all that need a judge.
        limit: judge only the first so many answers, and leave the results as they are.
        benchmarks_path: further folders of entries, beside those of the spec.

    Raises:
        UserError: there are no answers, the judge cannot be built, or a file is malformed.
    """
    folder, options, more = _answered(run, benchmarks_path)
    with folder.locked():
        stored = stored_answers(folder.path, benchmarks, more)
        found = [judge_again(one, options, judge, limit, folder.observers) for one in stored]
    if limit is None and folder.spec_file.is_file():
        from vlmkit.report import write_report

        write_report(folder.path)
    default = EvaluationSpec.model_fields["max_unscored_fraction"].default
    return Judgement(found, options.max_unscored_fraction if options else default)


def judging_costs(
    run: str | Path,
    judge: str | dict[str, Any] | None = None,
    *,
    benchmarks: Sequence[str] = (),
    limit: int | None = None,
    benchmarks_path: Sequence[str] = (),
) -> dict[str, str]:
    """Return, by name of the result, what `judge` with the same arguments would ask for, and what that costs."""
    folder, options, more = _answered(run, benchmarks_path)
    stored = stored_answers(folder.path, benchmarks, more)
    return {one.folder.name: cost_of_judging(one, options, judge, limit) for one in stored}


def _answered(run: str | Path, benchmarks_path: Sequence[str]) -> tuple[RunFolder, EvaluationSpec | None, list[str]]:
    """Return a folder with answers, what its spec says of evaluation, if it has one, and further folders of entries."""
    folder = RunFolder(run)
    if not is_folder(folder.path):
        raise RunError(f"{folder.path}: expected a run folder; there is no such folder")
    check_file_types(folder.path)
    spec = folder.spec() if folder.spec_file.is_file() else None
    if spec is not None:
        folder.observe(spec)
    options = spec.evaluation if spec else None
    return folder, options, [*benchmarks_path, *(options.benchmarks_path if options else ())]
