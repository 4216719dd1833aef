"""From bytes to normalised tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vlmkit.api import VideoInput
from vlmkit.data import FittedVideo, to_batch

VIDEO = VideoInput(frames=3, size=28)


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
