"""Numbers as a reader wants them."""

from __future__ import annotations

import pytest

from vlmkit.formatting import (
    columns,
    count,
    difference,
    differences,
    duration,
    figure,
    figures,
    large,
    learning_rate,
    markdown_table,
    markdown_text,
    one_line,
    plural,
)


def test_numbers() -> None:
    assert count(45066578) == "45,066,578"
    assert (plural(1, "question"), plural(1200, "question")) == ("1 question", "1,200 questions")


@pytest.mark.parametrize(("number", "text"), [(68.3e9, "68.3 G"), (1.5e12, "1.5 T"), (999, "999"), (1500, "1.5 k")])
def test_large(number: float, text: str) -> None:
    assert large(number) == text


@pytest.mark.parametrize(("value", "text"), [(4e-4, "4e-4"), (1.5e-3, "1.5e-3"), (1.0, "1e0"), (2.25e-5, "2.25e-5")])
def test_learning_rate(value: float, text: str) -> None:
    assert learning_rate(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.31, "0.31 s"), (59, "59 s"), (310, "5 min"), (4000, "1 h 7 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_columns_are_aligned_and_end_without_spaces() -> None:
    assert columns([("a", "1", "x"), ("long", "22", "")]) == "  a     1   x\n  long  22"


def test_metrics_and_their_differences() -> None:
    assert (figure(0.8647, "accuracy"), figures((0.841, 1.0), "accuracy")) == ("86.5%", "84.1\N{EN DASH}100.0%")
    assert (figure(0.8647, "acc_norm"), figure(0.8647, "exact_match,strict")) == ("86.5%", "86.5%")
    assert (figure(3.3, "score"), figures([3.1, 3.5], "score")) == ("3.30", "3.10\N{EN DASH}3.50")
    assert (difference(0.0123, "accuracy"), difference(-0.5, "score")) == ("+1.23", "-0.50")
    assert differences((-0.0071, 0.0137), "accuracy") == "-0.71 to +1.37"


def test_one_line() -> None:
    assert one_line(" a\n  b\tc ") == "a b c"
    assert one_line("long " * 5, 10) == "long long…"


def test_a_markdown_table_shows_texts_as_they_are() -> None:
    rows = [[markdown_text("w/o <row>\n| *"), "1"]]
    assert markdown_table(("", "n"), rows) == "|  | n |\n| --- | ---: |\n| w/o \\<row\\> \\| \\* | 1 |"
