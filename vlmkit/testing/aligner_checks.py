"""The checks of aligners."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.modules import Aligner, check_values
from vlmkit.api.tensors import VideoBatch, VisualTokens
from vlmkit.api.video import VideoShape
from vlmkit.testing.module_checks import ModuleChecks, check_gradients, operator_calls

__all__ = ["AlignerChecks"]

LLM_WIDTH = 48
SHAPES = ((1, 1), (16, 9), (9, 16))
"""Aspect ratios that every check sees: width, height."""


class AlignerChecks(ModuleChecks[AlignerSpec, VideoBatch, Aligner]):
    """Videos (B, T, 3, H, W) become tokens (B, N, D), at the positions that `layout` declares."""

    _inputs, _outputs = "video", "tokens"

    def _build(self, spec: AlignerSpec) -> Aligner:
        return spec.build(LLM_WIDTH).eval()

    def _samples(self, spec: AlignerSpec) -> list[VideoBatch]:
        """Five videos with padding."""
        return [_video(spec.input.shape(16, 9), seed) for seed in range(5)]

    def _meta_sample(self, spec: AlignerSpec) -> VideoBatch:
        shape = spec.input.shape(1, 1)
        return VideoBatch.full(torch.empty(2, shape.frames, 3, shape.height, shape.width, device="meta"))

    def _run(self, module: Aligner, inputs: VideoBatch) -> Tensor:
        return _tokens(module, inputs).embeddings

    def layout_is_what_comes_out(self, spec: AlignerSpec) -> None:
        """Shapes, mask and patches are those that `layout` declares, for every aspect ratio."""
        module = self._make(spec)
        for shape in _shapes(spec):
            video = _video(shape)
            check_values(spec, _tokens(module, video), video)

    def positions_are_distinct(self, spec: AlignerSpec) -> None:
        """Patches and rows stand at positions of their own within the sequence."""
        for shape in _shapes(spec):
            layout = spec.layout(shape)
            positions = np.concatenate([layout.patches[layout.patches >= 0], layout.rows])
            assert len(set(positions.tolist())) == len(positions), f"{shape}: two things stand at one position"
            assert ((positions >= 0) & (positions < layout.tokens)).all(), f"{shape}: a position outside the sequence"

    def patches_index_the_right_tokens(self, spec: AlignerSpec) -> None:
        """The token of a cell depends on the pixels of this cell more than on those of any other."""
        module = self._make(spec)
        for shape in _shapes(spec)[:2]:
            patches = spec.layout(shape).patches
            cells = np.argwhere(patches >= 0)
            video = _video(shape)
            for time, row, column in cells[:: max(1, len(cells) // 5)].tolist():
                pixels = video.pixels.clone().requires_grad_()
                tokens = module(VideoBatch(pixels, video.content_box, video.frame_mask))
                tokens.embeddings[0, int(patches[time, row, column])].square().sum().backward()
                energy = _per_cell(pixels.grad, patches.shape)
                strongest = tuple(int(i) for i in np.unravel_index(int(energy.argmax()), patches.shape))
                assert strongest == (time, row, column), (
                    f"{shape}: patches[{time}, {row}, {column}] is a token of {strongest}"
                )

    def tokens_do_not_depend_on_batch_mates(self, spec: AlignerSpec) -> None:
        """A video has the same tokens alone and beside others of other shapes, and zeros where the mask is False."""
        module = self._make(spec)
        videos = [_video(shape, seed) for seed, shape in enumerate(_shapes(spec))]
        together = _tokens(module, _join(videos))
        for index, video in enumerate(videos):
            alone, count = _tokens(module, video).embeddings[0], int(together.mask[index].sum())
            assert count == len(alone), f"video {index}: {len(alone)} tokens alone, {count} in the batch"
            gap = (together.embeddings[index, :count] - alone).abs().max().item()
            assert gap <= 1e-4 * max(1.0, alone.abs().max().item()), f"video {index}: tokens differ by {gap} in a batch"
            assert not together.embeddings[index, count:].any(), f"video {index}: padding tokens are not zero"

    def gradients_reach_every_trainable_parameter(self, spec: AlignerSpec) -> None:
        """No parameter is left out of the forward unless it is frozen."""
        module = self._make(spec)
        tokens = module(_video(spec.input.shape(1, 1)))
        tokens.embeddings.square().sum().backward()
        check_gradients(module)

    def does_not_loop(self, spec: AlignerSpec) -> None:
        """The number of operator calls grows neither with the batch nor with the frames."""
        module, shape = self._make(spec), spec.input.shape(1, 1)
        one = _video(shape)
        calls = [operator_calls(partial(_tokens, module, batch)) for batch in (one, _join([one] * 3))]
        assert calls[0] == calls[1], f"{calls[0]} operator calls for 1 video, {calls[1]} for 3"
        times = []
        for frames in (spec.input.frames, spec.input.frames // 2):
            if frames < 2:  # an aligner may take a single frame as an image
                continue
            video = shape._replace(frames=frames, num_frames_present=frames)
            try:
                spec.layout(video)
            except ValueError:
                continue
            times.append(operator_calls(partial(_tokens, module, _video(video))))
        assert all(a == b for a, b in pairwise(times)), f"operator calls change with the frames: {times}"


def _video(shape: VideoShape, seed: int = 0) -> VideoBatch:
    """One video of noise with the given padding."""
    pixels = torch.zeros(1, shape.frames, 3, shape.height, shape.width)
    top, bottom, left, right = shape.content_box
    noise = torch.randn(
        shape.num_frames_present, 3, bottom - top, right - left, generator=torch.Generator().manual_seed(seed)
    )
    pixels[0, : shape.num_frames_present, :, top:bottom, left:right] = noise
    frames = (torch.arange(shape.frames) < shape.num_frames_present)[None]
    return VideoBatch(pixels, torch.tensor([shape.content_box]), frames)


def _shapes(spec: AlignerSpec) -> list[VideoShape]:
    """Full videos and one with a frame less: padded in time or, with a sampler that does not pad, shorter."""
    fewer = max(1, spec.input.frames - 1)
    return [*(spec.input.shape(*sides) for sides in SHAPES), spec.input.shape(1, 1, fewer)]


def _join(videos: list[VideoBatch]) -> VideoBatch:
    """One batch, as long as its longest video: zeros stand where a shorter one has no frames."""
    slots = max(video.frame_mask.shape[1] for video in videos)
    missing = [slots - video.frame_mask.shape[1] for video in videos]
    pixels = [pad(video.pixels, (0, 0) * 3 + (0, more)) for video, more in zip(videos, missing, strict=True)]
    frames = [pad(video.frame_mask, (0, more)) for video, more in zip(videos, missing, strict=True)]
    return VideoBatch(torch.cat(pixels), torch.cat([video.content_box for video in videos]), torch.cat(frames))


def _tokens(module: Aligner, video: VideoBatch) -> VisualTokens:
    with torch.no_grad():
        tokens: VisualTokens = module(video)
        return tokens


def _per_cell(grad: Tensor | None, grid: tuple[int, ...]) -> Tensor:
    """(T, h, w) mean energy of each cell of the canvas; cells overlap where the grid does not divide the pixels."""
    assert grad is not None, "no gradient reaches the pixels"
    return adaptive_avg_pool2d(grad[0].square().sum(1), (grid[1], grid[2]))
