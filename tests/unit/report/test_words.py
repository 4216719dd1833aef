"""Numbers as a reader wants them."""

from __future__ import annotations

import pytest

from vlmkit.report.words import component, count, duration, interval, large, plural, primary, rate, score


def test_numbers() -> None:
    assert count(45066578) == "45,066,578"
    assert (plural(1, "question"), plural(1200, "question")) == ("1 question", "1,200 questions")


@pytest.mark.parametrize(("number", "text"), [(68.3e9, "68.3 G"), (1.5e12, "1.5 T"), (999, "999"), (1500, "1.5 k")])
def test_large(number: float, text: str) -> None:
    assert large(number) == text


@pytest.mark.parametrize(("value", "text"), [(4e-4, "4e-4"), (1.5e-3, "1.5e-3"), (1.0, "1e0"), (2.25e-5, "2.25e-5")])
def test_rate(value: float, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.31, "0.31 s"), (59, "59 s"), (310, "5 min"), (4000, "1 h 7 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_accuracy_is_a_percentage_and_other_metrics_are_not() -> None:
    assert score("accuracy", 0.8647) == "86.5%"
    assert score("score", 3.3) == "3.30"
    assert interval("accuracy", {"ci95": [0.841, 1.0]}) == "84.1\N{EN DASH}100.0%"
    assert interval("score", {"ci95": [3.1, 3.5]}) == "3.10\N{EN DASH}3.50"


def test_the_metric_that_stands_for_a_benchmark() -> None:
    assert primary({"score": 1, "accuracy": 1}) == "accuracy"
    assert primary({"rouge": 1, "score": 1}) == "rouge"


def test_a_component_with_its_slots() -> None:
    options = {"type": "stab", "width": 96, "input": {"frames": 8}, "downsampler": {"type": "lsd"}}
    assert component(options) == "stab (downsampler lsd)"
    assert component({"type": "talk"}) == "talk"
