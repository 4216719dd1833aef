"""Pictures stand upright, whichever way a file is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vlmkit_readers._ordered import OrderedVideo
from vlmkit_readers._survey import Survey
from vlmkit_readers.spec import DecordSpec

CODECS = ["libx264", "libsvtav1", "mpeg4"]


def _picture() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Four grey corners."""
    return np.kron(np.array([[250, 180], [100, 20]], np.uint8), np.ones((32, 48), np.uint8))


def _clip(path: Path, codec: str, degrees: int) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(degrees)
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_picture(), format="gray")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns(tmp_path: Path, codec: str, turns: int) -> None:
    video = DecordSpec().build().open(_clip(tmp_path / "clip.mp4", codec, 90 * turns))
    expected = np.rot90(_picture(), turns).astype(float)
    frames = video.frames([0, 4])
    assert (video.height, video.width) == expected.shape
    assert frames.shape == (2, *expected.shape, 3)
    assert np.abs(frames.mean((0, 3)) - expected).mean() < 8


@pytest.mark.parametrize("codec", CODECS)
def test_other_angles_are_left_alone(tmp_path: Path, codec: str) -> None:
    video = DecordSpec().build().open(_clip(tmp_path / "clip.mp4", codec, 45))
    assert (video.width, video.height) == (96, 64)
    assert np.abs(video.frames([0]).mean((0, 3)) - _picture()).mean() < 8


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_both_ways_give_the_same_picture(tmp_path: Path, degrees: int) -> None:
    clip = _clip(tmp_path / "clip.mp4", "libx264", degrees)
    seeking, ordered = DecordSpec().build().open(clip), OrderedVideo.open(Survey.of(clip), 1)
    assert (seeking.width, seeking.height) == (ordered.width, ordered.height)
    np.testing.assert_array_equal(seeking.frames([2]), ordered.frames([2]))
