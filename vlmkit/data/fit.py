"""Decoded frames on a canvas, as bytes that can be cached; normalized when they become the tensors of a batch.

Shape letters: B videos, n sampled frames, T frame slots, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from vlmkit.api.canvas import Box, Canvas, Fit
from vlmkit.api.video import VideoInput, VideoShape
from vlmkit.errors import UnreadableVideo

if TYPE_CHECKING:
    from vlmkit.api.tensors import VideoBatch

__all__ = ["FittedVideo", "Fitting", "fit_frames", "padding_color", "to_batch"]

Pixels = npt.NDArray[np.uint8]
Span = tuple[float, float]
_LARGEST = 1 << 24
"""Pixels up to which a picture is resized whole before it is cut."""


@dataclass(frozen=True, eq=False)
class FittedVideo:
    """One video on its canvas, not yet normalized."""

    pixels: Pixels
    """(T, H, W, 3) RGB. Frames past `num_frames_present` are zero here and zero again after normalization."""
    content_box: Box
    """The picture inside its padding."""
    num_frames_present: int
    """Number of leading frames that hold a picture; the rest is padding in time."""
    seconds: tuple[float, ...] = ()
    """When each of these is shown; nothing where that is not known, as of frames that came without a file."""

    @property
    def times(self) -> tuple[float, ...]:
        """The seconds of each frame that holds a picture; NaN where they are not known."""
        return self.seconds or (math.nan,) * self.num_frames_present

    @property
    def shape(self) -> VideoShape:
        """Its shape, for `AlignerSpec.layout`."""
        frames, height, width, _ = self.pixels.shape
        return VideoShape(frames, height, width, self.content_box, self.num_frames_present)

    def flipped(self) -> FittedVideo:
        """Return the canvas mirrored left to right, content box included."""
        top, bottom, left, right = self.content_box
        width = self.pixels.shape[2]
        return replace(self, pixels=self.pixels[:, :, ::-1], content_box=(top, bottom, width - right, width - left))


def padding_color(canvas: Canvas) -> tuple[int, int, int]:
    """Return the RGB of the padding around a picture: int(255 mean), (122, 116, 104) with CLIP's mean."""
    red, green, blue = (int(255 * channel) for channel in canvas.mean)
    return red, green, blue


class Fitting:
    """Puts the frames of one video on their canvas, one after the other.

    Every fit resizes with Pillow's bicubic filter, as Video-Panda's preprocessing does (Video-ChatGPT, the one that
    squashes, used nearest neighbors).
    """

    def __init__(
        self, canvas: Canvas, width: int, height: int, count: int, slots: int, seconds: tuple[float, ...] = ()
    ) -> None:
        """Make room for `count` frames of width x height pixels, shown at `seconds`, and for padding in time up to
        `slots`. An `UnreadableVideo` where the canvas does not take such a picture."""
        try:
            self._place, sides = canvas.place(width, height), canvas.sides(width, height)
        except ValueError as error:
            raise UnreadableVideo(str(error)) from None
        pixels = np.zeros((slots, *sides, 3), np.uint8)
        pixels[:count] = padding_color(canvas)
        self.fitted = FittedVideo(pixels, canvas.content_box(width, height), count, seconds)
        """The video; its frames are there once they were put."""

    def put(self, slot: int, frame: Pixels) -> None:
        """Fit (H, W, 3) RGB into a slot."""
        top, bottom, left, right = self.fitted.content_box
        place = self._place
        window = (top - place.top, bottom - place.top, left - place.left, right - place.left)
        self.fitted.pixels[slot, top:bottom, left:right] = _resize(frame, place, window)


def fit_frames(frames: Pixels, video: VideoInput, seconds: tuple[float, ...] = ()) -> FittedVideo:
    """Put (n, H, W, 3) RGB frames, which are chosen already, on the canvas of `video`; n at most `video.frames`.

    `seconds` says when they are shown, where that is known. An `UnreadableVideo` where the canvas does not take such a
    picture.
    """
    count, height, width, _ = frames.shape
    if not 1 <= count <= video.frames:
        raise ValueError(f"expected 1 to {video.frames} frames, found {count}")
    fitting = Fitting(video, width, height, count, video.slots(count), seconds)
    for slot, frame in enumerate(frames):
        fitting.put(slot, frame)
    return fitting.fitted


def _resize(frame: Pixels, place: Fit, window: tuple[int, int, int, int]) -> Pixels:
    """Return the window (top, bottom, left, right) of the resized picture.

    Of pictures that would become very big, e.g. a strip whose short side has to fill the canvas, only the part that is
    seen is resized: the same but for rounding.
    """
    height, width, _ = frame.shape
    top, bottom, left, right = window
    if (height, width) == (place.height, place.width):
        return frame[top:bottom, left:right]
    image = Image.fromarray(frame)
    if place.width * place.height <= _LARGEST:
        whole = image.resize((place.width, place.height), Image.Resampling.BICUBIC)
        return np.asarray(whole)[top:bottom, left:right]
    across, down = width / place.width, height / place.height
    image, x = _strip(image, left * across, right * across, across, 0)
    image, y = _strip(image, top * down, bottom * down, down, 1)
    rows = image.resize((right - left, image.height), Image.Resampling.BICUBIC, box=(x[0], 0, x[1], image.height))
    box = (0, y[0], right - left, y[1])
    return np.asarray(rows.resize((right - left, bottom - top), Image.Resampling.BICUBIC, box=box))


def _strip(image: Image.Image, start: float, end: float, scale: float, axis: int) -> tuple[Image.Image, Span]:
    """Return what the filter sees of an image between two columns (axis 0) or rows (1), and these in there."""
    reach, side = math.ceil(2 * max(1.0, scale)) + 1, image.size[axis]
    first, last = max(0, math.floor(start) - reach), min(side, math.ceil(end) + reach)
    part = image.crop((first, 0, last, image.height) if axis == 0 else (0, first, image.width, last))
    return part, (start - first, min(end - first, last - first))


def to_batch(videos: Sequence[FittedVideo], canvas: Canvas) -> VideoBatch:
    """Normalize, (x / 255 - mean) / std, and stack: pixels (B, T, 3, H, W) float32, each axis as long as the longest of
    the videos.

    Frames that are padding in time are all zero; so is what lies below and to the right of a smaller canvas. A
    ValueError where there are no videos, or the sides of a square canvas differ.
    """
    import torch

    from vlmkit.api.tensors import VideoBatch

    if not videos:
        raise ValueError("expected at least one video, found none")
    sizes = {fitted.pixels.shape[1:3] for fitted in videos}
    if len(sizes) > 1 and canvas.is_square:
        raise ValueError(f"expected canvases of one size, found {sorted(sizes)}")
    longest, *sides = (max(fitted.pixels.shape[axis] for fitted in videos) for axis in range(3))
    pixels = np.zeros((len(videos), longest, 3, *sides), np.float32)
    tables = _tables(canvas.mean, canvas.std)
    for out, fitted in zip(pixels, videos, strict=True):
        count, (height, width) = fitted.num_frames_present, fitted.pixels.shape[1:3]
        for channel, table in enumerate(tables):
            shown = fitted.pixels[:count, ..., channel]
            np.take(table, shown, out=out[:count, channel, :height, :width], mode="clip")
    present = torch.tensor([fitted.num_frames_present for fitted in videos])
    frame_mask = torch.arange(pixels.shape[1]) < present[:, None]
    return VideoBatch(torch.from_numpy(pixels), torch.tensor([fitted.content_box for fitted in videos]), frame_mask)


@lru_cache
def _tables(mean: tuple[float, ...], std: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Return (3, 256): the normalized value of each byte, by channel."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    return (levels - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]
