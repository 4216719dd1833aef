"""The extractor `strict`: what it reads, and what it leaves unread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from vlmkit.api import DataError, Document, Reading
from vlmkit.registry import Component, registry

Read = Callable[..., Reading]

READ_AS_C = [
    *(
        "C",
        "c",
        " C ",
        "C.",
        "(C)",
        "(c)",
        "c)",
        "'C'",
        "C!",
        "**C**",
        "`C`",
        "C</s>",
        "C<|im_end|>",
        "\uff23",
        "\uff08\uff23\uff09",
    ),
    *("C) a green car", "(C) a green car", "C. A green car.", "C: a green car", "C - a green car", "C a green car"),
    *(
        "c. a green car",
        "C.a green car",
        "**C. a green car**",
        "C (a green car)",
        "C. It crosses at noon.",
        "C, it is green",
    ),
    *("C because it is green", "C. A man sits in it", "C. It does not stop."),
    *("Answer: C", "answer: c", "**Answer:** C", "The answer is C.", "The answer is: (C) a green car", "My answer: C"),
    *(
        "The correct option is C",
        "The right choice would be option C.",
        "Best option: (C)",
        "Option C",
        "The answer is c.",
    ),
    *("C is correct", "Option C is the best choice", "I choose C", "I'd go with (C)", "I think it is C", "It's C"),
    *("\\boxed{C}", "$\\boxed{\\text{C}}$", '{"answer": "C"}', "<answer>C</answer>", "<think>A? Not B.</think>\n\nC"),
    *("From what I see, C.", "It crosses first, so (C).", "It crosses.\nC", "### Answer\nC", "Sure! The answer is C."),
    *("It is not a kite, no boat either, so the answer is C", "A flies.\nB swims.\nTherefore, the final answer is C"),
    *(
        "C. a green car\n\nA red kite is seen before it.",
        "a green car",
        "A GREEN CAR!",
        "It is a green car.",
        "a  green\ncar",
    ),
]


@pytest.mark.parametrize("answer", READ_AS_C)
def test_reads_what_a_careful_reader_reads(read: Read, question: Document, answer: str) -> None:
    reading = read("strict", question, answer)
    assert (reading.state, reading.choice, reading.correct) == ("read", 2, True), reading
    assert reading.why


UNREADABLE = {
    "nothing there": ["", " ", ".", "(", ")", "...", "**", "</s>", "\u200b", "<think>", "<think>C"],
    "no answer": [
        "I cannot tell.",
        "None of the above",
        "Sorry, as an AI I cannot answer",
        "a car",
        "green cars",
        "car C4",
    ],
    "articles and other letters": [
        *(
            "A man waits",
            "a man",
            "The answer is a boat",
            "The answer is A boat",
            "I see it",
            "He takes vitamin C.",
            "plan B",
        ),
        *("25\u00b0C", "C-sharp", "C's car", "U.S.A.", "CC", "C C C", "The man (a) waits", "the car(c) waits"),
    ],
    "several letters": [
        *("A or C", "A/C", "(A)(C)", "C, not A", "A, B and C are wrong, so D", "C\nA", "Answer: A\nAnswer: C"),
        *("I think it is A at first, but the final answer is C", "Not A but C", "The answer is C, as in plan B"),
    ],
    "negations": [
        "not C",
        "It is not C",
        "The answer is not C",
        "C is wrong",
        "(C) is incorrect",
        "It can't be C",
        "C isn't it",
    ],
    "letter and text": [
        "C. a red kite",
        "(A) a green car",
        "The answer is C: a red kite",
        "a green car, so A",
        "B, two yellow cars",
    ],
    "letters beyond": ["E", "e", "(E)", "Answer: E", "The answer is I", "Z."],
    "texts": [
        *(
            "a red kite or a green car",
            "a green car or so",
            "either a green car",
            "a green car and more",
            "not a green car",
        ),
        *("a red kite. a green car", "It isn't a green car", "a green cart"),
    ],
    "loops": ["The answer is C. " * 300, "a green car. " * 300],
}


@pytest.mark.parametrize("answer", [answer for answers in UNREADABLE.values() for answer in answers])
def test_leaves_unread_what_can_be_doubted(read: Read, question: Document, answer: str) -> None:
    reading = read("strict", question, answer)
    assert reading.state == "unreadable", reading
    assert reading.why


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "empty"),
        ("<think>C", "reasoning without an end"),
        ("()", "no word"),
        ("C", "letter C alone"),
        ("C, it is green", "letter C at the start"),
        ("so (C)", "letter C in brackets"),
        ("so it is C", "letter C at the end"),
        ("The answer is C", "letter C declared"),
        ("C) a green car", "letter C and its own text in one line"),
        ("a green car", "the text of option C"),
        ("It is a green car", "the text of option C within the answer"),
        ("A or C", "two letters: A, C"),
        ("A, B or C", "letters: A, B, C"),
        ("E", "letter E, but the options are A-D"),
        ("(C) is wrong", "letter C with a negation"),
        ("(C) a red kite", "letter C, but the text of option A"),
        ("a red kite, a green car", "the texts of options A, C"),
        ("not a green car", "the text of option C with a negation"),
        ("a green car and more", "the text of option C and more"),
        ("a green car, as in plan B", "the text of option C, but letter B"),
        ("no idea", "no letter and no option's text"),
        ("a green car " * 300, "the same again and again"),
    ],
)
def test_says_why(read: Read, question: Document, answer: str, why: str) -> None:
    assert read("strict", question, answer).why == why


def _with(question: Document, *options: str) -> Document:
    return replace(question, options=options, correct=0)


def test_letters_as_texts_of_options_leave_no_letter_certain(read: Read, question: Document) -> None:
    swapped = _with(question, "B", "A", "C")
    assert read("strict", swapped, "A").why == "letter A, which is the text of option B"
    assert read("strict", swapped, "Answer: (B)").why == "letter B, but the text of option A"
    assert read("strict", swapped, "C").choice == 2
    assert read("strict", _with(question, "D", "E"), "E").why == "the text of option B"


def test_yes_and_no_as_options(read: Read, question: Document) -> None:
    document = _with(question, "Yes", "No")
    for answer in ("No", "no.", "B", "B. No", "No, it does not.", "(B) No, it waits"):
        assert read("strict", document, answer).choice == 1, answer
    for answer in ("A. No", "A. No, it waits", "No (A)", "There is no car", "Nothing", "Yes, no"):
        assert read("strict", document, answer).state == "unreadable", answer


def test_numbers_as_options(read: Read, question: Document) -> None:
    document = _with(question, "2", "3", "13")
    for answer in ("3", "B", "B. 3", "There are 3 cars."):
        assert read("strict", document, answer).choice == 1, answer
    for answer in ("2 or 3", "at 3.5 seconds", "3 cars and 2 boats", "B. 2", "three", "33"):
        assert read("strict", document, answer).state == "unreadable", answer


def test_a_text_within_another_one_is_not_named(read: Read, question: Document) -> None:
    document = _with(question, "red", "dark red", "right")
    assert read("strict", document, "It is dark red.").choice == 1
    assert read("strict", document, "red").choice == 0
    assert read("strict", document, "(A) dark red").state == "unreadable"
    assert read("strict", document, "The right answer is B").choice == 1


def test_equal_options_are_told_apart_by_letter_alone(read: Read, question: Document) -> None:
    document = _with(question, "up", "up", "down")
    assert read("strict", document, "up").why == "the text of options A, B"
    assert read("strict", document, "B. up").choice == 1


def test_names_of_options_count_as_their_texts(read: Read, question: Document) -> None:
    named = replace(question, tags={"labels": "Caption A\nCaption B\nCaption C\nCaption D"})
    for answer in ("Caption C", "caption C.", "Caption C: a green car", "Caption C is right", "It is caption C", "C"):
        assert read("strict", named, answer).choice == 2, answer
    for answer in ("Caption A or Caption C", "Caption E", "Caption C: a red kite", "not Caption C"):
        assert read("strict", named, answer).state == "unreadable", answer
    numbered = replace(question, tags={"labels": "Option 1\nOption 2\nOption 3\nOption 4"})
    for answer in ("Option 3", "3", "3.", "Option 3.", "The answer is option 3"):
        assert read("strict", numbered, answer).choice == 2, answer
    assert read("strict", question, "Option 3").state == "unreadable"


def test_many_options(read: Read, question: Document) -> None:
    document = _with(question, *(f"number {position}" for position in range(30)))
    assert read("strict", document, "I.").choice == 8
    assert read("strict", document, "I think that it is number 29").choice == 29
    assert read("strict", document, "number 28, number 29").why == "the texts of options 29, 30"
    assert read("strict", document, "I would say J").choice == 9


@pytest.mark.parametrize("component", registry().components("extractor"), ids=lambda found: found.spec.component_name())
def test_a_million_characters_take_one_pass(component: Component, question: Document) -> None:
    extractor = component.spec().build()
    answer = "The man (a) says: the answer is not B. " * 25_600
    assert len(answer) > 998_000
    for document in (question, Document("q", "v", "Does it?", "yes"), Document("q", "v", "How many?", "3")):
        with suppress(DataError):
            assert extractor.read(document, answer) == extractor.read(document, answer)
            break
