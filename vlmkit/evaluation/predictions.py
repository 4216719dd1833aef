"""Answers with the judge's verdicts, for reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlmkit.api.judge import Verdict
from vlmkit.errors import RunError
from vlmkit.evaluation.journal import read_answers
from vlmkit.evaluation.result import read_result
from vlmkit.evaluation.verdicts import VerdictStore
from vlmkit.json_files import is_present
from vlmkit.run_folder import RunFolder

__all__ = ["read_predictions"]


def read_predictions(run: RunFolder | Path, benchmark: str, blind: bool = False) -> list[dict[str, Any]]:
    """What was asked and answered in a finished evaluation, in the order of the benchmark. Writes nothing.

    Args:
        run: the run folder.
        benchmark: name of the result.
        blind: the answers about other clips' videos instead.

    Returns:
        For each question `id`, `video`, `question`, `answer`, `type`, `prediction` (None where it was skipped, with the
        reason as `skipped`), `correct`, `score` and `judge` (its own words); these three are None where it was skipped
        or the judge failed, then with the reason as `unscored`. Blind ones also have `shown`, the other clip.

    Raises:
        RunError: this benchmark has no result in the run, or a file of it is malformed.
    """
    folder = RunFolder(run if isinstance(run, Path) else run.path).evaluation(benchmark)
    if not is_present(folder / "result.json"):
        raise RunError(f"{folder}: there is no result of {benchmark} in this run; run `vlmkit eval` first")
    judge = read_result(folder / "result.json")["judge"]
    answers = read_answers(folder / ("blind_predictions.jsonl" if blind else "predictions.jsonl"))
    with VerdictStore.open(folder / "verdicts.sqlite", read_only=True) as verdicts:
        return [_joined(entry, verdicts, judge) for entry in answers.values()]


def _joined(entry: dict[str, Any], verdicts: VerdictStore, judge: dict[str, str]) -> dict[str, Any]:
    row = {
        **{key: value for key, value in entry.items() if key != "asked"},
        "correct": None,
        "score": None,
        "judge": None,
    }
    if entry["prediction"] is None:
        return row
    asked = (entry["question"], entry["answer"], entry["prediction"])
    verdict = verdicts.find(judge["name"], judge["version"], *asked)
    if isinstance(verdict, Verdict):
        return {**row, "correct": verdict.correct, "score": verdict.score, "judge": verdict.raw}
    return {**row, "unscored": verdict.reason if verdict else "not judged"}
