"""The checks of aligners and downsamplers."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.downsampler import DownsamplerSpec
from vlmkit.api.modules import Aligner, Downsampler
from vlmkit.api.tensor_checks import check_values, trial_texts
from vlmkit.api.tensors import TextBatch, VideoBatch, VisualTokens
from vlmkit.api.video import VideoShape
from vlmkit.errors import PluginError
from vlmkit.testing.module_checks import ModuleChecks, check_close, check_gradients, operator_calls

__all__ = ["AlignerChecks", "DownsamplerChecks"]

LLM_WIDTH = 48
SQUARE, WIDE, TALL = (480, 480), (640, 360), (360, 640)
"""Width, height of the videos that every check of an aligner sees, pixels."""
WIDTH = 32
"""Channels of the features that a downsampler is given."""
GRIDS = ((4, 4), (2, 4), (8, 4), (6, 6), (16, 16))
"""Patches that every check of a downsampler may see: height, width."""


class AlignerChecks(ModuleChecks[AlignerSpec, VideoBatch, Aligner]):
    """Videos (B, T, 3, H, W) become tokens (B, N, D), at the positions that `layout` declares."""

    _inputs, _outputs = "video", "tokens"

    def _build(self, spec: AlignerSpec) -> Aligner:
        return spec.build(LLM_WIDTH).eval()

    def _samples(self, spec: AlignerSpec) -> list[VideoBatch]:
        """Five videos with padding."""
        return [_video(spec.input.shape(*WIDE), seed) for seed in range(5)]

    def _meta_sample(self, spec: AlignerSpec) -> VideoBatch:
        shape = spec.input.shape(*SQUARE)
        return VideoBatch.full(torch.empty(2, shape.frames, 3, shape.height, shape.width, device="meta"))

    def _run(self, module: Aligner, inputs: VideoBatch) -> Tensor:
        return _tokens(module, inputs).embeddings

    def layout_is_what_comes_out(self, spec: AlignerSpec) -> None:
        """Shapes, mask and patches are those that `layout` declares, for every aspect ratio."""
        module = self._make(spec)
        for shape in _shapes(spec):
            video = _video(shape)
            check_values(spec, _tokens(module, video), video)

    def words_have_a_place_for_each_part(self, spec: AlignerSpec) -> None:
        """Its words around the tokens hold as many `<video>` as the layout has parts, with known times and without."""
        for shape in _shapes(spec):
            parts, count = len(spec.layout(shape).lengths), shape.num_frames_present
            for times in ([float(second) for second in range(count)], [math.nan] * count):
                found = spec.wrap(times).count("<video>")
                assert found == parts, f"{shape}: wrap({times}) holds <video> {found} times for {parts} parts"

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
                tokens = module(VideoBatch(pixels, video.content_box, video.frame_mask), *trial_texts(module, video))
                tokens.embeddings[0, int(patches[time, row, column])].square().sum().backward()
                energy = _per_cell(pixels.grad, patches.shape)
                strongest = tuple(int(i) for i in np.unravel_index(int(energy.argmax()), patches.shape))
                place = time, row, column
                assert strongest == place, f"{shape}: patches[{time}, {row}, {column}] is a token of {strongest}"

    def tokens_do_not_depend_on_batch_mates(self, spec: AlignerSpec) -> None:
        """A video has the same tokens alone and beside others of other shapes, and zeros where the mask is False."""
        module = self._make(spec)
        videos = [_video(shape, seed) for seed, shape in enumerate(_shapes(spec))]
        together = _tokens(module, _join(videos))
        for index, video in enumerate(videos):
            alone, count = _tokens(module, video).embeddings[0], int(together.mask[index].sum())
            assert count == len(alone), f"video {index}: {len(alone)} tokens alone, {count} in the batch"
            check_close(together.embeddings[index, :count], alone, f"video {index}: tokens")
            assert not together.embeddings[index, count:].any(), f"video {index}: padding tokens are not zero"

    def gradients_reach_every_trainable_parameter(self, spec: AlignerSpec) -> None:
        """No parameter is left out of the forward unless it is frozen."""
        module = self._make(spec)
        video = _video(spec.input.shape(*SQUARE))
        module(video, *trial_texts(module, video)).embeddings.square().sum().backward()
        check_gradients(module)

    def questions_do_not_see_each_other(self, spec: AlignerSpec) -> None:
        """The tokens for a text are the same beside other texts about the same video, in any order, and others than
        those for another text."""
        if spec.text_input is None:
            return
        module, video = self._make(spec), _video(spec.input.shape(*SQUARE))
        ids = torch.tensor([[1, 2, 3, 4], [4, 3, 0, 0]])
        mask = ids > 0

        def run(*rows: int) -> Tensor:
            with torch.no_grad():
                text = TextBatch(ids[list(rows)], mask[list(rows)], torch.zeros(len(rows), dtype=torch.int64))
                tokens: VisualTokens = module(video, text)
            return tokens.embeddings

        first, both, turned = run(0)[0], run(0, 1), run(1, 0)
        check_close(both[0], first, "the tokens for a text beside another one")
        check_close(turned[1], first, "the tokens for a text behind another one")
        assert not torch.equal(both[0], both[1]), "the tokens for two texts are the same"

    def does_not_loop(self, spec: AlignerSpec) -> None:
        """The number of operator calls grows neither with the batch nor with the frames."""
        module, shape = self._make(spec), spec.input.shape(*SQUARE)
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
    present, generator = shape.num_frames_present, torch.Generator().manual_seed(seed)
    noise = torch.randn(present, 3, bottom - top, right - left, generator=generator)
    pixels[0, :present, :, top:bottom, left:right] = noise
    frames = (torch.arange(shape.frames) < present)[None]
    return VideoBatch(pixels, torch.tensor([shape.content_box]), frames)


def _shapes(spec: AlignerSpec) -> list[VideoShape]:
    """Full videos and one with a frame less: padded in time or, with a sampler that does not pad, shorter."""
    fewer = max(1, spec.input.frames - 1)
    return [*(spec.input.shape(*sides) for sides in (SQUARE, WIDE, TALL)), spec.input.shape(*SQUARE, fewer)]


def _join(videos: list[VideoBatch]) -> VideoBatch:
    """One batch, as long and wide as its largest video: zeros stand where another has no frames, or is no canvas."""
    slots, _, height, width = (max(video.pixels.shape[axis] for video in videos) for axis in range(1, 5))
    pixels, frames = [], []
    for video in videos:
        more = slots - video.frame_mask.shape[1]
        right, below = width - video.pixels.shape[4], height - video.pixels.shape[3]
        pixels.append(pad(video.pixels, (0, right, 0, below, 0, 0, 0, more)))
        frames.append(pad(video.frame_mask, (0, more)))
    return VideoBatch(torch.cat(pixels), torch.cat([video.content_box for video in videos]), torch.cat(frames))


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
