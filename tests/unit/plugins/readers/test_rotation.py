"""Pictures stand upright, turned and mirrored as the file asks for, whichever way it is decoded."""

from __future__ import annotations

import struct
from fractions import Fraction
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
    """Four gray corners."""
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


MIRRORED = {
    "left and right": (-1, 0, 0, 1),
    "top and bottom": (1, 0, 0, -1),
    "rows and columns": (0, 1, 1, 0),
    "rows and columns, from the other end": (0, -1, -1, 0),
}


def _shown(picture: np.ndarray[Any, Any], matrix: tuple[int, int, int, int]) -> np.ndarray[Any, Any]:
    """The picture whose point (x, y) is shown at (ax + cy, bx + dy)."""
    a, b, c, d = matrix
    height, width = picture.shape
    y, x = np.mgrid[:height, :width]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    shown = np.zeros((down.max() + 1, across.max() + 1), picture.dtype)
    shown[down, across] = picture
    return shown


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", sorted(MIRRORED))
def test_mirrored_pictures(tmp_path: Path, codec: str, name: str) -> None:
    clip = _clip(tmp_path / "clip.mp4", codec, 0)
    content = bytearray(clip.read_bytes())
    header, one, matrix = content.index(b"tkhd") + 4, 1 << 16, MIRRORED[name]
    a, b, c, d = (one * number for number in matrix)
    struct.pack_into(">9i", content, header + (52 if content[header] else 40), a, b, 0, c, d, 0, 0, 0, 1 << 30)
    clip.write_bytes(content)
    expected = _shown(_picture(), matrix).astype(float)
    for source in (clip, bytes(content)):
        video = DecordSpec().build().open(source)
        assert (video.height, video.width) == expected.shape
        assert np.abs(video.frames([0, 4]).mean((0, 3)) - expected).mean() < 8


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turns_by_a_tag_of_older_files(tmp_path: Path, turns: int) -> None:
    clip = tmp_path / "clip.mkv"
    with av.open(str(clip), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.metadata["ROTATE"] = str(90 * turns)
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_picture(), format="gray")))
        container.mux(stream.encode())
    expected = np.rot90(_picture(), -turns).astype(float)  # clockwise
    frames = DecordSpec().build().open(clip).frames([0, 4])
    assert np.abs(frames.mean((0, 3)) - expected).mean() < 8


def test_pixels_that_are_not_square_are_left_as_they_are(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(_picture(), format="gray")))
        container.mux(stream.encode())
    video = DecordSpec().build().open(clip)
    assert (video.width, video.height) == (96, 64)
    assert "not square" in (DecordSpec.__doc__ or "")
