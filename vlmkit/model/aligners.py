"""Aligners: built within bounds, and put right once their weights are loaded."""

from __future__ import annotations

import torch
from torch import nn

from vlmkit.api.bounds import MOST_PARAMETERS
from vlmkit.api.modules import Aligner
from vlmkit.errors import SpecError, UserError
from vlmkit.guard import building
from vlmkit.spec.experiment import ModelSpec

__all__ = ["build_aligner", "check_size", "refuse_offloaded", "restore_buffers"]


def build_aligner(spec: ModelSpec) -> Aligner:
    """Return a fresh aligner. A SpecError where its options do not fit the LLM: those that fit each other need not."""
    with building("model.aligner"):
        aligner = spec.aligner.build(spec.backbone.width)
    check_size(aligner, "model.aligner")
    return aligner


def check_size(module: nn.Module, part: str) -> None:
    """Raise a SpecError where a part has more parameters than any model."""
    parameters = sum(value.numel() for value in module.parameters())
    if parameters > MOST_PARAMETERS:
        raise SpecError(
            f"{part}: these options make {parameters:,} parameters, expected at most {MOST_PARAMETERS:,}; make its "
            "widths smaller, or its layers fewer"
        )


def refuse_offloaded(aligner: Aligner) -> None:
    """Raise a UserError where weights lie elsewhere until their module is called: modules of an aligner use each
    other's."""
    if any(value.is_meta for value in aligner.parameters()):
        raise UserError(
            "device_map: expected the aligner's weights on the device that computes with them, found them offloaded; "
            "name a device for it, e.g. device_map={'aligner': 'cpu', 'backbone': 'disk'}"
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
