"""What the modules of components give, against what their specs declare. Shape letters as in `vlmkit.api.tensors`.

Nothing here computes on the device: shapes and types alone, so that it can be looked at in every pass, on the meta
device too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.backbone import BackboneSpec
from vlmkit.api.contract import Broken, expect, given
from vlmkit.api.tensors import VideoBatch, VisualTokens
from vlmkit.api.video import VideoShape
from vlmkit.guard import spec_of

__all__ = [
    "check_encoded",
    "check_features",
    "check_finite",
    "check_language",
    "check_reduced",
    "check_tokens",
    "check_values",
]


def check_tokens(aligner: Any, answer: object, video: VideoBatch) -> VisualTokens:
    """Those of a batch: as `AlignerSpec.layout` says, where a spec has built the aligner."""
    tokens: VisualTokens = expect(answer, VisualTokens)
    for name in ("embeddings", "mask", "patches"):
        expect(getattr(tokens, name), Tensor, f"a Tensor as `{name}`")
    if not tokens.embeddings.is_floating_point():
        raise Broken(f"gives embeddings of {tokens.embeddings.dtype}, expected numbers with a fraction")
    for name, dtype in (("mask", torch.bool), ("patches", torch.int64)):
        if (found := getattr(tokens, name).dtype) != dtype:
            raise Broken(f"gives {name} of {found}, expected {dtype}")
    videos, slots = video.frame_mask.shape
    spec = spec_of(aligner)
    if spec is None:
        if tokens.embeddings.ndim != 3 or tokens.patches.ndim != 4:
            raise Broken(f"gives embeddings of the shape {_shape(tokens.embeddings)} and patches of "
                         f"{_shape(tokens.patches)}, expected (B, N, D) and (B, T, h, w)")  # fmt: skip
        count, width, grid = *tokens.embeddings.shape[1:], tuple(tokens.patches.shape[2:])
    else:
        layouts = [_layout(aligner, spec, shape) for shape in video.shapes()]
        count, grid = max(tokens for tokens, _ in layouts), layouts[0][1]
        width = aligner._llm_width
    as_said = "" if spec is None else f", as its layout says of {_videos(video)}"
    _has_shape(tokens.embeddings, (videos, count, width), "embeddings", as_said)
    _has_shape(tokens.mask, (videos, count), "a mask", as_said)
    _has_shape(tokens.patches, (videos, slots, *grid), "patches", as_said)
    return tokens


def _layout(aligner: Any, spec: Any, shape: VideoShape) -> tuple[int, tuple[int, int]]:
    """Number of tokens and grid of the patches; of shapes that come again, without working them out again."""
    known: dict[VideoShape, tuple[int, tuple[int, int]]] = aligner.__dict__.setdefault("_layouts", {})
    if shape not in known:
        layout = spec.layout(shape)
        known[shape] = layout.tokens, layout.patches.shape[1:]
    return known[shape]


def _videos(video: VideoBatch) -> str:
    shape = video.shapes()[0]
    more = f" (and {len(video.frame_mask) - 1} more)" if len(video.frame_mask) > 1 else ""
    top, bottom, left, right = shape.content_box
    return (
        f"{shape.num_frames_present} of {shape.frames} frames with a picture of {bottom - top}x{right - left} on "
        f"{shape.height}x{shape.width} pixels{more}"
    )


def check_reduced(downsampler: Any, answer: object, x: Tensor) -> Tensor:
    """Frames: as `DownsamplerSpec.grid` says, where a spec has built the downsampler."""
    reduced: Tensor = expect(answer, Tensor)
    spec = spec_of(downsampler)
    if spec is None or x.ndim != 4:
        return reduced
    frames, height, width, channels = x.shape
    grid = spec.grid(height, width)
    _has_shape(reduced, (frames, *grid, channels), "", f", as its grid says of {height}x{width} patches")
    return reduced


def check_encoded(encoder: Any, answer: object, pixels: Tensor) -> Tensor:
    """Tokens of frames: prefix and patches as the spec says, where one has built the encoder."""
    encoded: Tensor = expect(answer, Tensor)
    if (spec := spec_of(encoder)) is not None:
        patches = (pixels.shape[3] // spec.patch) * (pixels.shape[4] // spec.patch)
        said = f", as its prefix_tokens {spec.prefix_tokens}, patch {spec.patch} and width {spec.width} say"
        _has_shape(encoded, (*pixels.shape[:2], spec.prefix_tokens + patches, spec.width), "", said)
    return encoded


def check_features(teacher: Any, answer: object, video: VideoBatch) -> Tensor:
    """Those of a batch on the teacher's own canvas: as `TeacherSpec.grid` and `width` say, where one has built it."""
    features: Tensor = expect(answer, Tensor)
    spec = spec_of(teacher)
    if spec is not None and tuple(video.pixels.shape[3:]) == (spec.input.size, spec.input.size):
        expected = (*video.frame_mask.shape, *spec.grid(), spec.width)
        _has_shape(features, expected, "", ", as its grid and width say")
    return features


def check_language(backbone: BackboneSpec, output: Any, hidden: bool) -> Any:
    """What a language model gives: logits and, where asked for, hidden states of embeddings and every layer."""
    logits = output.get("logits") if hasattr(output, "get") else None
    if not isinstance(logits, Tensor) or logits.ndim != 3:
        raise Broken(f"gives {given(output)} without logits (B, S, vocabulary), expected an output of transformers")
    if hidden:
        states = output.get("hidden_states")
        if not isinstance(states, tuple) or len(states) != backbone.layers + 1:
            found = len(states) if isinstance(states, tuple) else 0
            raise Broken(f"gives {found} hidden states, expected {backbone.layers + 1}: the embeddings and those of "
                         f"{backbone.layers} layers, as its `layers` says")  # fmt: skip
        if states[-1].shape[-1] != backbone.width:
            raise Broken(f"gives hidden states of {states[-1].shape[-1]} channels, expected {backbone.width}, as its "
                         "`width` says")  # fmt: skip
    return output


def check_values(spec: AlignerSpec, tokens: VisualTokens, video: VideoBatch) -> None:
    """Tokens of the right shapes: those of each video first, where its layout says, finite numbers all. Waits for the
    device."""
    check_finite(tokens.embeddings, "embeddings")
    mask, patches = tokens.mask.cpu(), tokens.patches.cpu()
    for index, shape in enumerate(video.shapes()):
        layout = spec.layout(shape)
        stands = torch.arange(mask.shape[1]) < layout.tokens
        if not torch.equal(mask[index], stands):
            raise Broken(f"gives a mask with {int(mask[index].sum())} tokens of video {index}, expected that the first "
                         f"{layout.tokens} are there and no other, as its layout says of {shape}")  # fmt: skip
        if not torch.equal(patches[index], torch.from_numpy(layout.patches)):
            raise Broken(f"gives patches of video {index} that differ from those of its layout of {shape}")


def check_finite(values: Tensor, what: str) -> None:
    """Neither NaN nor infinity. Waits for the device."""
    if not torch.isfinite(values).all():
        raise Broken(f"gives {what} that hold NaN or infinity, expected finite numbers; are its weights damaged?")


def _has_shape(found: Tensor, expected: tuple[int, ...], what: str, as_said: str) -> None:
    if _shape(found) != expected:
        raise Broken(f"gives {what}{' ' if what else ''}of the shape {_shape(found)}, expected {expected}{as_said}")


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
