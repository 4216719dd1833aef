"""Fitted videos become the tensors of a batch. Shape letters: B videos, T frames, H W pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vlmkit.api.video import Canvas
from vlmkit.data.fit import FittedVideo

if TYPE_CHECKING:
    from vlmkit.api.tensors import VideoBatch

__all__ = ["to_batch"]


def to_batch(videos: Sequence[FittedVideo], canvas: Canvas) -> VideoBatch:
    """Normalize, (x / 255 - mean) / std, and stack: pixels (B, T, 3, H, W) float32, T the longest of the videos.

    Frames that are padding in time are all zero. A ValueError where there are no videos or canvases differ in size.
    """
    import torch

    from vlmkit.api.tensors import VideoBatch

    if not videos:
        raise ValueError("expected at least one video, found none")
    sizes = {fitted.pixels.shape[1:] for fitted in videos}
    if len(sizes) > 1:
        raise ValueError(f"expected canvases of one size, found {sorted(sizes)}")
    height, width, _ = sizes.pop()
    pixels = np.zeros((len(videos), max(len(fitted.pixels) for fitted in videos), 3, height, width), np.float32)
    tables = _tables(canvas.mean, canvas.std)
    for out, fitted in zip(pixels, videos, strict=True):
        for channel, table in enumerate(tables):
            shown = fitted.pixels[: fitted.num_frames_present, ..., channel]
            np.take(table, shown, out=out[: fitted.num_frames_present, channel], mode="clip")
    present = torch.tensor([fitted.num_frames_present for fitted in videos])
    frame_mask = torch.arange(pixels.shape[1]) < present[:, None]
    return VideoBatch(torch.from_numpy(pixels), torch.tensor([fitted.content_box for fitted in videos]), frame_mask)


@lru_cache
def _tables(mean: tuple[float, ...], std: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Return (3, 256): the normalized value of each byte, by channel."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    return (levels - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]
