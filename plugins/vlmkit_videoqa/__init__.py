"""Video question answering. The evaluator `open-ended-qa` reads questions with one free-form reference answer each, in
the layouts of MSVD-QA, of Video-ChatGPT and of vlmkit's own datasets; a judge decides whether an answer is right."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import EvaluatorSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[EvaluatorSpec]]:
    """Return the evaluators."""
    from vlmkit_videoqa.spec import OpenEndedQaSpec

    return [OpenEndedQaSpec]
