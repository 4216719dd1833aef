"""Frames on the canvas, against the reference's sizes and paddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vlmkit.api import VideoInput
from vlmkit.data import FittedVideo, fit_frames, padding_colour

INPUTS = {"teacher_224": VideoInput(size=224, multiple=14), "aligner_448": VideoInput()}


def _noise(count: int, height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_sizes_and_padding_are_the_references(golden: Path, name: str) -> None:
    rows = json.loads((golden / "frame_fit.json").read_text())
    assert len(rows) == 17
    video = INPUTS[name]
    for row in rows:
        expected = row[name]
        place = video.place(row["width"], row["height"])
        assert (place.width, place.height) == (expected["new_width"], expected["new_height"]), row
        first, last = expected["pad_before"], expected["pad_before"] + expected["content"]
        assert last + expected["pad_after"] == video.size
        wide = row["width"] > row["height"]
        box = (first, last, 0, video.size) if wide else (0, video.size, first, last)
        assert video.shape(row["width"], row["height"]).content == box, row


@pytest.mark.parametrize(("width", "height"), [(90, 40), (40, 90), (33, 33), (120, 119)])
def test_pad_is_bicubic_on_coloured_ground(width: int, height: int) -> None:
    video = VideoInput(frames=2, size=56, multiple=14)
    frames = _noise(2, height, width)
    fitted = fit_frames(frames, video)
    place = video.place(width, height)
    top, bottom, left, right = fitted.content
    assert fitted.pixels.shape == (2, 56, 56, 3)
    for canvas, frame in zip(fitted.pixels, frames, strict=True):
        resized = np.asarray(Image.fromarray(frame).resize((place.width, place.height), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(canvas[top:bottom, left:right], resized)
    ground = np.ones((56, 56), bool)
    ground[top:bottom, left:right] = False
    assert (fitted.pixels[:, ground] == (122, 116, 104)).all()


def test_padding_colour_follows_the_mean() -> None:
    assert padding_colour(VideoInput()) == (122, 116, 104)
    assert padding_colour(VideoInput(mean=(0.5, 0.0, 1.0))) == (127, 0, 255)


@pytest.mark.parametrize(("width", "height"), [(80, 48), (48, 80), (49, 49)])
def test_crop_takes_the_middle(width: int, height: int) -> None:
    video = VideoInput(frames=1, size=32, fit="crop")
    frames = _noise(1, height, width)
    fitted = fit_frames(frames, video)
    short = min(width, height)
    size = (width * 32 // short, height * 32 // short)
    resized = np.asarray(Image.fromarray(frames[0]).resize(size, Image.Resampling.BICUBIC))
    top, left = (size[1] - 32) // 2, (size[0] - 32) // 2
    np.testing.assert_array_equal(fitted.pixels[0], resized[top : top + 32, left : left + 32])
    assert fitted.content == (0, 32, 0, 32)


def test_squash_fills_the_canvas() -> None:
    fitted = fit_frames(_noise(1, 30, 50), VideoInput(frames=1, size=16, fit="squash"))
    assert fitted.pixels.shape == (1, 16, 16, 3)
    assert fitted.content == (0, 16, 0, 16)


def test_missing_frames_are_padding_in_time() -> None:
    frames = _noise(3, 28, 28)
    padded = fit_frames(frames, VideoInput(frames=5, size=28))
    assert padded.present == 3
    np.testing.assert_array_equal(padded.pixels[:3], frames)
    assert not padded.pixels[3:].any()
    assert padded.shape == VideoInput(frames=5, size=28).shape(28, 28, present=3)
    assert len(fit_frames(frames, VideoInput(frames=5, size=28, sampling="one-fps")).pixels) == 3


@pytest.mark.parametrize("count", [0, 3])
def test_frame_count_is_checked(count: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to 2 frames, found {count}"):
        fit_frames(_noise(count, 8, 8), VideoInput(frames=2, size=28))


def test_flip_mirrors_picture_and_content() -> None:
    fitted = fit_frames(_noise(2, 100, 45), VideoInput(frames=3, size=140, multiple=28))
    assert fitted.content == (0, 140, 28, 112)
    odd = fit_frames(_noise(2, 100, 55), VideoInput(frames=3, size=140, multiple=28))
    flipped = odd.flipped()
    assert odd.content == (0, 140, 28, 112)
    uneven = FittedVideo(odd.pixels, (0, 140, 28, 84), 2).flipped()
    assert uneven.content == (0, 140, 56, 112)
    np.testing.assert_array_equal(flipped.pixels, odd.pixels[:, :, ::-1])
    again = flipped.flipped()
    assert (again.content, again.present) == (odd.content, odd.present)
    np.testing.assert_array_equal(again.pixels, odd.pixels)
