"""Judges of free-form answers.

`exact` works offline: an answer is right when it equals a reference after both have been normalized, so that case,
punctuation, articles and spacing make no difference. `openai` asks a language model behind an endpoint, `local`
one of transformers on this machine; `decision` reads the probabilities of such a model instead of its words.
"""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import JudgeSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[JudgeSpec]]:
    """Return the judges."""
    from vlmkit_judges.spec import DecisionSpec, ExactSpec, LocalSpec, OpenAISpec

    return [DecisionSpec, ExactSpec, LocalSpec, OpenAISpec]
