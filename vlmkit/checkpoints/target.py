"""The model that takes published weights: names, shapes and types of all it wants, composed on the meta device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from vlmkit.api.hookspecs import PublishedFormat
from vlmkit.api.weights import Stored
from vlmkit.checkpoints.formats import ReleasedFiles, head_dim
from vlmkit.errors import CheckpointError, UserError
from vlmkit.model.aligners import build_aligner
from vlmkit.model.compose import compose
from vlmkit.model.config import describe
from vlmkit.model.distillation import build_head
from vlmkit.model.pretrained import config_differences
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.videolm import VideoLM
from vlmkit.spec.experiment import ExperimentSpec, ModelSpec, with_part
from vlmkit.spec.loading import load_spec

__all__ = ["Target", "build_target"]


@dataclass(frozen=True)
class Target:
    """The weights that the composed model takes, under our names."""

    model: VideoLM
    processor: VideoLMProcessor
    """Its tokenizer is None where none is at hand."""
    weights: dict[str, Stored]
    """Parameters and buffers of the model."""
    parameters: frozenset[str]
    """Those of them that are parameters."""
    tied: dict[str, str]
    """Names that are only another name of a weight, so that a checkpoint may lack them, and that weight's name."""
    head: dict[str, Stored]
    """Those of the distillation head; empty where the spec distils nothing."""
    published: frozenset[str]
    """Names of the aligner that the format's own model has: what a checkpoint in the format holds."""
    notes: list[str]
    """Notes for a person, e.g. why there is no tokenizer."""

    @property
    def head_dim(self) -> int:
        """Channels of a head of the language model's attention."""
        return head_dim(self.model.backbone.config)


def build_target(form: PublishedFormat, spec: ExperimentSpec, source: ReleasedFiles, tokenizer: str | None) -> Target:
    """Compose the spec's model without weights, with the first tokenizer that can be read: `tokenizer` if it is given,
    otherwise that of the source of the language model, otherwise the spec's.

    Raises:
        CheckpointError: the source's config.json is that of another language model.
        UserError: `tokenizer` cannot be read.
    """
    notes: list[str] = []
    model, processor = compose(_with_tokenizer(spec.model, source, tokenizer, notes), meta=True)
    # As the spec has it, wherever its tokenizer was read from.
    described, components = describe(spec.model.model_copy(update={"backbone": spec.model.backbone.self_contained()}))
    model.config.model, model.config.components = described, components
    processor.model, processor.components = described, components
    if (text := spec.model.aligner.text_input) is not None:
        try:
            processor.words(text)
        except UserError as error:
            notes.append(f"the tokenizer of the text that the aligner reads is not saved with the model: {error}")
    config = source.config()
    if config is None:
        notes.append(f"{source.folder} holds no config.json: the language model's options could not be compared")
    elif differ := config_differences(config, model.backbone.config.to_dict()):
        raise CheckpointError(
            f"{source.folder / 'config.json'} describes another language model than the spec's model.backbone: "
            f"{'; '.join(differ)}. Give the spec that fits with --spec"
        )
    distillation = spec.training.distillation if spec.training is not None else None
    with torch.device("meta"):
        head = build_head(distillation, spec.model.backbone) if distillation is not None else nn.Module()
        published = build_aligner(load_spec(f"specs/{form.spec}.yaml").model)
    return Target(
        model=model,
        processor=processor,
        weights=_weights(model),
        parameters=frozenset(name for name, _ in model.named_parameters(remove_duplicate=False)),
        tied=dict(model.all_tied_weights_keys),
        head=with_part("distillation", _weights(head)),
        published=frozenset(with_part("aligner", published.state_dict())),
        notes=notes,
    )


def _weights(module: nn.Module) -> dict[str, Stored]:
    return {name: Stored(tuple(value.shape), value.dtype) for name, value in module.state_dict().items()}


def _with_tokenizer(model: ModelSpec, source: ReleasedFiles, given: str | None, notes: list[str]) -> ModelSpec:
    """Return the model with a tokenizer that can be read, if there is one."""
    if given is not None:
        chosen = model.backbone.with_tokenizer(given)
        chosen.load_tokenizer()
        return model.model_copy(update={"backbone": chosen})
    candidates = [model.backbone]
    if any((source.folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        candidates.insert(0, model.backbone.with_tokenizer(str(source.folder)))
    failures = []
    for backbone in candidates:
        try:
            backbone.load_tokenizer()
        except UserError as error:
            failures.append(str(error))
        else:
            notes += [f"a tokenizer was passed over: {failure}" for failure in failures]
            return model.model_copy(update={"backbone": backbone})
    notes.append(
        "no tokenizer: neither the source nor the spec has one that can be read here, so there are only the weights; "
        f"import again with a tokenizer's folder (--tokenizer). {'; '.join(failures)}"
    )
    return model
