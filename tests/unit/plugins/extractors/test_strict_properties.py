"""Properties of the strict extractors, on answers that nobody thought of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit.api import Document, Extractor
from vlmkit.registry import registry

OPTIONS = ("a red kite", "a blue boat", "a green car", "two yellow cars", "nobody")
WORDS = (
    *(
        "A",
        "B",
        "C",
        "D",
        "E",
        "F",
        "a",
        "c",
        "(B)",
        "(c)",
        "C.",
        "B)",
        "D:",
        "I",
        "the",
        "answer",
        "is",
        "option",
        "not",
        "no",
    ),
    *(
        "or",
        "and",
        "so",
        "yes",
        "because",
        "correct",
        "wrong",
        "\n",
        ",",
        ".",
        ";",
        "**",
        "#",
        "'",
        '"',
        "</s>",
        "<think>",
    ),
    *("</think>", "\\boxed{A}", "<answer>", "</answer>", "3", "two", "once", "\u200b", "\uff22", "\xe9", *OPTIONS),
)
answers = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=6).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
PLAIN = ("the", "answer", "is", "not", "or", "and", "so", "yes", ",", ".", "\n", "because", *OPTIONS, *OPTIONS)
STABLE = settings(max_examples=200, deadline=None, derandomize=True, database=None)
ends = st.text(" .", max_size=4)


def document(options: tuple[str, ...]) -> Document:
    return Document("q", "v", "What is it?", options[0], options=options, correct=0)


@pytest.fixture(scope="module")
def strict() -> Extractor:
    spec = registry().get("extractor", "strict").spec()
    extractor: Extractor = spec.build()
    return extractor


@STABLE
@given(answers, st.integers(1, 5))
def test_no_letter_beyond_the_options(strict: Extractor, answer: str, count: int) -> None:
    reading = strict.read(document(OPTIONS[:count]), answer)
    assert reading.state in ("read", "unreadable")
    assert (reading.choice is None) == (reading.state == "unreadable")
    assert reading.why


@STABLE
@given(answers, ends, ends)
@pytest.mark.parametrize("name", ["strict", "yes-no"])
def test_blanks_and_full_stops_around_an_answer_change_nothing(name: str, answer: str, before: str, after: str) -> None:
    extractor = registry().get("extractor", name).spec().build()
    asked = document(OPTIONS) if name == "strict" else Document("q", "v", "Is it?", "yes")
    assert extractor.read(asked, f"{before}{answer}{after}") == extractor.read(asked, answer)


TEMPLATES = (
    *(
        "{letter}",
        "({letter})",
        "{letter}. {text}",
        "({letter}) {text}.",
        "{letter}: {text}",
        "Answer: {letter}",
        "{text}",
    ),
    *(
        "The answer is {letter}, {text}.",
        "I see it: {text}.",
        "It moves, so ({letter}).",
        "{letter} or {other}",
        "{text} or {end}",
    ),
    *("not {letter}", "{letter}. {end}", "{text}, {end}", "It is not {text}"),
)


@STABLE
@given(st.sampled_from(TEMPLATES), st.permutations(range(5)), st.integers(0, 4))
def test_the_order_of_the_options_does_not_matter(
    strict: Extractor, template: str, order: list[int], option: int
) -> None:
    def said(options: tuple[str, ...]) -> str:
        place, other = options.index(OPTIONS[option]), options.index(OPTIONS[option - 1])
        letters = {"letter": "ABCDE"[place], "other": "ABCDE"[other]}
        return template.format(text=options[place], end=options[other], **letters)

    shuffled = tuple(OPTIONS[place] for place in order)
    first, second = (strict.read(document(options), said(options)) for options in (OPTIONS, shuffled))
    assert first.state == second.state
    if first.choice is not None and second.choice is not None:
        assert first.choice == option
        assert shuffled[second.choice] == OPTIONS[option]


@STABLE
@given(st.lists(st.sampled_from(PLAIN), max_size=7).map(" ".join), st.permutations(range(5)))
def test_texts_go_with_their_options(strict: Extractor, answer: str, order: list[int]) -> None:
    shuffled = tuple(OPTIONS[place] for place in order)
    first, second = (strict.read(document(options), answer) for options in (OPTIONS, shuffled))
    assert first.state == second.state
    assert first.choice is None or second.choice == order.index(first.choice)
