"""Checks of the tensors that components give. Shape letters as in `vlmkit.api.tensors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.backbone import BackboneSpec
from vlmkit.api.contract import ContractError, check_type, type_name
from vlmkit.api.tensors import TextBatch, TokenContext, VideoBatch, VisualTokens
from vlmkit.api.video import VideoShape
from vlmkit.guard import spec_of

__all__ = [
    "block_shapes",
    "check_attention",
    "check_blocks",
    "check_encoded",
    "check_features",
    "check_finite",
    "check_language",
    "check_reduced",
    "check_tokens",
    "check_values",
    "trial_texts",
]


def block_shapes(video: VideoBatch, text: TextBatch | None) -> list[VideoShape]:
    """Return the shape of the video of each block of tokens: one block for each video, or for each text."""
    shapes = video.shapes()
    return shapes if text is None else [shapes[index] for index in text.video_of_text.tolist()]


def trial_texts(aligner: Any, video: VideoBatch) -> tuple[TextBatch, ...]:
    """Return what an aligner that reads text is tried out with besides videos: the same four tokens about each."""
    spec = spec_of(aligner)
    if spec is None or spec.text_input is None:
        return ()
    count = len(video.pixels)
    ids = torch.arange(1, 5, device=video.pixels.device).expand(count, 4)
    return (TextBatch.from_model_inputs(ids),)


def check_tokens(aligner: Any, answer: object, video: VideoBatch, text: TextBatch | None = None) -> VisualTokens:
    """Check the tokens of a batch against `AlignerSpec.layout`, where a spec has built the aligner."""
    tokens: VisualTokens = check_type(answer, VisualTokens)
    for name in ("embeddings", "mask", "patches"):
        check_type(getattr(tokens, name), Tensor, f"a Tensor as `{name}`")
    if not tokens.embeddings.is_floating_point():
        raise ContractError(f"gives embeddings of {tokens.embeddings.dtype}, expected numbers with a fraction")
    for name, dtype in (("mask", torch.bool), ("patches", torch.int64)):
        if (found := getattr(tokens, name).dtype) != dtype:
            raise ContractError(f"gives {name} of {found}, expected {dtype}")
    shapes, slots = block_shapes(video, text), video.frame_mask.shape[1]
    videos, spec = len(shapes), spec_of(aligner)
    if spec is None:
        if tokens.embeddings.ndim != 3 or tokens.patches.ndim != 4:
            found = f"{tuple(tokens.embeddings.shape)} and patches of {tuple(tokens.patches.shape)}"
            raise ContractError(f"gives embeddings of the shape {found}, expected (B, N, D) and (B, T, h, w)")
        count, width, grid = *tokens.embeddings.shape[1:], tuple(tokens.patches.shape[2:])
    else:
        layouts = [_layout(aligner, spec, shape) for shape in shapes]
        count, grid, width = max(tokens for tokens, _ in layouts), layouts[0][1], aligner._llm_width
    as_said = "" if spec is None else f", as its layout says of {_videos(video)}"
    _has_shape(tokens.embeddings, (videos, count, width), "embeddings", as_said)
    _has_shape(tokens.mask, (videos, count), "a mask", as_said)
    _has_shape(tokens.patches, (videos, slots, *grid), "patches", as_said)
    if spec is not None:
        _check_prompts(tokens.prompts, (videos, spec.num_prompts, width))
    return tokens


def _check_prompts(prompts: object, expected: tuple[int, int, int]) -> None:
    """Check prompts against (B, P, D), where P is `AlignerSpec.num_prompts`."""
    if not expected[1]:
        if prompts is not None:
            raise ContractError("gives prompts, and its spec says that there are none; expected `num_prompts` of it")
        return
    found: Tensor = check_type(prompts, Tensor, "a Tensor as `prompts`, as its num_prompts says")
    if found.ndim != 4 or tuple(found.shape[1:]) != expected or not found.is_floating_point():
        wanted = f"(K, {', '.join(map(str, expected))}), numbers with a fraction, as its num_prompts says"
        raise ContractError(f"gives prompts of the shape {tuple(found.shape)}, {found.dtype}, expected {wanted}")


def _layout(aligner: Any, spec: Any, shape: VideoShape) -> tuple[int, tuple[int, int]]:
    """Return number of tokens and grid of the patches, worked out once for each shape."""
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
    """Check frames against `DownsamplerSpec.grid`, where a spec has built the downsampler."""
    reduced: Tensor = check_type(answer, Tensor)
    spec = spec_of(downsampler)
    if spec is None or x.ndim != 4:
        return reduced
    frames, height, width, channels = x.shape
    grid = spec.grid(height, width)
    _has_shape(reduced, (frames, *grid, channels), "", f", as its grid says of {height}x{width} patches")
    return reduced


def check_encoded(encoder: Any, answer: object, pixels: Tensor) -> Tensor:
    """Check prefix and patches of frames against the spec, where one has built the encoder."""
    encoded: Tensor = check_type(answer, Tensor)
    if (spec := spec_of(encoder)) is not None:
        patches = (pixels.shape[3] // spec.patch) * (pixels.shape[4] // spec.patch)
        said = f", as its prefix_tokens {spec.prefix_tokens}, patch {spec.patch} and width {spec.width} say"
        _has_shape(encoded, (*pixels.shape[:2], spec.prefix_tokens + patches, spec.width), "", said)
    return encoded


def check_blocks(encoder: Any, answer: object, pixels: Tensor, indices: Sequence[int]) -> list[Tensor]:
    """Check the outputs of blocks as those of the encoder, one for each index."""
    outputs: list[Tensor] = check_type(answer, list)
    if len(outputs) != len(indices):
        raise ContractError(f"gives {len(outputs)} outputs, expected one for each of the blocks {list(indices)}")
    return [check_encoded(encoder, output, pixels) for output in outputs]


def check_attention(layers: Any, answer: object, context: TokenContext) -> tuple[Tensor | None, Tensor | None]:
    """Check that there are a mask and positions, of those positions that the context tells of."""
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise ContractError(
            f"gives {type_name(answer)}, expected (attention mask, position ids), each a Tensor or None"
        )
    for value, what in zip(answer, ("an attention mask", "position ids"), strict=True):
        if value is not None:
            check_type(value, Tensor, f"a Tensor or None as {what}")
    return answer


def check_features(teacher: Any, answer: object, video: VideoBatch) -> Tensor:
    """Check features on the teacher's own canvas against `TeacherSpec.grid` and `width`, where a spec has built it."""
    features: Tensor = check_type(answer, Tensor)
    spec = spec_of(teacher)
    if spec is not None and tuple(video.pixels.shape[3:]) == (spec.input.size, spec.input.size):
        expected = (*video.frame_mask.shape, *spec.grid(), spec.width)
        _has_shape(features, expected, "", ", as its grid and width say")
    return features


def check_language(backbone: BackboneSpec, output: Any, hidden: bool) -> Any:
    """Check the output of a language model: its logits and, where asked for, hidden states of all layers."""
    logits = output.get("logits") if hasattr(output, "get") else None
    if not isinstance(logits, Tensor) or logits.ndim != 3:
        found = f"{type_name(output)} without logits (B, S, vocabulary)"
        raise ContractError(f"gives {found}, expected an output of transformers")
    if hidden:
        states = output.get("hidden_states")
        count, layers = len(states) if isinstance(states, tuple) else 0, backbone.layers
        if count != layers + 1:
            wanted = f"{layers + 1}: the embeddings and those of {layers} layers, as its `layers` says"
            raise ContractError(f"gives {count} hidden states, expected {wanted}")
        if (width := states[-1].shape[-1]) != backbone.width:
            wanted = f"{backbone.width}, as its `width` says"
            raise ContractError(f"gives hidden states of {width} channels, expected {wanted}")
    return output


def check_values(spec: AlignerSpec, tokens: VisualTokens, video: VideoBatch, text: TextBatch | None = None) -> None:
    """Check tokens of the right shapes: those of each video come first, where its layout says, and are finite.

    Waits for the device.
    """
    check_finite(tokens.features, "embeddings")
    mask, patches = tokens.mask.cpu(), tokens.patches.cpu()
    for index, shape in enumerate(block_shapes(video, text)):
        layout = spec.layout(shape)
        stands = torch.arange(mask.shape[1]) < layout.tokens
        if not torch.equal(mask[index], stands):
            wanted = f"that the first {layout.tokens} are there and no other, as its layout says of {shape}"
            found = f"a mask with {int(mask[index].sum())} tokens of video {index}"
            raise ContractError(f"gives {found}, expected {wanted}")
        if not torch.equal(patches[index], torch.from_numpy(layout.patches)):
            raise ContractError(f"gives patches of video {index} that differ from those of its layout of {shape}")


def check_finite(values: Tensor, what: str) -> None:
    """Check that there is neither NaN nor infinity. Waits for the device."""
    if not torch.isfinite(values).all():
        raise ContractError(f"gives {what} with NaN or infinity, expected finite numbers; are its weights damaged?")


def _has_shape(found: Tensor, expected: tuple[int, ...], what: str, as_said: str) -> None:
    if (shape := tuple(found.shape)) != expected:
        subject = f"{what} of" if what else "of"
        raise ContractError(f"gives {subject} the shape {shape}, expected {expected}{as_said}")
