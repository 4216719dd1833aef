"""From a spec to modules: one component, or the whole model with its processor, and a check of its shapes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from inspect import signature
from typing import Any, cast

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.reader import ReaderSpec
from vlmkit.api.spec import Slot
from vlmkit.api.tensor_checks import check_language, trial_texts
from vlmkit.api.tensors import VideoBatch
from vlmkit.errors import PluginError, SpecError, Unavailable, UserError, from_pydantic
from vlmkit.guard import building, guarded
from vlmkit.model.aligners import build_aligner
from vlmkit.model.config import VideoLMConfig, describe
from vlmkit.model.pretrained import load_with_config
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.tokens import add_special_tokens, check_rows, check_tokenizer
from vlmkit.model.videolm import VideoLM
from vlmkit.registry import KINDS, unknown_kind
from vlmkit.spec.checks import ASPECTS
from vlmkit.spec.experiment import ModelSpec
from vlmkit.spec.identity import origins

__all__ = ["build", "check_room", "check_shapes", "compose"]


def compose(
    model: ModelSpec,
    *,
    meta: bool = False,
    seed: int = 0,
    reader: ReaderSpec | None = None,
    on_meta: VideoLM | None = None,
) -> tuple[VideoLM, VideoLMProcessor]:
    """Return a fresh model with its processor.

    Weights are those that the spec names, the others are drawn from `seed`, for each part on its own: another aligner
    leaves the backbone's weights as they are. Torch's own random state is left alone. With `model.weights` all of them
    come from that checkpoint, and nothing else is read or drawn.

    Args:
        model: what to compose.
        meta: shapes only, on the meta device: reads no weights, asks no network, and does without a tokenizer that is
            not at hand (`processor.tokenizer` is then None).
        seed: decides the drawn weights.
        reader: by what the processor, also a saved one, decodes video files; None: by the usual one.
        on_meta: the same model on the meta device, where it was composed before: its sizes are then known.

    Raises:
        UserError: where weights or tokenizer cannot be read, or the aligner does not fit the LLM.
        CheckpointError: where the checkpoint `model.weights` does not fit.
    """
    tokenizer = _tokenizer_at_hand(model) if meta else _tokenizer(model)
    rows = 0
    if tokenizer is not None:
        check_tokenizer(tokenizer, "model.backbone")
        rows = add_special_tokens(tokenizer, model.aligner.special_tokens)
    spec = model.model_copy(update={"backbone": model.backbone.self_contained()})
    described, components = describe(spec)
    processor = VideoLMProcessor(tokenizer, described, components)
    if (text := spec.aligner.text_input) is not None and not meta:
        processor.words(text)
    if reader is not None:
        processor.reader = reader.model_dump(mode="json") | {"type": reader.address}
        processor.reader_origin = origins(reader)
    config = VideoLMConfig(described, components, video_token_id=getattr(tokenizer, "video_token_id", None))
    if meta:
        videolm = _build_on_meta(config, spec, rows)
    elif model.weights is not None:
        videolm = _from_checkpoint(config, on_meta or _build_on_meta(config, spec, rows), model.weights)
    else:
        videolm = _fresh(config, spec, model, seed, on_meta, rows)
    if tokenizer is not None:
        check_rows(tokenizer, videolm.get_input_embeddings(), "model.backbone")
        _set_generation(videolm, tokenizer)
    return videolm.eval(), processor


def _build_on_meta(config: VideoLMConfig, spec: ModelSpec, rows: int) -> VideoLM:
    with torch.random.fork_rng(), torch.device("meta"):
        aligner = build_aligner(spec)
        with building("model.backbone"):
            backbone = spec.backbone.build()
        return _with_rows(VideoLM(config, aligner, backbone), rows)


def _fresh(
    config: VideoLMConfig, spec: ModelSpec, model: ModelSpec, seed: int, on_meta: VideoLM | None, rows: int
) -> VideoLM:
    """Return a model of weights that `model` names and drawn ones; `spec` is the same with all that building needs."""
    with torch.random.fork_rng(), torch.device("meta"):
        check_room(on_meta.aligner if on_meta is not None else build_aligner(spec), "model.aligner")
        if on_meta is not None and on_meta.layers is not None:
            check_room(on_meta.layers, "model.layers")
    with torch.random.fork_rng(), torch.device("cpu"):
        torch.manual_seed(seed)
        aligner = build_aligner(spec)
        aligner.load_pretrained()
        torch.manual_seed(seed)
        with building("model.backbone"):
            backbone = model.backbone.load()
        torch.manual_seed(seed)
        return _with_rows(VideoLM(config, aligner, backbone), rows)


def _with_rows(videolm: VideoLM, rows: int) -> VideoLM:
    """Return the model with at least so many rows in its table, new ones drawn as its own are."""
    if rows > videolm.backbone.config.vocab_size:
        videolm.resize_token_embeddings(rows, mean_resizing=False)
    return videolm


def check_room(module: nn.Module, part: str) -> None:
    """Raise a SpecError where a part, here on the meta device, does not fit into this machine's memory."""
    needed = sum(value.nbytes for value in (*module.parameters(), *module.buffers()))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise SpecError(
            f"{part}: its weights take {needed / 2**30:,.1f} GiB, this machine has {there / 2**30:,.1f} GiB of memory; "
            "make its widths smaller, or its layers fewer"
        )


def _from_checkpoint(config: VideoLMConfig, fresh: VideoLM, weights: str) -> VideoLM:
    """Return a model of a checkpoint's weights. All else is as in a `fresh` one on the meta device: what is built
    frozen, how it generates."""
    config.text_config, config.tie_word_embeddings = fresh.config.text_config, fresh.config.tie_word_embeddings
    config.dtype = torch.float32  # in which components that name no type are built
    with torch.random.fork_rng():
        videolm = load_with_config(weights, config)
    for name, parameter in fresh.named_parameters():
        videolm.get_parameter(name).requires_grad_(parameter.requires_grad)
    videolm.generation_config = fresh.generation_config
    return videolm


def _tokenizer(model: ModelSpec) -> Any:
    """Return the spec's tokenizer; otherwise that of the checkpoint that the model starts from, with the spec's chat
    template."""
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
    """Return the spec's tokenizer, or None where it is not on this machine. One that is there has to be readable,
    unless that of the checkpoint takes its place."""
    try:
        return model.backbone.load_tokenizer(offline=True)
    except UserError as error:
        if model.weights is None and not isinstance(error, Unavailable):
            raise
        return None


def _set_generation(model: VideoLM, tokenizer: Any) -> None:
    """Set greedy decoding until the tokenizer's end token; a placeholder is never generated."""
    generation = model.generation_config
    generation.bos_token_id = tokenizer.bos_token_id
    generation.eos_token_id = tokenizer.eos_token_id
    generation.pad_token_id = tokenizer.pad_token_id
    model.suppress_placeholder()


def check_shapes(model: VideoLM, spec: ModelSpec) -> None:
    """Check on the meta device, before any weight loads, that the components give what their specs declare.

    Padded videos and one with a frame less go through the aligner, two positions through the language model. `model` is
    on the meta device, composed of `spec`. A PluginError where what comes out has another shape than `layout`, `width`
    or `layers` say.
    """
    with torch.no_grad():
        with building("model.aligner"):
            videos = _trial_videos(spec.aligner)
            model.aligner(videos, *trial_texts(model.aligner, videos))
        _check_language_model(model, spec)


def _trial_videos(spec: AlignerSpec) -> VideoBatch:
    """Return one of each aspect, and one with a frame less where the aligner takes it."""
    shapes = [spec.input.shape(*sides) for sides in ASPECTS.values()]
    fewer = spec.input.shape(*ASPECTS["square"], max(1, spec.input.frames - 1))
    try:
        spec.layout(fewer._replace(frames=shapes[0].frames))
        shapes.append(fewer)
    except PluginError:
        raise
    except ValueError:
        pass  # a number of frames that the aligner refuses
    slots = shapes[0].frames
    sides = max(shape.height for shape in shapes), max(shape.width for shape in shapes)
    pixels = torch.empty(len(shapes), slots, 3, *sides, device="meta")
    frames = torch.arange(slots) < torch.tensor([[shape.num_frames_present] for shape in shapes])
    return VideoBatch(pixels, torch.tensor([shape.content_box for shape in shapes]), frames)


def _check_language_model(model: VideoLM, spec: ModelSpec) -> None:
    dtype = next(model.get_input_embeddings().parameters()).dtype
    with torch.device("meta"):
        # Of a mask with four axes transformers does not ask for the values, which there are none of here.
        inputs = {
            "inputs_embeds": torch.empty(1, 2, spec.backbone.width, dtype=dtype),
            "attention_mask": torch.empty(1, 1, 2, 2, dtype=dtype),
            "position_ids": torch.empty(1, 2, dtype=torch.int64),
        }
    with guarded(spec.backbone, "forward"):
        try:
            output = model.backbone(**inputs, use_cache=False, output_hidden_states=True, return_dict=True)
        except (NotImplementedError, RuntimeError, ValueError):
            return  # a family, e.g. of mixtures of experts, that wants values or other masks: the first batch tells
        check_language(spec.backbone, output, hidden=True)


def build(kind: str, options: str | Mapping[str, Any], **kwargs: Any) -> Any:
    """Return one component, e.g. `build("aligner", {"type": "stab", "width": 1024}, llm_width=1024)`.

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
