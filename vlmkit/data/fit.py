"""Decoded frames on the canvas of a `VideoInput`, as bytes; normalisation comes later, so that bytes can be cached.

Shape letters: n sampled frames, T frame slots, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from vlmkit.api.video import Fit, VideoInput, VideoShape

__all__ = ["FittedVideo", "fit_frames", "padding_colour"]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FittedVideo:
    """One video on its canvas, not yet normalised."""

    pixels: Pixels
    """(T, H, W, 3) RGB. Frames past `present` are zero here and zero again after normalisation."""
    content: tuple[int, int, int, int]
    """Top, bottom, left, right of the picture inside its padding, pixels, bottom and right exclusive."""
    present: int
    """How many leading frames hold a picture; the rest is padding in time."""

    @property
    def shape(self) -> VideoShape:
        """The shape, for `AlignerSpec.layout`."""
        frames, height, width, _ = self.pixels.shape
        return VideoShape(frames, height, width, self.content, self.present)

    def flipped(self) -> FittedVideo:
        """The mirrored canvas, left to right, content box included."""
        top, bottom, left, right = self.content
        width = self.pixels.shape[2]
        return FittedVideo(self.pixels[:, :, ::-1], (top, bottom, width - right, width - left), self.present)


def padding_colour(video: VideoInput) -> tuple[int, int, int]:
    """RGB of the padding around a picture: int(255 mean), (122, 116, 104) with CLIP's mean."""
    red, green, blue = (int(255 * channel) for channel in video.mean)
    return red, green, blue


def fit_frames(frames: Pixels, video: VideoInput) -> FittedVideo:
    """Put (n, H, W, 3) RGB frames on the canvas that `video` asks for; n at most `video.frames`.

    Every fit resizes with Pillow's bicubic filter, as Video-Panda's preprocessing does (Video-ChatGPT, the one that
    squashes, used nearest neighbours). Padding in time fills up to `video.frames`, except with sampling `one-fps`.
    """
    count, height, width, _ = frames.shape
    if not 1 <= count <= video.frames:
        raise ValueError(f"expected 1 to {video.frames} frames, found {count}")
    shape = video.shape(width, height, present=count)
    place = video.place(width, height)
    pixels = np.zeros((shape.frames, shape.height, shape.width, 3), np.uint8)
    pixels[:count] = padding_colour(video)
    top, bottom, left, right = shape.content
    for canvas, frame in zip(pixels, frames, strict=False):
        picture = _resize(frame, place)
        canvas[top:bottom, left:right] = picture[
            top - place.top : bottom - place.top, left - place.left : right - place.left
        ]
    return FittedVideo(pixels, shape.content, count)


def _resize(frame: Pixels, place: Fit) -> Pixels:
    if frame.shape[:2] == (place.height, place.width):
        return frame
    image = Image.fromarray(frame).resize((place.width, place.height), Image.Resampling.BICUBIC)
    return np.asarray(image)
