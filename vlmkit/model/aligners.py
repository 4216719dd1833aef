"""Aligners and layers: built within bounds, and put right once their weights are loaded."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from vlmkit.api.bounds import MOST_PARAMETERS
from vlmkit.api.modules import Aligner, Layers
from vlmkit.errors import SpecError, UserError
from vlmkit.guard import building
from vlmkit.spec.experiment import ModelSpec

__all__ = ["build_aligner", "build_layers", "check_size", "refuse_offloaded", "restore_buffers"]


def build_aligner(spec: ModelSpec) -> Aligner:
    """Return a fresh aligner. A SpecError where its options do not fit the LLM: those that fit each other need not."""
    with building("model.aligner"):
        aligner = spec.aligner.build(spec.backbone.width)
    check_size(aligner, "model.aligner")
    return aligner


def build_layers(spec: ModelSpec, backbone: PreTrainedModel) -> Layers | None:
    """Return the layers for this LLM, installed in it; None where the spec has none. A SpecError where their options do
    not fit it."""
    if spec.layers is None:
        return None
    with building("model.layers"):
        layers = spec.layers.build(backbone)
        check_size(layers, "model.layers")
        layers.install(backbone)
    return layers


def check_size(module: nn.Module, part: str) -> None:
    """Raise a SpecError where a part has more parameters than any model."""
    parameters = sum(value.numel() for value in module.parameters())
    if parameters > MOST_PARAMETERS:
        raise SpecError(
            f"{part}: these options make {parameters:,} parameters, expected at most {MOST_PARAMETERS:,}; make its "
            "widths smaller, or its layers fewer"
        )


def refuse_offloaded(model: nn.Module) -> None:
    """Raise a UserError where weights of aligner or layers lie elsewhere until their module is called: modules of these
    parts use each other's."""
    for part, whose in (("aligner", "the aligner's"), ("layers", "the layers'")):
        module = getattr(model, part)
        if module is not None and any(value.is_meta for value in module.parameters()):
            raise UserError(
                f"device_map: expected {whose} weights on the device that computes with them, found them "
                f"offloaded; name a device for it, e.g. device_map={{'{part}': 'cpu', 'backbone': 'disk'}}"
            )


def restore_buffers(aligner: Aligner, spec: ModelSpec) -> None:
    """Take from a fresh aligner the buffers that it computes in its constructor and does not save: loading, which goes
    by way of the meta device, loses them."""
    lost = dict(aligner.named_buffers()).keys() - aligner.state_dict().keys()
    if not lost:
        return
    with torch.random.fork_rng():
        fresh = build_aligner(spec)
    for name in lost:
        aligner.get_buffer(name).copy_(fresh.get_buffer(name))
