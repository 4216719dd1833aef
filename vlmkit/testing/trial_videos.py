"""Videos of noise that components are tried out with, alone and in batches."""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.tensors import VideoBatch
from vlmkit.api.video import VideoShape

__all__ = ["SQUARE", "TALL", "WIDE", "join_videos", "make_video", "trial_shapes"]

SQUARE, WIDE, TALL = (480, 480), (640, 360), (360, 640)
"""Width, height of videos, pixels."""


def make_video(shape: VideoShape, seed: int = 0) -> VideoBatch:
    """One video of noise with the given padding."""
    pixels = torch.zeros(1, shape.frames, 3, shape.height, shape.width)
    top, bottom, left, right = shape.content_box
    present, generator = shape.num_frames_present, torch.Generator().manual_seed(seed)
    noise = torch.randn(present, 3, bottom - top, right - left, generator=generator)
    pixels[0, :present, :, top:bottom, left:right] = noise
    frames = (torch.arange(shape.frames) < present)[None]
    return VideoBatch(pixels, torch.tensor([shape.content_box]), frames)


def trial_shapes(spec: AlignerSpec) -> list[VideoShape]:
    """Full videos and one with a frame less: padded in time or, with a sampler that does not pad, shorter."""
    fewer = max(1, spec.input.frames - 1)
    return [*(spec.input.shape(*sides) for sides in (SQUARE, WIDE, TALL)), spec.input.shape(*SQUARE, fewer)]


def join_videos(videos: list[VideoBatch]) -> VideoBatch:
    """One batch, as long and wide as its largest video: zeros stand where another has no frames, or is no canvas."""
    slots, _, height, width = (max(video.pixels.shape[axis] for video in videos) for axis in range(1, 5))
    pixels, frames = [], []
    for video in videos:
        more = slots - video.frame_mask.shape[1]
        right, below = width - video.pixels.shape[4], height - video.pixels.shape[3]
        pixels.append(pad(video.pixels, (0, right, 0, below, 0, 0, 0, more)))
        frames.append(pad(video.frame_mask, (0, more)))
    return VideoBatch(torch.cat(pixels), torch.cat([video.content_box for video in videos]), torch.cat(frames))
