"""What is minimised: the language loss, and beside it the distillation loss where a stage has one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from vlmkit.api.contract import Broken
from vlmkit.api.modules import Teacher, check_finite
from vlmkit.guard import fault
from vlmkit.model.distillation import DistillationHead, distillation_loss
from vlmkit.model.distillation import build_head as build_distillation_head
from vlmkit.model.videolm import VideoLM
from vlmkit.runtime import world_size
from vlmkit.spec.experiment import DistillationSpec, ExperimentSpec
from vlmkit.training.batch import MicroBatch
from vlmkit.training.recompute import recomputed

__all__ = ["Distillation", "Losses", "Objective", "Totals", "build_head"]


class Totals(NamedTuple):
    """What all micro-batches of an optimizer step hold together, so that their losses add up to the step's mean."""

    tokens: int
    """Tokens that are learnt."""
    frames: int
    """Frames that are compared with the teacher."""
    processes: int = 1
    """Over how many processes gradients are averaged."""


class Losses(NamedTuple):
    """A micro-batch's share of the losses of its step."""

    language: Tensor
    distillation: Tensor


class Distillation(NamedTuple):
    """What a stage that distils needs besides the model."""

    spec: DistillationSpec
    head: DistillationHead
    teacher: Teacher


def build_head(spec: ExperimentSpec) -> DistillationHead | None:
    """The head of the spec's distillation, if it has one; freshly initialised from torch's random state."""
    if spec.training is None or spec.training.distillation is None:
        return None
    return build_distillation_head(spec.training.distillation, spec.model.backbone)


class Objective(nn.Module):
    """The model with its losses. The teacher is held outside of the module tree: it is neither saved nor optimised."""

    accepts_loss_kwargs = True
    """For the Trainer: losses are scaled for gradient accumulation here."""

    def __init__(self, model: VideoLM, distillation: Distillation | None, still: Sequence[nn.Module] = ()) -> None:
        """`still`: modules that stay in evaluation mode."""
        super().__init__()
        self.model = model
        self.distillation = distillation.head if distillation else None
        self._outside = (distillation, tuple(still))
        self._looked_at = False

    def train(self, mode: bool = True) -> Self:
        """Training mode for everything but the frozen modules."""
        super().train(mode)
        for module in self._outside[1]:
            module.eval()
        for layer in recomputed(self.model.backbone):
            layer.training = mode
        return self

    def forward(self, batch: MicroBatch, totals: Totals) -> Losses:
        """A micro-batch with at least one sample -> its share of the step's losses, () float32 each."""
        distillation, _ = self._outside
        distils = distillation is not None and batch.video is not None and batch.teacher is not None
        video = batch.video
        pixels = video.model_inputs() if video else {}
        output = self.model(
            **batch.text,
            **pixels,
            num_items_in_batch=max(1, totals.tokens),
            use_cache=False,
            output_hidden_states=distils,
        )
        language = output.loss * totals.processes
        if not distils:
            return Losses(language, torch.zeros_like(language))
        assert distillation is not None
        assert batch.video is not None
        assert batch.teacher is not None
        with torch.no_grad():
            target = distillation.teacher(batch.teacher)
        if not self._looked_at:
            try:
                check_finite(target, "features")
            except Broken as broken:
                raise fault(distillation.spec.teacher, f"forward {broken}") from None
            self._looked_at = True
        distance = distillation_loss(
            distillation.head,
            output.hidden_states,
            output.positions,
            output.visual.patches,
            target,
            loss=distillation.spec.loss,
            frames=batch.video.frame_mask,
        )
        share = batch.frames / max(1, totals.frames) * totals.processes
        return Losses(language, distance * share)

    def move_teacher(self, device: torch.device) -> None:
        """The teacher to the device of the model: `to` does not reach it."""
        if self._outside[0] is not None:
            self._outside[0].teacher.to(device)

    def total(self, losses: Losses) -> Tensor:
        """() what is minimised. Reaches every trained parameter where that must be so.

        A micro-batch without videos has no gradient for the aligner. On one process that is as it should be; several
        must reduce the same gradients, and a loss without any gradient cannot go backward.
        """
        distillation, _ = self._outside
        total = losses.language
        if distillation is not None:
            total = total + distillation.spec.weight * losses.distillation
        if world_size() > 1 or not total.requires_grad:
            total = total + self.nothing()
        return total

    def nothing(self) -> Tensor:
        """() zero, with a zero gradient for every trained parameter; the last one's comes first, as in a real pass."""
        trained = (parameter for parameter in self.parameters() if parameter.requires_grad)
        return reduce(torch.add, (parameter.flatten()[:1].float().sum() * 0 for parameter in trained))
