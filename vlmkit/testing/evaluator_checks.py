"""The check of evaluators: any question is put, any answer read and scored, the same way each time."""

from __future__ import annotations

from collections.abc import Iterator

from vlmkit.api.evaluator import EvaluatorSpec, Prompt
from vlmkit.api.extractor import Reading
from vlmkit.api.judge import Verdict
from vlmkit.errors import shown
from vlmkit.testing.extractor_checks import DOCUMENTS, answers_to, unless_refused

__all__ = ["check_evaluator"]

VERDICTS = (Verdict(True, 5.0), Verdict(False, 0.0), Verdict(True), Verdict(None, 2.5))


def check_evaluator(spec: EvaluatorSpec) -> None:
    """A document is put with one place for the video; any answer to it has a reading, and where that counts and the
    right answer is public, a value of each metric."""
    first, second = spec.build(), spec.build()
    assert first.metrics(), "metrics() has no metric"
    put = 0
    for document in DOCUMENTS:
        prompt = unless_refused(first.prompt, document)
        if prompt is None:
            continue
        put += 1
        assert isinstance(prompt, Prompt), "the contract makes a Prompt of text"
        places = f"{prompt.system}{prompt.user}{prompt.reply}".count("<video>")
        assert prompt.user.count("<video>") == places == 1, (
            f"document {document.id!r}: expected <video> once, in the user's words, found {prompt}"
        )
        for answer in answers_to(document):
            reading = unless_refused(first.read, document, answer)
            again = unless_refused(second.read, document, answer)
            assert reading == again, f"document {document.id!r}, answer {shown(answer)}: reads {reading}, then {again}"
            if reading is not None and reading.state != "dropped" and document.references:
                for verdict in _verdicts(reading):
                    unless_refused(first.score, document, reading, verdict)
    assert put, f"it refuses every one of the documents {[document.id for document in DOCUMENTS]}"


def _verdicts(reading: Reading) -> Iterator[Verdict | None]:
    yield from VERDICTS if reading.state == "judge" else (None,)
