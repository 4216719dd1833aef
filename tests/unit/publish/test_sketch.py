"""Sketches tell how far apart two tensors are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlmkit.publish.sketch import Sketch, relative_difference, rounded, sketch


def test_the_difference_is_about_that_of_the_tensors() -> None:
    drawn = np.random.default_rng(3)
    values = drawn.normal(size=(70, 33)) + 1
    kept = sketch(values)
    assert kept.norm == pytest.approx(float(np.linalg.norm(values)))
    for size in (1e-6, 1e-3, 0.1):
        estimates = []
        for _ in range(40):
            change = drawn.normal(size=values.shape)
            change *= size * np.linalg.norm(values) / np.linalg.norm(change)
            estimates.append(relative_difference(kept, sketch(values + change)) / size)
        assert 0.4 < min(estimates) < 1 < max(estimates) < 1.8
        assert np.mean(estimates) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("place", [(0, 0), (11, 7), (39, 15)])
def test_a_single_number_is_seen_wherever_it_stands(place: tuple[int, int]) -> None:
    values = np.ones((40, 16), np.float32)
    other = values.copy()
    other[place] += 2
    assert relative_difference(sketch(values), sketch(other)) == pytest.approx(2 / np.linalg.norm(values))


def test_the_vectors_are_the_same_everywhere_and_forever() -> None:
    assert sketch(np.arange(5.0)).products == [
        -4.0,
        -4.0,
        -6.0,
        8.0,
        -2.0,
        -4.0,
        8.0,
        2.0,
        4.0,
        -2.0,
        6.0,
        -4.0,
        -2.0,
        10.0,
        8.0,
        8.0,
    ]
    assert sketch(np.arange(6.0).reshape(2, 3)) == sketch(np.arange(6.0, dtype=np.float32))


def test_what_has_no_norm() -> None:
    nothing, something = sketch(np.zeros(9)), sketch(np.ones(9))
    assert relative_difference(nothing, nothing) == 0
    assert math.isinf(relative_difference(nothing, something))
    with pytest.raises(ValueError, match="1 of 3 numbers are not finite"):
        sketch(np.array([1.0, np.nan, 2.0]))


def test_numbers_are_kept_with_eight_digits() -> None:
    assert rounded(123.456789123) == 123.45679
    assert Sketch(norm=1.0, products=[0.5]).data() == {"norm": 1.0, "products": [0.5]}
