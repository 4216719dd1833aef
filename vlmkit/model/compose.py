"""From a spec to modules: one component, or the whole model with its processor."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from inspect import signature
from typing import Any, cast

import torch
from pydantic import TypeAdapter, ValidationError

from vlmkit.api.reader import ReaderSpec
from vlmkit.api.spec import Slot
from vlmkit.errors import SpecError, Unavailable, UserError
from vlmkit.model.config import VideoLMConfig, describe
from vlmkit.model.load import load_as
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.size import check_room, composing
from vlmkit.model.tokens import check_rows, check_tokenizer
from vlmkit.model.videolm import VideoLM, build_aligner
from vlmkit.problems import from_pydantic
from vlmkit.registry import KINDS, unknown_kind
from vlmkit.spec.experiment import ModelSpec
from vlmkit.spec.identity import origins

__all__ = ["build", "compose"]


def compose(
    model: ModelSpec, *, meta: bool = False, seed: int = 0, reader: ReaderSpec | None = None
) -> tuple[VideoLM, VideoLMProcessor]:
    """A fresh model with its processor.

    Weights are those that the spec names, the others are drawn from `seed`, for each part on its own: another aligner
    leaves the backbone's weights as they are. Torch's own random state is left alone. With `model.weights` all of them
    come from that checkpoint, and nothing else is read or drawn.

    Args:
        model: what to compose.
        meta: shapes only, on the meta device: reads no weights, asks no network, and does without a tokenizer that is
            not at hand (`processor.tokenizer` is then None).
        seed: decides the drawn weights.
        reader: by what the processor, also a saved one, decodes video files; None: by the usual one.

    Raises:
        UserError: where weights or tokenizer cannot be read, or the aligner does not fit the LLM.
        CheckpointError: where the checkpoint `model.weights` does not fit.
    """
    tokenizer = _tokenizer_at_hand(model) if meta else _tokenizer(model)
    if tokenizer is not None:
        check_tokenizer(tokenizer, "model.backbone")
    spec = model.model_copy(update={"backbone": model.backbone.self_contained()})
    described, components = describe(spec)
    processor = VideoLMProcessor(tokenizer, described, components, **_reading(reader))
    config = VideoLMConfig(described, components, video_token_id=getattr(tokenizer, "video_token_id", None))
    if model.weights is not None and not meta:
        videolm = _start(config, spec, model.weights)
    else:
        videolm = _fresh(config, spec, model, meta, seed)
    if tokenizer is not None:
        check_rows(tokenizer, videolm.get_input_embeddings(), "model.backbone")
        _set_generation(videolm, tokenizer)
    return videolm.eval(), processor


def _reading(reader: ReaderSpec | None) -> dict[str, Any]:
    """What a processor keeps of its reader: options, and where it comes from."""
    if reader is None:
        return {}
    return {"reader": reader.model_dump(mode="json") | {"type": reader.address}, "reader_origin": origins(reader)}


def _fresh(config: VideoLMConfig, spec: ModelSpec, model: ModelSpec, meta: bool, seed: int) -> VideoLM:
    """Of weights that `model` names and drawn ones; `spec` is the same with all that building needs in it."""
    if not meta:
        with torch.random.fork_rng(), torch.device("meta"):
            check_room(build_aligner(spec), "model.aligner")
    with torch.random.fork_rng(), torch.device("meta" if meta else "cpu"):
        torch.manual_seed(seed)
        aligner = build_aligner(spec)
        if not meta:
            aligner.load_pretrained()
        torch.manual_seed(seed)
        with composing("model.backbone"):
            backbone = spec.backbone.build() if meta else model.backbone.load()
        return VideoLM(config, aligner, backbone)


def _start(config: VideoLMConfig, spec: ModelSpec, weights: str) -> VideoLM:
    """Of the weights of a checkpoint. All else is as in a fresh model: what is built frozen, how it generates."""
    fresh = _fresh(config, spec, spec, meta=True, seed=0)
    config.dtype = torch.float32  # in which components that name no type are built
    with torch.random.fork_rng():
        videolm = load_as(weights, config)
    for name, parameter in fresh.named_parameters():
        videolm.get_parameter(name).requires_grad_(parameter.requires_grad)
    videolm.generation_config = fresh.generation_config
    return videolm


def _tokenizer(model: ModelSpec) -> Any:
    """The spec's own; otherwise that of the checkpoint that the model starts from, with the spec's chat template."""
    try:
        return model.backbone.load_tokenizer()
    except UserError as error:
        if model.weights is None:
            raise
        try:
            tokenizer = model.backbone.with_tokenizer(model.weights).load_tokenizer(offline=True)
        except UserError as other:
            raise UserError(f"{error}; and the checkpoint has none either: {other}") from None
        warnings.warn(f"the tokenizer of {model.weights} takes the place of the spec's: {error}", stacklevel=3)
        return tokenizer


def _tokenizer_at_hand(model: ModelSpec) -> Any:
    """The spec's own, or None where it is not on this machine. One that is there has to be readable, unless that of the
    checkpoint takes its place."""
    try:
        return model.backbone.load_tokenizer(offline=True)
    except UserError as error:
        if model.weights is None and not isinstance(error, Unavailable):
            raise
        return None


def _set_generation(model: VideoLM, tokenizer: Any) -> None:
    """Greedy decoding until the tokenizer's end token; a placeholder is never generated."""
    generation = model.generation_config
    generation.bos_token_id = tokenizer.bos_token_id
    generation.eos_token_id = tokenizer.eos_token_id
    generation.pad_token_id = tokenizer.pad_token_id
    if tokenizer.video_token_id < model.backbone.config.vocab_size:
        generation.suppress_tokens = [tokenizer.video_token_id]


def build(kind: str, options: str | Mapping[str, Any], **kwargs: Any) -> Any:
    """One component, e.g. `build("aligner", {"type": "stab", "width": 1024}, llm_width=1024)`.

    Args:
        kind: `aligner`, `downsampler`, `backbone`, …
        options: the component's name, or a mapping with `type: name` and its options, as in a spec file.
        kwargs: what the component's `build` wants besides.

    Raises:
        SpecError: with the dotted path of everything that is wrong with the options.
    """
    if kind not in KINDS:
        raise SpecError(unknown_kind(kind))
    signature(KINDS[kind].build).bind(None, **kwargs)  # type: ignore[attr-defined]  # what lacks here is no plugin's fault
    slot: TypeAdapter[Any] = TypeAdapter(cast(Any, Slot)[KINDS[kind]])
    try:
        spec = slot.validate_python(options)
    except ValidationError as error:
        problems = [f"  {'.'.join(map(str, (kind, *p.path)))}: {p.message}" for p in from_pydantic(error)]
        raise SpecError("\n".join([f"this {kind} cannot be built:", *problems])) from None
    return spec.build(**kwargs)
