"""Frames on the canvas, against the reference's sizes and paddings; from bytes to normalised tensors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

from vlmkit.api import VideoInput
from vlmkit.data import FittedVideo, fit_frames, padding_color, to_batch

VIDEO = VideoInput(frames=3, size=28)
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
        assert video.shape(row["width"], row["height"]).content_box == box, row


@pytest.mark.parametrize(("width", "height"), [(90, 40), (40, 90), (33, 33), (120, 119)])
def test_pad_is_bicubic_on_coloured_ground(width: int, height: int) -> None:
    video = VideoInput(frames=2, size=56, multiple=14)
    frames = _noise(2, height, width)
    fitted = fit_frames(frames, video)
    place = video.place(width, height)
    top, bottom, left, right = fitted.content_box
    assert fitted.pixels.shape == (2, 56, 56, 3)
    for canvas, frame in zip(fitted.pixels, frames, strict=True):
        resized = np.asarray(Image.fromarray(frame).resize((place.width, place.height), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(canvas[top:bottom, left:right], resized)
    ground = np.ones((56, 56), bool)
    ground[top:bottom, left:right] = False
    assert (fitted.pixels[:, ground] == (122, 116, 104)).all()


def test_padding_color_follows_the_mean() -> None:
    assert padding_color(VideoInput()) == (122, 116, 104)
    assert padding_color(VideoInput(mean=(0.5, 0.0, 1.0))) == (127, 0, 255)


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
    assert fitted.content_box == (0, 32, 0, 32)


def test_squash_fills_the_canvas() -> None:
    fitted = fit_frames(_noise(1, 30, 50), VideoInput(frames=1, size=16, fit="squash"))
    assert fitted.pixels.shape == (1, 16, 16, 3)
    assert fitted.content_box == (0, 16, 0, 16)


def _whole_then_cut(frame: np.ndarray[Any, Any], video: VideoInput) -> np.ndarray[Any, Any]:
    """The canvas, by resizing the whole picture."""
    height, width, _ = frame.shape
    place = video.place(width, height)
    picture = np.asarray(Image.fromarray(frame).resize((place.width, place.height), Image.Resampling.BICUBIC))
    canvas = np.full((video.size, video.size, 3), padding_color(video), np.uint8)
    top, left = max(place.top, 0), max(place.left, 0)
    cut = picture[top - place.top :, left - place.left :][: video.size - top, : video.size - left]
    canvas[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return canvas


SIDES = [1, 2, 3, 5, 8, 13, 28, 29, 31, 56, 57, 97, 240, 321, 641]


@pytest.mark.parametrize("fit", ["pad", "crop", "squash"])
@pytest.mark.parametrize("size", [28, 56])
def test_ordinary_pictures_are_resized_whole(fit: Literal["pad", "crop", "squash"], size: int) -> None:
    video = VideoInput(frames=1, size=size, multiple=14, fit=fit)
    for height in SIDES:
        for width in SIDES:
            frames = _noise(1, height, width)
            np.testing.assert_array_equal(fit_frames(frames, video).pixels[0], _whole_then_cut(frames[0], video))


@pytest.mark.parametrize("size", [28, 57])
def test_what_would_become_too_big_is_cut_first(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmkit.data.fit._LARGEST", 0)
    video = VideoInput(frames=1, size=size, fit="crop")
    for height in SIDES:
        for width in SIDES:
            frame = _noise(1, height, width)
            off = np.abs(fit_frames(frame, video).pixels[0] - _whole_then_cut(frame[0], video).astype(int))
            assert off.mean() < 1, (width, height)
            if min(width, height) <= size:  # where Pillow shrinks, it may begin with the other direction
                assert off.max() <= 1, (width, height)


def test_strips_cost_no_more_than_their_pixels() -> None:
    code = """
import resource
import numpy as np
from vlmkit.api import VideoInput
from vlmkit.data import fit_frames
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for width, height in [(16000, 2), (2, 16000), (65535, 1), (1, 65535), (30000, 3)]:
    for fit in ("pad", "crop", "squash"):
        frame = np.zeros((1, height, width, 3), np.uint8)
        frame[:, height // 2 :, width // 2 :] = 255
        pixels = fit_frames(frame, VideoInput(frames=1, size=448, fit=fit)).pixels
        assert pixels.shape == (1, 448, 448, 3)
        assert pixels.max() == 255
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100


def test_missing_frames_are_padding_in_time() -> None:
    frames = _noise(3, 28, 28)
    padded = fit_frames(frames, VideoInput(frames=5, size=28))
    assert padded.num_frames_present == 3
    np.testing.assert_array_equal(padded.pixels[:3], frames)
    assert not padded.pixels[3:].any()
    assert padded.shape == VideoInput(frames=5, size=28).shape(28, 28, num_frames_present=3)
    assert len(fit_frames(frames, VideoInput(frames=5, size=28, sampling="one-fps")).pixels) == 3


@pytest.mark.parametrize("count", [0, 3])
def test_frame_count_is_checked(count: int) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to 2 frames, found {count}"):
        fit_frames(_noise(count, 8, 8), VideoInput(frames=2, size=28))


def test_flip_mirrors_picture_and_content() -> None:
    fitted = fit_frames(_noise(2, 100, 45), VideoInput(frames=3, size=140, multiple=28))
    assert fitted.content_box == (0, 140, 28, 112)
    odd = fit_frames(_noise(2, 100, 55), VideoInput(frames=3, size=140, multiple=28))
    flipped = odd.flipped()
    assert odd.content_box == (0, 140, 28, 112)
    uneven = FittedVideo(odd.pixels, (0, 140, 28, 84), 2).flipped()
    assert uneven.content_box == (0, 140, 56, 112)
    np.testing.assert_array_equal(flipped.pixels, odd.pixels[:, :, ::-1])
    again = flipped.flipped()
    assert (again.content_box, again.num_frames_present) == (odd.content_box, odd.num_frames_present)
    np.testing.assert_array_equal(again.pixels, odd.pixels)


def _fitted(frames: int, present: int, seed: int = 0, size: int = 28) -> FittedVideo:
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    pixels[present:] = 0
    return FittedVideo(pixels, (0, size, 0, size), present)


def test_values_are_normalised() -> None:
    videos = [_fitted(3, 3, 1), _fitted(3, 3, 2)]
    batch = to_batch(videos, VIDEO)
    raw = torch.from_numpy(np.stack([v.pixels for v in videos])).permute(0, 1, 4, 2, 3)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (VIDEO.mean, VIDEO.std))
    assert batch.pixels.dtype == torch.float32
    assert batch.pixels.is_contiguous()
    assert torch.equal(batch.pixels, (raw.float() / 255 - mean) / std)
    assert batch.frame_mask.all()
    assert batch.content_box.tolist() == [[0, 28, 0, 28]] * 2


def test_padding_in_time_is_zero() -> None:
    batch = to_batch([_fitted(3, 2), _fitted(1, 1)], VIDEO)
    assert batch.frame_mask.tolist() == [[True, True, False], [True, False, False]]
    assert not batch.pixels[~batch.frame_mask].any()
    assert batch.pixels[batch.frame_mask].abs().sum(dim=(1, 2, 3)).min() > 0


def test_a_flipped_video_is_the_mirrored_tensor() -> None:
    fitted = _fitted(3, 3)
    plain, flipped = to_batch([fitted], VIDEO), to_batch([fitted.flipped()], VIDEO)
    assert torch.equal(flipped.pixels, plain.pixels.flip(-1))


def test_unequal_canvases_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        to_batch([_fitted(3, 3), _fitted(3, 3, size=56)], VIDEO)
    with pytest.raises(ValueError, match="at least one"):
        to_batch([], VIDEO)


def test_canvases_of_different_sides_are_padded_to_the_largest() -> None:
    video = VideoInput(frames=2, fit="area", size=64, multiple=8, sampling="one-fps")
    wide, tall = fit_frames(_noise(2, 16, 48), video), fit_frames(_noise(1, 40, 24), video)
    assert [fitted.pixels.shape for fitted in (wide, tall)] == [(2, 16, 48, 3), (1, 40, 24, 3)]
    batch = to_batch([wide, tall], video)
    assert batch.pixels.shape == (2, 2, 3, 40, 48)
    assert batch.content_box.tolist() == [[0, 16, 0, 48], [0, 40, 0, 24]]
    assert batch.frame_mask.tolist() == [[True, True], [True, False]]
    assert torch.equal(batch.pixels[0, :, :, :16], to_batch([wide], video).pixels[0])
    assert torch.equal(batch.pixels[1, :1, :, :, :24], to_batch([tall], video).pixels[0])
    assert not batch.pixels[0, :, :, 16:].any()
    assert not batch.pixels[1, :, :, :, 24:].any()
    assert not batch.pixels[1, 1].any()


def test_square_canvases_of_different_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="expected canvases of one size"):
        to_batch([_fitted(1, 1), _fitted(1, 1, size=56)], VIDEO)


@pytest.mark.parametrize(("width", "height"), [(90, 40), (33, 120)])
def test_area_is_the_resized_picture_alone(width: int, height: int) -> None:
    video = VideoInput(frames=1, fit="area", size=32, multiple=8)
    frames = _noise(1, height, width)
    place = video.place(width, height)
    resized = Image.fromarray(frames[0]).resize((place.width, place.height), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(fit_frames(frames, video).pixels[0], np.asarray(resized))
