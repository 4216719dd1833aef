"""The checks of aligners and downsamplers."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.downsampler import DownsamplerSpec
from vlmkit.api.modules import Aligner, Downsampler
from vlmkit.api.tensor_checks import check_values, trial_texts
from vlmkit.api.tensors import VideoBatch, VisualTokens
from vlmkit.errors import PluginError
from vlmkit.testing.module_checks import ModuleChecks, check_close, check_gradients, operator_calls
from vlmkit.testing.text_checks import TextChecks
from vlmkit.testing.trial_videos import SQUARE, WIDE, join_videos, make_video, trial_shapes

__all__ = ["AlignerChecks", "DownsamplerChecks"]

LLM_WIDTH = 48
WIDTH = 32
"""Channels of the features that a downsampler is given."""
GRIDS = ((4, 4), (2, 4), (8, 4), (6, 6), (16, 16))
"""Patches that every check of a downsampler may see: height, width."""


class AlignerChecks(TextChecks):
    """Videos (B, T, 3, H, W) become tokens (B, N, D), at the positions that `layout` declares."""

    _inputs, _outputs = "video", "tokens"

    def _build(self, spec: AlignerSpec) -> Aligner:
        return spec.build(LLM_WIDTH).eval()

    def _samples(self, spec: AlignerSpec) -> list[VideoBatch]:
        """Five videos with padding."""
        return [make_video(spec.input.shape(*WIDE), seed) for seed in range(5)]

    def _meta_sample(self, spec: AlignerSpec) -> VideoBatch:
        shape = spec.input.shape(*SQUARE)
        return VideoBatch.full(torch.empty(2, shape.frames, 3, shape.height, shape.width, device="meta"))

    def _run(self, module: Aligner, inputs: VideoBatch) -> Tensor:
        return _tokens(module, inputs).features

    def layout_is_what_comes_out(self, spec: AlignerSpec) -> None:
        """Shapes, mask and patches are those that `layout` declares, for every aspect ratio."""
        module = self._make(spec)
        for shape in trial_shapes(spec):
            video = make_video(shape)
            check_values(spec, _tokens(module, video), video)

    def words_have_a_place_for_each_part(self, spec: AlignerSpec) -> None:
        """Its words around the tokens hold as many `<video>` as the layout has parts, with known times and without."""
        for shape in trial_shapes(spec):
            parts, count = len(spec.layout(shape).lengths), shape.num_frames_present
            for times in ([float(second) for second in range(count)], [math.nan] * count):
                found = spec.wrap(times).count("<video>")
                assert found == parts, f"{shape}: wrap({times}) holds <video> {found} times for {parts} parts"

    def positions_are_distinct(self, spec: AlignerSpec) -> None:
        """Patches and rows stand at positions of their own within the sequence."""
        for shape in trial_shapes(spec):
            layout = spec.layout(shape)
            positions = np.concatenate([layout.patches[layout.patches >= 0], layout.rows])
            assert len(set(positions.tolist())) == len(positions), f"{shape}: two things stand at one position"
            assert ((positions >= 0) & (positions < layout.tokens)).all(), f"{shape}: a position outside the sequence"

    def patches_index_the_right_tokens(self, spec: AlignerSpec) -> None:
        """The token of a cell depends on the pixels of this cell more than on those of any other."""
        module = self._make(spec)
        for shape in trial_shapes(spec)[:2]:
            patches = spec.layout(shape).patches
            cells = np.argwhere(patches >= 0)
            video = make_video(shape)
            for time, row, column in cells[:: max(1, len(cells) // 5)].tolist():
                pixels = video.pixels.clone().requires_grad_()
                tokens = module(VideoBatch(pixels, video.content_box, video.frame_mask), *trial_texts(module, video))
                tokens.embeddings[0, int(patches[time, row, column])].square().sum().backward()
                energy = _per_cell(pixels.grad, patches.shape)
                strongest = tuple(int(i) for i in np.unravel_index(int(energy.argmax()), patches.shape))
                place = time, row, column
                assert strongest == place, f"{shape}: patches[{time}, {row}, {column}] is a token of {strongest}"

    def tokens_do_not_depend_on_batch_mates(self, spec: AlignerSpec) -> None:
        """A video has the same tokens alone and beside others of other shapes, and zeros where the mask is False."""
        module = self._make(spec)
        videos = [make_video(shape, seed) for seed, shape in enumerate(trial_shapes(spec))]
        together = _tokens(module, join_videos(videos))
        for index, video in enumerate(videos):
            alone, count = _tokens(module, video), int(together.mask[index].sum())
            own = len(alone.embeddings[0])
            assert count == own, f"video {index}: {own} tokens alone, {count} in the batch"
            check_close(together.features[index][: len(alone.features[0])], alone.features[0], f"video {index}: tokens")
            assert not together.embeddings[index, count:].any(), f"video {index}: padding tokens are not zero"

    def gradients_reach_every_trainable_parameter(self, spec: AlignerSpec) -> None:
        """No parameter is left out of the forward unless it is frozen."""
        module = self._make(spec)
        video = make_video(spec.input.shape(*SQUARE))
        module(video, *trial_texts(module, video)).features.square().sum().backward()
        check_gradients(module)

    def does_not_loop(self, spec: AlignerSpec) -> None:
        """The number of operator calls grows neither with the batch nor with the frames."""
        module, shape = self._make(spec), spec.input.shape(*SQUARE)
        one = make_video(shape)
        calls = [operator_calls(partial(_tokens, module, batch)) for batch in (one, join_videos([one] * 3))]
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
            times.append(operator_calls(partial(_tokens, module, make_video(video))))
        assert all(a == b for a, b in pairwise(times)), f"operator calls change with the frames: {times}"


def _tokens(module: Aligner, video: VideoBatch) -> VisualTokens:
    with torch.no_grad():
        tokens: VisualTokens = module(video, *trial_texts(module, video))
        return tokens


def _per_cell(grad: Tensor | None, grid: tuple[int, ...]) -> Tensor:
    """(T, h, w) mean energy of each cell of the canvas; cells overlap where the grid does not divide the pixels."""
    assert grad is not None, "no gradient reaches the pixels"
    return adaptive_avg_pool2d(grad[0].square().sum(1), (grid[1], grid[2]))


class DownsamplerChecks(ModuleChecks[DownsamplerSpec, Tensor, Downsampler]):
    """Frames (F, H, W, C) become tokens (F, h, w, C)."""

    _inputs, _outputs = "frames", "tokens"

    def _build(self, spec: DownsamplerSpec) -> Downsampler:
        return spec.build(WIDTH).eval()

    def _samples(self, spec: DownsamplerSpec) -> list[Tensor]:
        return [_frames(2, _grids(spec)[0])]

    def _meta_sample(self, spec: DownsamplerSpec) -> Tensor:
        return torch.empty(2, *_grids(spec)[0], WIDTH, device="meta")

    def grid_is_what_comes_out(self, spec: DownsamplerSpec) -> None:
        """The token grid is the one that `grid` declares."""
        module = self._make(spec)
        for grid in _grids(spec):
            self._run(module, _frames(3, grid))

    def frames_do_not_mix(self, spec: DownsamplerSpec) -> None:
        """Each frame is reduced by itself."""
        module, x = self._make(spec), _frames(3, _grids(spec)[0])
        together, alone = self._run(module, x)[1], self._run(module, x[1:2])[0]
        assert torch.allclose(together, alone, atol=1e-5), f"differs by {(together - alone).abs().max().item()}"

    def gradients_reach_everything(self, spec: DownsamplerSpec) -> None:
        """The input and every trainable parameter get a gradient."""
        module, x = self._make(spec), self._samples(spec)[0].requires_grad_()
        self._run(module, x).square().sum().backward()
        assert x.grad is not None, "the input gets no gradient"
        assert x.grad.flatten(1, 2).any(-1).all(), "some patch has no influence"
        check_gradients(module)

    def does_not_loop(self, spec: DownsamplerSpec) -> None:
        """The number of operator calls does not grow with the frames."""
        module, grid = self._make(spec), _grids(spec)[0]
        few, many = _frames(1, grid), _frames(5, grid)
        calls = operator_calls(lambda: self._run(module, few)), operator_calls(lambda: self._run(module, many))
        assert calls[0] == calls[1], f"{calls[0]} operator calls for 1 frame, {calls[1]} for 5"


def _grids(spec: DownsamplerSpec) -> list[tuple[int, int]]:
    """Those of `GRIDS` that the downsampler takes."""
    taken = []
    for grid in GRIDS:
        try:
            spec.grid(*grid)
        except PluginError:
            raise
        except ValueError:
            continue
        taken.append(grid)
    assert taken, f"it refuses all of the grids {GRIDS}"
    return taken


def _frames(count: int, grid: tuple[int, int]) -> Tensor:
    return torch.randn(count, *grid, WIDTH, generator=torch.Generator().manual_seed(1))
