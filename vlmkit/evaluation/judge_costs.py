"""Costs of judging, told before it begins, and the complaint about too many answers without a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vlmkit.api.judge import Judge
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.errors import UserError
from vlmkit.evaluation.records import BenchmarkResult, Scores
from vlmkit.formatting import plural

__all__ = ["judging_cost", "unscored_problems"]


def judging_cost(name: str, judge: Judge, requests: Sequence[JudgeRequest]) -> str:
    """Return requests, tokens and money that a judge will take for these; empty where it costs nothing."""
    begin = f"judge {name}: {plural(len(requests), 'new request')}"
    try:
        estimate = judge.estimate(requests)
    except UserError as error:  # an estimate that fails stops nothing
        return f"{begin}, of which the cost is not known: {error}"
    if estimate is None:
        return ""
    price = "at a price that is not known" if estimate.cost is None else f"at most ${estimate.cost:,.4f}"
    return (
        f"{begin}, about {plural(estimate.input_tokens, 'input token')} ({estimate.counted}), at most "
        f"{plural(estimate.output_tokens, 'output token')}, {price}"
    )


def unscored_problems(results: Mapping[str, BenchmarkResult], most: float) -> list[str]:
    """Return what is to be said of each set of answers of which more than the fraction `most` has no verdict."""
    found = []
    for name, result in results.items():
        sets: dict[str, Scores] = {name: result} | {f"{name}, {key}": part for key, part in result.controls.items()}
        for where, scores in sets.items():
            judged = scores.n + scores.unscored
            if scores.unscored > most * judged:
                found.append(_problem(where, str(result.judge), scores, judged, most))
    return found


def _problem(where: str, judge: str, scores: Scores, judged: int, most: float) -> str:
    reasons = "; ".join(f"{count:,} times: {reason}" for reason, count in scores.unscored_reasons.items())
    return (
        f"{where}: {scores.unscored:,} of {plural(judged, 'answer')} have no verdict of judge {judge}, more than "
        f"evaluation.max_unscored_fraction = {most:g} allows ({reasons}). All else is kept: put right what the judge "
        "lacks and run the command again, which judges only these, or raise evaluation.max_unscored_fraction"
    )
