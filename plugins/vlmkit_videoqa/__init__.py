"""Video question answering. The evaluator `open-ended-qa` leaves free-form answers to a judge, `multiple-choice` reads
which option an answer names, or takes the option that is likeliest, and `number` reads a count."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import EvaluatorSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[EvaluatorSpec]]:
    """Return the evaluators."""
    from vlmkit_videoqa.spec import MultipleChoiceSpec, NumberSpec, OpenEndedQaSpec

    return [OpenEndedQaSpec, MultipleChoiceSpec, NumberSpec]
