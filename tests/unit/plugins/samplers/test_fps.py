"""The sampler `fps`: so many frames per second, within bounds, in even numbers where asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from vlmkit.api import Sampler
from vlmkit_samplers.spec import FpsSpec

ENDLESS = 10**12


def sampler(**options: object) -> Sampler:
    return FpsSpec.model_validate({"max_frames": 64, **options}).build()


@pytest.mark.parametrize(
    ("num_frames", "rate", "fps", "expected"),
    [
        (75, 25.0, 1, [0, 25, 50]),
        (76, 25.0, 1, [0, 25, 50, 75]),  # the fourth second has begun
        (75, 25.0, 2, [0, 12, 25, 37, 50, 62]),
        (75, 25.0, 0.5, [0, 50]),
        (90, 30000 / 1001, 1, [0, 29, 59, 89]),  # 89.91 is the third second: frame 89 is shown then
        (90, 29.97, 1, [0, 29, 59, 89]),
        (72, 23.976, 1, [0, 23, 47, 71]),
        (100, 12.5, 1, [0, 12, 25, 37, 50, 62, 75, 87]),
        (30, 0.5, 1, list(range(30))),  # one frame every two seconds: each comes once
        (5, 1.0, 1, [0, 1, 2, 3, 4]),
        (5, 1000.0, 1, [0]),
        (1, 25.0, 1, [0]),
    ],
)
def test_frames_of_each_second(num_frames: int, rate: float, fps: float, expected: list[int]) -> None:
    assert sampler(fps=fps).positions(num_frames, rate, None, 64) == expected


def test_long_videos_are_spread_over_their_whole_length() -> None:
    assert sampler(max_frames=4).positions(1000, 25.0, None, 4) == [0, 250, 500, 750]
    assert len(sampler(max_frames=16).positions(ENDLESS, 25.0, None, 16)) == 16


def test_short_videos_have_at_least_min_frames() -> None:
    assert sampler(min_frames=4).positions(50, 25.0, None, 64) == [0, 12, 25, 37]
    assert sampler(min_frames=8).positions(3, 25.0, None, 64) == [0, 1, 2]  # there are no more


@pytest.mark.parametrize("num_frames", [1, 2, 3, 7, 26, 50, 51, 74, 75, 76, 101, 1000])
@pytest.mark.parametrize("rate", [5.0, 23.976, 25.0, 29.97])
@pytest.mark.parametrize("most", [2, 7, 16])
def test_even_numbers(num_frames: int, rate: float, most: int) -> None:
    found = sampler(even=True, max_frames=most).positions(num_frames, rate, None, most)
    assert len(found) % 2 == 0
    assert 2 <= len(found) <= most
    odd = sampler(max_frames=most).positions(num_frames, rate, None, most)
    if len(odd) > 1 and len(odd) < most:
        assert found == odd[: len(found)], "the last frame is left out, the others stay where they were"


def test_a_single_frame_comes_twice_where_an_even_number_is_wanted() -> None:
    assert sampler(even=True).positions(1, 25.0, None, 64) == [0, 0]
    assert sampler(even=True, max_frames=2).positions(10, 25.0, None, 2) == [0, 5]


@pytest.mark.parametrize("rate", [0.0, float("inf")])
def test_without_a_rate_the_video_is_spread(rate: float) -> None:
    assert sampler(max_frames=5).positions(100, rate, None, 5) == [0, 20, 40, 60, 80]
    assert sampler(max_frames=5).positions(3, rate, None, 5) == [0, 1, 2]


def test_times_of_frames_tell_more_than_a_rate() -> None:
    slow_then_fast = [0.0, 1.0, 2.0, *(3 + i / 10 for i in range(20))]  # 5 s: three frames, then ten a second
    assert sampler().positions(len(slow_then_fast), 25.0, slow_then_fast, 64) == [0, 1, 2, 3, 13]
    late = np.array(slow_then_fast) + 7.5  # begins at 7.5 s
    assert sampler().positions(len(slow_then_fast), 25.0, late.tolist(), 64) == [0, 1, 2, 3, 13]
    assert sampler().positions(2, 1.0, [0.0, 0.0], 64) == [0, 1]  # times that say nothing


@pytest.mark.parametrize("rate", [1e-300, 1e-9, 0.3, 7.0, 59.94, 1e300])
@pytest.mark.parametrize("num_frames", [1, 2, 9, 1000, ENDLESS])
@pytest.mark.parametrize("options", [{}, {"even": True}, {"min_frames": 7}, {"fps": 1000.0}, {"fps": 1e-6}])
def test_positions_are_those_of_frames(rate: float, num_frames: int, options: dict[str, object]) -> None:
    found = sampler(**options).positions(num_frames, rate, None, 64)  # the contract looks at them, too
    assert 1 <= len(found) <= 64
    assert found[0] >= 0
    assert found[-1] < num_frames
    assert all(before <= after for before, after in pairwise(found))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_frames": 4, "min_frames": 5}, "max_frames is 4, expected at least 5, as min_frames and even ask"),
        ({"max_frames": 1, "even": True}, "max_frames is 1, expected at least 2"),
        ({"fps": 0}, "greater than 0"),
        ({"max_frames": 2**17}, "less than or equal to 65536"),
    ],
)
def test_options_that_cannot_be_met_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        sampler(**options)
