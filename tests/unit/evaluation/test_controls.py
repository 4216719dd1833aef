"""Controls: what each takes away from a question, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.api import DataError, Document
from vlmkit.data import FittedVideo
from vlmkit.evaluation.controls import Arrangement, other_clips, permute_options


def video(frames: int, slots: int) -> FittedVideo:
    pixels = np.zeros((slots, 2, 2, 3), np.uint8)
    pixels[:frames] = np.arange(1, frames + 1, dtype=np.uint8)[:, None, None, None]
    return FittedVideo(pixels, (0, 2, 0, 2), frames)


def order(shown: FittedVideo) -> list[int]:
    return [int(value) for value in shown.pixels[:, 0, 0, 0]]


def test_every_clip_stands_in_for_exactly_one_other() -> None:
    names = [f"clip {number}" for number in range(9)]
    others = other_clips(names, seed=1)
    assert sorted(others) == sorted(others.values()) == names
    assert all(clip != other for clip, other in others.items())
    assert other_clips(reversed(names), seed=1) == others != other_clips(names, seed=2)


@pytest.mark.parametrize("clips", [[], ["one"], ["one", "one"]])
def test_one_clip_has_no_other(clips: list[str]) -> None:
    with pytest.raises(DataError, match="needs at least two clips"):
        other_clips(clips, seed=1)


def test_frames_are_arranged_and_padding_stays_at_the_end() -> None:
    whole = video(5, 7)
    assert order(Arrangement("reversed-frames", 1, "v").apply(whole)) == [5, 4, 3, 2, 1, 0, 0]
    assert order(Arrangement("single-frame", 1, "v").apply(whole)) == [3, 3, 3, 3, 3, 0, 0]
    shuffled = order(Arrangement("shuffled-frames", 1, "v").apply(whole))
    assert sorted(shuffled[:5]) == [1, 2, 3, 4, 5] != shuffled[:5]
    assert shuffled == order(Arrangement("shuffled-frames", 1, "v").apply(whole))
    assert len({tuple(order(Arrangement("shuffled-frames", 1, str(name)).apply(whole))) for name in range(20)}) > 5
    assert order(whole) == [1, 2, 3, 4, 5, 0, 0], "the video itself stays as it is"
    assert Arrangement("reversed-frames", 1, "v").apply(whole).num_frames_present == 5


@given(count=st.integers(2, 8), correct=st.integers(0, 7), seed=st.integers(0, 50))
def test_options_are_permuted_and_the_right_one_stands_elsewhere(count: int, correct: int, seed: int) -> None:
    correct %= count
    options = tuple(f"option {number}" for number in range(count))
    document = Document("q", "v", "which?", options[correct], options=options, correct=correct)
    permuted = permute_options(document, seed)
    assert sorted(permuted.options) == sorted(options)
    assert permuted.correct is not None
    assert permuted.options[permuted.correct] == options[correct]
    assert permuted.correct != correct


def test_without_a_second_option_or_a_public_answer() -> None:
    one = Document("q", "v", "which?", "a", options=("a",), correct=0)
    assert permute_options(one, 1) is one
    unknown = Document("q", "v", "which?", options=("a", "b", "c"))
    permuted = permute_options(unknown, 1)
    assert (sorted(permuted.options), permuted.correct) == (["a", "b", "c"], None)
