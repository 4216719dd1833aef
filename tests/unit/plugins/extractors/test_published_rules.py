"""Each published rule on invented answers: its quirks are what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from vlmkit.api import DataError, Document, Reading
from vlmkit.registry import registry

RULES = {
    "mvbench": {
        "C": "C",
        "(c) a green car": "C",
        "c.\nbecause it is green": "C",
        "D and C": "D",
        "": "right",
        " . ": "right",
        "C: a green car": "unreadable",
        "Option (C)": "unreadable",
    },
    "vlmevalkit-mvbench": {
        "c) a car": "C",
        "(": "right",
        ")(": "unreadable",
        "": "right",
        "It is a green car": "C",
        "D, or rather a green car": "C",
        "red: a red kite, a green car": "unreadable",
        "the green car, " + "a green car " * 9: "unreadable",
        "Failed to obtain answer via API.": "right",
    },
    "lmms-eval-mvbench": {
        "c. a green car": "C",
        "It is a boat, (B)": "A",
        "the boat-(B)": "B",
        "_B_": "B",
        "1,000 boats/B": "unreadable",
        "E": "unreadable",
        "Boats.": "unreadable",
        "": "dropped",
        " ": "unreadable",
        "b.\n\nC": "B",
    },
    "lmms-eval-mcq": {
        "A boat is C": "A",
        "It is either D or C.": "C",
        "(D) is wrong, the answer is B here": "B",
        "The answer is B since A is red": "A",
        "it may be (D), then B. or so": "D",
        "maybe B. or C: or D)": "B",
        "so D: B) here": "D",
        "so B) here": "B",
        "see B here": "B",
        "Boats": "B",
        "E": "unreadable",
        "": "unreadable",
        "?": "unreadable",
    },
    "video-mme": {
        "c": "dropped",
        "it is Clear": "C",
        "The answer is B": "B",
        "The answers: B": "B",
        "Both, so C": "B",
        "The best option is C": "C",
        "": "dropped",
    },
    "vlmevalkit-video-mme": {
        "Answer: B": "B",
        "Answering: B": "A",
        "a green car": "C",
        "cars": "unreadable",
        "": "unreadable",
    },
    "mlvu": {
        "C": "C",
        "C) a car": "C",
        "see (B), not (C)": "B",
        "C ": "unreadable",
        "CD": "unreadable",
        ")": "unreadable",
        "(c)": "unreadable",
        "E": "unreadable",
        "": "unreadable",
    },
    "lvbench": {
        " C": "C",
        "(B) a blue boat": "B",
        "C) or (D)": "C",
        "I choose ( B": "B",
        "Answer: C": "A",
        "(c)": "unreadable",
        "It is (C)": "C",
        "((C))": "unreadable",
        "E": "unreadable",
        ")C": "unreadable",
        "": "unreadable",
    },
    "vnbench": {
        "C": "C",
        "D. a blue boat": "D",
        "C or A": "A",
        "The Boat": "B",
        "answer: D.": "D",
        "It is clear. C": "unreadable",
        "c": "unreadable",
        "": "unreadable",
    },
    "tempcompass-multi-choice": {
        " B</s>": "B",
        "B. a blue boat": "B",
        "B)": "B",
        "B:": "judge",
        "(B)": "judge",
        "b": "judge",
        "E. a plane": "judge",
        "": "judge",
    },
    "lmms-eval-perception-test": {
        "It is a boat, B or C": "B",
        "B1": "unreadable",
        "b": "unreadable",
        "E or D": "D",
    },
    "lmms-eval-next-qa": {
        "(B) or D ": "B",
        "(B) or (A)": "A",
        "A or B or D": "D",
        "B.A.": "A",
        "D.\n": "D",
        "it looks to me like a green car": "C",
        "first a green car, then a red kite": "A",
        "a green car": "random",
        "C) a green car": "random",
        "": "random",
    },
    "lmms-eval-video-mmmu": {
        "B. or C: or (D)": "B",
        "C: or (D)": "C",
        "(D) or B ": "D",
        "A or B or D": "D",
        "it looks to me like a green car": "C",
        "first a green car, then a red kite": "A",
        "a green car": "unreadable",
        "C) a green car": "unreadable",
        "": "dropped",
        "API Error": "dropped",
        "!": "unreadable",
    },
    "lmms-eval-egoschema": {
        "D or (A)": "D",
        "B.x C x": "B",
        "it looks to me like a green car": "random",
        "it looks to me like c. a green car": "C",
        "B:": "B",
        "B: boat": "random",
    },
}
CASES = [(name, answer, found) for name, answers in RULES.items() for answer, found in answers.items()]


@pytest.mark.parametrize(("name", "answer", "found"), CASES)
def test_readings(
    read: Callable[..., Reading],
    short: Callable[[Reading], str],
    question: Document,
    name: str,
    answer: str,
    found: str,
) -> None:
    reading = read(name, question, answer)
    assert short(reading) == found, reading
    assert reading.why


@pytest.mark.parametrize("name", sorted(RULES))
def test_letters_beyond_the_options_are_none_of_them(
    read: Callable[..., Reading], question: Document, name: str
) -> None:
    two = replace(question, options=question.options[:2], correct=1)
    readings = [read(name, two, answer) for answer in ("C", "D", "(D)", "C. it is", "So the answer is D")]
    assert {reading.choice for reading in readings if reading.state == "read"} <= {None, 0}
    assert not any(reading.correct for reading in readings if reading.state == "read")


@pytest.mark.parametrize("name", sorted(RULES))
def test_without_a_public_answer_nothing_is_right_or_wrong(
    read: Callable[..., Reading], question: Document, name: str
) -> None:
    hidden = replace(question, answer="", references=(), correct=None)
    for answer in RULES[name]:
        assert read(name, hidden, answer).correct is None
    assert read(name, hidden, "C").choice == 2


@pytest.mark.parametrize("name", sorted(RULES.keys() - {"lmms-eval-video-mmmu"}))
def test_a_question_without_options_is_refused(read: Callable[..., Reading], name: str) -> None:
    for answer in ("C", "", "nothing"):
        with pytest.raises(DataError, match="question 'q' has no options, expected a multiple-choice question"):
            read(name, Document("q", "v", "What?", "a car"), answer)


@pytest.mark.parametrize("answer", ["C", "", "a green car"])
def test_without_a_rule_a_judge_decides(read: Callable[..., Reading], question: Document, answer: str) -> None:
    for document in (question, Document("q", "v", "What?", "a car")):
        assert read("judge", document, answer) == Reading("judge", why="no rule")


@pytest.mark.parametrize(
    ("name", "judged"), [("judge", True), ("lmms-eval-mmvu", True), ("vnbench", False), ("vlmevalkit-mvbench", False)]
)
def test_rules_say_whether_a_judge_is_needed(name: str, judged: bool) -> None:
    assert registry().get("extractor", name).spec.model_validate({"type": name}).build().judged is judged


def test_what_is_drawn_is_drawn_by_the_id(read: Callable[..., Reading], question: Document) -> None:
    documents = [replace(question, id=f"q{number}") for number in range(200)]
    drawn = [read("lmms-eval-next-qa", document, "no idea") for document in documents]
    assert [read("lmms-eval-egoschema", document, "?").choice for document in documents] == [r.choice for r in drawn]
    counts = [sum(reading.choice == option for reading in drawn) for option in range(4)]
    assert all(30 < count < 70 for count in counts), counts
    assert all(reading.correct is (reading.choice == 2) for reading in drawn)


def test_the_shared_rule_takes_other_letters(read: Callable[..., Reading], question: Document) -> None:
    six = replace(question, options=(*question.options, "a plane", "a bird"), correct=5)
    assert read("lmms-eval-mcq", six, "F").state == "unreadable"
    assert read("lmms-eval-mcq", six, "F", letters="ABCDEFGH").correct is True
    assert read("lmms-eval-mcq", six, "H", letters="ABCDEFGH").state == "unreadable"


@pytest.mark.parametrize(("name", "answer"), [("vlmevalkit-mvbench", "Hmm: C"), ("vlmevalkit-video-mme", "a car")])
def test_a_judge_can_be_asked(read: Callable[..., Reading], question: Document, name: str, answer: str) -> None:
    assert read(name, question, answer).state == "unreadable"
    assert read(name, question, answer, judge=True).state == "judge"


def test_a_rule_that_compares_with_the_right_option_says_what_fits(
    read: Callable[..., Reading], question: Document
) -> None:
    assert read("mvbench", question, "").why == "first word and bracket: fits every option"
    one = replace(question, options=("only this",), correct=0)
    assert read("mvbench", one, "").choice == 0
