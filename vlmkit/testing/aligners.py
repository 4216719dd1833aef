"""What every aligner promises. Each check takes a small spec and raises an AssertionError that says what is broken."""

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
from vlmkit.testing.counting import operator_calls
from vlmkit.testing.expecting import same_bits

__all__ = ["CHECKS"]

LLM_WIDTH = 48
SHAPES = ((1, 1), (16, 9), (9, 16))
"""Aspect ratios that every check sees: width, height."""


def make_aligner(spec: AlignerSpec) -> Aligner:
    """A fresh module whose parameters are all drawn, so that a zero-initialised branch cannot hide a fault."""
    torch.manual_seed(0)
    module = _build(spec)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.05)
    return module


def _build(spec: AlignerSpec) -> Aligner:
    return spec.build(LLM_WIDTH).eval()


def make_video(spec: AlignerSpec, shape: VideoShape, seed: int = 0) -> VideoBatch:
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
    """Full videos and one with a frame less: padded in time or, with sampling `one-fps`, shorter."""
    fewer = max(1, spec.input.frames - 1)
    return [*(spec.input.shape(*sides) for sides in SHAPES), spec.input.shape(1, 1, fewer)]


def _join(videos: list[VideoBatch]) -> VideoBatch:
    """One batch, as long as its longest video: zeros stand where a shorter one has no frames."""
    slots = max(video.frame_mask.shape[1] for video in videos)
    missing = [slots - video.frame_mask.shape[1] for video in videos]
    pixels = [pad(video.pixels, (0, 0) * 3 + (0, more)) for video, more in zip(videos, missing, strict=True)]
    frames = [pad(video.frame_mask, (0, more)) for video, more in zip(videos, missing, strict=True)]
    return VideoBatch(torch.cat(pixels), torch.cat([video.content_box for video in videos]), torch.cat(frames))


def _forward(module: Aligner, video: VideoBatch) -> VisualTokens:
    with torch.no_grad():
        tokens: VisualTokens = module(video)
        return tokens


def layout_is_what_comes_out(spec: AlignerSpec) -> None:
    """Shapes, mask and patches are those that `layout` declares, for every aspect ratio."""
    module = make_aligner(spec)
    for shape in _shapes(spec):
        video = make_video(spec, shape)
        check_values(spec, _forward(module, video), video)


def positions_are_distinct(spec: AlignerSpec) -> None:
    """Patches and rows stand at positions of their own within the sequence."""
    for shape in _shapes(spec):
        layout = spec.layout(shape)
        positions = np.concatenate([layout.patches[layout.patches >= 0], layout.rows])
        assert len(set(positions.tolist())) == len(positions), f"{shape}: two things stand at one position"
        assert ((positions >= 0) & (positions < layout.tokens)).all(), f"{shape}: a position outside the sequence"


def patches_index_the_right_tokens(spec: AlignerSpec) -> None:
    """The token of a cell depends on the pixels of this cell more than on those of any other."""
    module = make_aligner(spec)
    for shape in _shapes(spec)[:2]:
        patches = spec.layout(shape).patches
        cells = np.argwhere(patches >= 0)
        video = make_video(spec, shape)
        for time, row, column in cells[:: max(1, len(cells) // 5)].tolist():
            pixels = video.pixels.clone().requires_grad_()
            tokens = module(VideoBatch(pixels, video.content_box, video.frame_mask))
            tokens.embeddings[0, int(patches[time, row, column])].square().sum().backward()
            energy = _per_cell(pixels.grad, patches.shape)
            strongest = tuple(int(i) for i in np.unravel_index(int(energy.argmax()), patches.shape))
            assert strongest == (time, row, column), (
                f"{shape}: patches[{time}, {row}, {column}] is a token of {strongest}"
            )


def _per_cell(grad: Tensor | None, grid: tuple[int, ...]) -> Tensor:
    """(T, h, w) mean energy of each cell of the canvas; cells overlap where the grid does not divide the pixels."""
    assert grad is not None, "no gradient reaches the pixels"
    return adaptive_avg_pool2d(grad[0].square().sum(1), (grid[1], grid[2]))


def tokens_do_not_depend_on_batch_mates(spec: AlignerSpec) -> None:
    """A video has the same tokens alone and beside others of other shapes, and zeros where the mask is False."""
    module = make_aligner(spec)
    videos = [make_video(spec, shape, seed) for seed, shape in enumerate(_shapes(spec))]
    together = _forward(module, _join(videos))
    for index, video in enumerate(videos):
        alone, count = _forward(module, video).embeddings[0], int(together.mask[index].sum())
        assert count == len(alone), f"video {index}: {len(alone)} tokens alone, {count} in the batch"
        gap = (together.embeddings[index, :count] - alone).abs().max().item()
        assert gap <= 1e-4 * max(1.0, alone.abs().max().item()), f"video {index}: tokens differ by {gap} in a batch"
        assert not together.embeddings[index, count:].any(), f"video {index}: padding tokens are not zero"


def gradients_reach_every_trainable_parameter(spec: AlignerSpec) -> None:
    """No parameter is left out of the forward unless it is frozen."""
    module = make_aligner(spec)
    tokens = module(make_video(spec, spec.input.shape(1, 1)))
    tokens.embeddings.square().sum().backward()
    without = [
        name for name, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not without, f"no gradient reaches {without}"


def bfloat16_is_close(spec: AlignerSpec) -> None:
    """Each token points the same way in bfloat16 as in float32, in most videos: rounding may tip a discrete choice."""
    videos = [make_video(spec, spec.input.shape(16, 9), seed) for seed in range(5)]
    module, rough = make_aligner(spec), make_aligner(spec).to(torch.bfloat16)
    cosines = sorted(_lowest_cosine(module, rough, video) for video in videos)
    assert cosines[2] > 0.98, f"cosine similarity of a token falls to {cosines}, by video"


def _lowest_cosine(module: Aligner, rough: Aligner, video: VideoBatch) -> float:
    exact = _forward(module, video).embeddings
    rounded = _forward(rough, video.to(dtype=torch.bfloat16)).embeddings.float()
    return torch.cosine_similarity(exact, rounded, dim=-1).min().item()


def saving_keeps_every_bit(spec: AlignerSpec) -> None:
    """A second module with the first one's state gives the same bits."""
    first, video = make_aligner(spec), make_video(spec, spec.input.shape(1, 1))
    torch.manual_seed(1)
    second = _build(spec)
    second.load_state_dict(first.state_dict())
    same_bits(_forward(second, video).embeddings, _forward(first, video).embeddings, "a copy's tokens")


def builds_on_meta(spec: AlignerSpec) -> None:
    """The module can be built and run without memory, for `vlmkit check`."""
    with torch.device("meta"):
        module = _build(spec)
    shape = spec.input.shape(1, 1)
    pixels = torch.empty(2, shape.frames, 3, shape.height, shape.width, device="meta")
    _forward(module, VideoBatch.full(pixels))


def is_deterministic(spec: AlignerSpec) -> None:
    """The same video twice gives the same bits."""
    module, video = make_aligner(spec), make_video(spec, spec.input.shape(1, 1))
    same_bits(_forward(module, video).embeddings, _forward(module, video).embeddings, "the same video twice")


def does_not_loop(spec: AlignerSpec) -> None:
    """The number of operator calls grows neither with the batch nor with the frames."""
    module, shape = make_aligner(spec), spec.input.shape(1, 1)
    one = make_video(spec, shape)
    calls = [operator_calls(partial(_forward, module, batch)) for batch in (one, _join([one] * 3))]
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
        times.append(operator_calls(partial(_forward, module, make_video(spec, video))))
    assert all(a == b for a, b in pairwise(times)), f"operator calls change with the frames: {times}"


CHECKS = (
    layout_is_what_comes_out,
    positions_are_distinct,
    patches_index_the_right_tokens,
    tokens_do_not_depend_on_batch_mates,
    gradients_reach_every_trainable_parameter,
    bfloat16_is_close,
    saving_keeps_every_bit,
    builds_on_meta,
    is_deterministic,
    does_not_loop,
)
