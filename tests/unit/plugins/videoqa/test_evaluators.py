"""The evaluators of video question answering: prompts, readings, values."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from vlmkit.api import DataError, Document, Prompt, Reading, Verdict
from vlmkit_videoqa.spec import MultipleChoiceSpec, NumberSpec, OpenEndedQaSpec

CHOICE = Document("1", "v", "who?", "the man", options=("a dog", "the man", "{letter}"), correct=1)


def test_open_ended_questions_are_left_to_the_judge() -> None:
    evaluator = OpenEndedQaSpec(prompt="<video>\nQ: {question} ({hint})", system="Be {type}.", reply="A:").build()
    document = Document("1", "v", "who {is} it?", "man", "brief", tags={"hint": "{question}"})
    assert evaluator.prompt(document) == Prompt("<video>\nQ: who {is} it? ({question})", "Be brief.", "A:")
    reading = evaluator.read(document, "a man")
    assert reading == Reading("judge")
    assert evaluator.judged
    assert evaluator.score(document, reading, Verdict(True, 4.0)) == {"accuracy": 1.0, "score": 4.0}
    assert evaluator.score(document, reading, Verdict(False, 2.0)) == {"accuracy": 0.0, "score": 2.0}
    assert evaluator.score(document, reading, Verdict(None, 2.5)) == {"accuracy": None, "score": 2.5}
    assert evaluator.metrics() == {"accuracy": (0, 1), "score": (0, 5)}


@pytest.mark.parametrize("prompt", ["{question}", "<video>", "<video><video>{question}"])
def test_a_prompt_has_video_and_question_once(prompt: str) -> None:
    with pytest.raises(ValidationError, match="exactly once in the prompt"):
        OpenEndedQaSpec(prompt=prompt)


def test_options_have_letters() -> None:
    evaluator = MultipleChoiceSpec(prompt="<video> {question} {options}", option="({letter}) {text}").build()
    assert evaluator.prompt(CHOICE).user == "<video> who? (A) a dog\n(B) the man\n(C) {letter}"
    assert evaluator.continuations(CHOICE) == ()


@pytest.mark.parametrize(
    ("extractor", "answer", "state", "correct"),
    [
        ("video-mme", "B", "read", True),
        ("video-mme", "A", "read", False),
        ("video-mme", "none", "dropped", None),
        ("mlvu", "B.", "unreadable", None),
        ("tempcompass-multi-choice", "it is b", "judge", None),
    ],
)
def test_answers_are_read_by_the_extractor(extractor: str, answer: str, state: str, correct: bool | None) -> None:
    evaluator = MultipleChoiceSpec.model_validate({"extractor": {"type": extractor}}).build()
    reading = evaluator.read(CHOICE, answer)
    assert (reading.state, reading.correct) == (state, correct)
    assert evaluator.judged == (extractor == "tempcompass-multi-choice")
    assert evaluator.score(CHOICE, reading, None) == {"accuracy": float(correct or False)}
    assert evaluator.score(CHOICE, reading, Verdict(True, None)) == {"accuracy": 1.0}


def test_open_questions_of_mmvu_are_left_to_a_judge_where_no_rule_applies() -> None:
    evaluator = MultipleChoiceSpec.model_validate({"extractor": "lmms-eval-mmvu"}).build()
    assert evaluator.judged
    assert evaluator.read(Document("1", "v", "who?", "the man"), "a dog").state == "judge"


def test_the_likeliest_option_is_the_answer() -> None:
    options = {"extractor": "mlvu", "output_type": "loglikelihood", "continuation": "({letter}) {text}"}
    evaluator = MultipleChoiceSpec.model_validate(options).build()
    assert list(evaluator.continuations(CHOICE)) == ["(A) a dog", "(B) the man", "(C) {letter}"]
    assert evaluator.read(CHOICE, "(B) the man") == Reading("read", 1, True, why="the likeliest")
    assert evaluator.read(CHOICE, "A").choice == 0, "an answer that was generated elsewhere"


@pytest.mark.parametrize("field", ["option", "continuation"])
def test_an_option_is_told(field: str) -> None:
    with pytest.raises(ValidationError, match=f"in `{field}`, found 'x'"):
        MultipleChoiceSpec.model_validate({field: "x"})


def test_more_options_than_letters() -> None:
    many = Document("7", "v", "which?", options=tuple(map(str, range(27))), correct=0)
    with pytest.raises(DataError, match="question '7' has 27 options, expected at most 26"):
        MultipleChoiceSpec().build().prompt(many)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (Reading("read", number=3.0), (1.0, 0.0)),
        (Reading("read", number=5.0), (0.0, 4.0)),
        (Reading("read", number=99.0), (0.0, 49.0)),
        (Reading("unreadable"), (0.0, 49.0)),
    ],
)
def test_counts_are_exact_or_off(reading: Reading, expected: tuple[float, float]) -> None:
    evaluator = NumberSpec().build()
    values: Any = evaluator.score(Document("1", "v", "how many?", "3"), reading, None)
    assert (values["accuracy"], values["squared_error"]) == expected
    assert not evaluator.judged


def test_a_count_has_a_number_as_its_answer() -> None:
    with pytest.raises(DataError, match="question '1': expected a number as its answer, found 'three'"):
        NumberSpec().build().score(Document("1", "v", "how many?", "three"), Reading("read", number=3.0), None)
    with pytest.raises(ValidationError, match="lowest < highest"):
        NumberSpec(lowest=2, highest=2)
