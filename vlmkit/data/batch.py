"""Fitted videos become the tensors of a batch. Shape letters: B videos, T frames, H W pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlmkit.api.video import VideoInput
from vlmkit.data.fit import FittedVideo

if TYPE_CHECKING:
    from vlmkit.api.tensors import VideoBatch

__all__ = ["to_batch"]


def to_batch(videos: Sequence[FittedVideo], video: VideoInput) -> VideoBatch:
    """Normalise, (x / 255 - mean) / std, and stack: pixels (B, T, 3, H, W) float32, T the longest of the videos.

    Frames that are padding in time are all zero. A ValueError where there are no videos or canvases differ in size.
    """
    import torch

    from vlmkit.api.tensors import VideoBatch

    if not videos:
        raise ValueError("expected at least one video, found none")
    sizes = {fitted.pixels.shape[1:] for fitted in videos}
    if len(sizes) > 1:
        raise ValueError(f"expected canvases of one size, found {sorted(sizes)}")
    slots = max(len(fitted.pixels) for fitted in videos)
    stacked = np.zeros((len(videos), slots, *sizes.pop()), np.uint8)
    for row, fitted in zip(stacked, videos, strict=True):
        row[: len(fitted.pixels)] = fitted.pixels
    pixels = torch.from_numpy(stacked).permute(0, 1, 4, 2, 3).to(torch.float32, memory_format=torch.contiguous_format)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (video.mean, video.std))
    pixels.div_(255).sub_(mean).div_(std)
    present = torch.tensor([fitted.present for fitted in videos])
    frames = torch.arange(slots) < present[:, None]
    if not frames.all():
        pixels[~frames] = 0
    return VideoBatch(pixels, torch.tensor([fitted.content for fitted in videos]), frames)
