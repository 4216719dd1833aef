"""Which other clip is shown."""

from __future__ import annotations

import pytest

from vlmkit.errors import DataError
from vlmkit.evaluation.blind import other_clips


@pytest.mark.parametrize("count", [2, 3, 50])
def test_each_clip_stands_in_for_exactly_one_other(count: int) -> None:
    clips = [f"{index}.mp4" for index in range(count)]
    other = other_clips(clips * 3, seed=1)
    assert sorted(other) == sorted(other.values()) == sorted(clips)
    assert all(clip != shown for clip, shown in other.items())


def test_the_seed_decides() -> None:
    clips = [str(index) for index in range(50)]
    assert other_clips(clips, 1) == other_clips(reversed(clips), 1)
    assert other_clips(clips, 1) != other_clips(clips, 2)


def test_one_clip_is_too_few() -> None:
    with pytest.raises(DataError, match="at least two clips, found 1"):
        other_clips(["a", "a"], 0)
