"""The loss of a stage: the language loss, and beside it the distillation loss where a stage has one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple, NoReturn, Self

import torch
from torch import Tensor, nn

from vlmkit.api.modules import Teacher
from vlmkit.api.tensor_checks import check_finite
from vlmkit.errors import RunError
from vlmkit.guard import guarded
from vlmkit.model.distillation import DistillationHead, build_head, distillation_loss
from vlmkit.model.videolm import VideoLM
from vlmkit.runtime import world_size
from vlmkit.spec.experiment import DistillationSpec, ExperimentSpec
from vlmkit.training.activation_checkpointing import checkpointed_layers
from vlmkit.training.collate import MicroBatch
from vlmkit.training.distributed import gather, group_size, raised_by_all

__all__ = [
    "LossState",
    "LossSums",
    "Losses",
    "ModelWithLoss",
    "StageDistillation",
    "StepTotals",
    "build_distillation_head",
]


class StepTotals(NamedTuple):
    """Sums over all micro-batches of an optimizer step, so that their losses add up to the step's mean."""

    tokens: int
    """Tokens that have a label."""
    frames: int
    """Frames that are compared with the teacher."""
    processes: int = 1
    """Over how many processes gradients are averaged."""


class Losses(NamedTuple):
    """A micro-batch's share of the losses of its step."""

    language: Tensor
    distillation: Tensor


class StageDistillation(NamedTuple):
    """Head and teacher of a stage that distils."""

    spec: DistillationSpec
    head: DistillationHead
    teacher: Teacher


def build_distillation_head(spec: ExperimentSpec) -> DistillationHead | None:
    """Return the head of the spec's distillation, if it has one; freshly initialized from torch's random state."""
    if spec.training is None or spec.training.distillation is None:
        return None
    return build_head(spec.training.distillation, spec.model.backbone)


class ModelWithLoss(nn.Module):
    """The model with its losses. The teacher stays out of the module tree: it is neither saved nor optimized."""

    accepts_loss_kwargs = True
    """For the Trainer: losses are scaled for gradient accumulation here."""

    def __init__(
        self, model: VideoLM, distillation: StageDistillation | None, frozen_modules: Sequence[nn.Module] = ()
    ) -> None:
        """Hold the model and the distillation head; `frozen_modules` stay in evaluation mode."""
        super().__init__()
        self.model = model
        self.distillation = distillation.head if distillation else None
        # In tuples, in which torch does not look for modules.
        self._stage_distillation, self._frozen_modules = distillation, tuple(frozen_modules)
        self._teacher_checked = False

    def train(self, mode: bool = True) -> Self:
        """Set training mode for everything but the frozen modules."""
        super().train(mode)
        for module in self._frozen_modules:
            module.eval()
        for layer in checkpointed_layers(self.model.backbone, self.model.layers):
            layer.training = mode
        return self

    def forward(self, batch: MicroBatch, totals: StepTotals) -> Losses:
        """A micro-batch with at least one sample -> its share of the step's losses, () float32 each."""
        distillation, video = self._stage_distillation, batch.video
        texts = batch.questions
        inputs = batch.text | (video.model_inputs() if video else {}) | (texts.model_inputs() if texts else {})
        distils = distillation is not None and video is not None and batch.teacher is not None
        count = max(1, totals.tokens)
        output = self.model(**inputs, num_items_in_batch=count, use_cache=False, output_hidden_states=distils)
        language = output.loss * totals.processes
        if distillation is None or video is None or batch.teacher is None:
            return Losses(language, torch.zeros_like(language))
        with torch.no_grad():
            target = distillation.teacher(batch.teacher)
        if not self._teacher_checked:
            with guarded(distillation.spec.teacher, "forward"):
                check_finite(target, "features")
            self._teacher_checked = True
        frames = video.frame_mask
        if texts is not None:  # there is a block of tokens for each
            target, frames = target[texts.video_of_text.to(target.device)], frames[texts.video_of_text]
        distance = distillation_loss(
            distillation.head,
            output.hidden_states,
            output.positions,
            output.visual.patches,
            target,
            loss=distillation.spec.loss,
            frames=frames,
        )
        share = batch.frames / max(1, totals.frames) * totals.processes
        return Losses(language, distance * share)

    def move_teacher(self, device: torch.device) -> None:
        """Move the teacher to the device of the model: `to` does not reach it."""
        if self._stage_distillation is not None:
            self._stage_distillation.teacher.to(device)

    def total(self, losses: Losses) -> Tensor:
        """Return () the weighted sum that is minimized. Reaches every trained parameter where that must be so.

        A micro-batch without videos has no gradient for the aligner. On one process that is as it should be; several
        must reduce the same gradients, and a loss without any gradient cannot go backward.
        """
        total = losses.language
        if self._stage_distillation is not None:
            total = total + self._stage_distillation.spec.weight * losses.distillation
        if world_size() > 1 or not total.requires_grad:
            total = total + self.zero_loss()
        return total

    def zero_loss(self) -> Tensor:
        """Return () zero with a zero gradient for every trained parameter, the last one's first as in a real pass."""
        trained = (parameter for parameter in self.parameters() if parameter.requires_grad)
        return reduce(torch.add, (parameter.flatten()[:1].float().sum() * 0 for parameter in trained))


class LossState(NamedTuple):
    """The state of `LossSums` that a checkpoint keeps."""

    sums: list[float]
    """Language and distillation loss, as a mean over all processes."""
    steps: int
    """Optimizer steps that they are of."""
    skipped: int


class LossSums:
    """Language and distillation loss since the last line of metrics.jsonl, added up on the device.

    On a GPU nothing is read from the device until a line or a checkpoint is written. The sums travel in checkpoints,
    so that a continued run writes the same lines. Of several processes all must call `take` and `state`: both take the
    mean over them, and both raise a RunError, in all of them, where a loss was not a finite number. One process on the
    CPU raises it in `add`, before an optimizer step.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = torch.device("cpu") if device.type == "mps" else device
        self.sums = torch.zeros(2, dtype=torch.float64, device=self._device)
        self.steps = 0
        self.skipped = 0
        """Samples skipped by any process since the stage began; a sample met in two epochs counts twice."""
        self._added: list[tuple[int, Sequence[str]]] = []
        self._first = torch.full((2,), -1, device=self._device)
        """For each loss the first of `_added` in which it was not finite."""

    def add(self, losses: Losses, samples: Sequence[str] = (), step: int = 0) -> None:
        """Add one micro-batch's share of the losses of its step; `samples` are the ids of its samples."""
        values = torch.stack([value.detach() for value in losses]).to(self.sums)
        self.sums += values
        broken = ~values.isfinite()
        self._first = torch.where(broken & (self._first < 0), len(self._added), self._first)
        self._added.append((step, samples))
        if self._device.type == "cpu" and group_size() == 1 and broken.any():
            self.raise_not_finite()

    @property
    def not_finite(self) -> bool:
        """True where a loss of this process was not finite. Waits for the device."""
        return bool((self._first >= 0).any())

    def check_norm(self, norm: float, step: int) -> None:
        """Raise a RunError where the norm of a step's gradients is not a finite number."""
        if not (math.isfinite(norm) and norm >= 0):  # DeepSpeed says -1
            samples = [name for added, names in self._added if added == step for name in names]
            with raised_by_all():  # it is that of all processes together
                raise RunError(_message(step, "the norm of the gradients", norm, samples))

    def take(self) -> tuple[float, float]:
        """Return mean language and distillation loss per step, and begin anew."""
        language, distillation = (total / max(1, self.steps) for total in self._mean())
        self.sums.zero_()
        self.steps = 0
        self._added.clear()
        return language, distillation

    def state(self) -> LossState:
        """Return what a checkpoint keeps."""
        return LossState(self._mean(), self.steps, self.skipped)

    def restore(self, state: LossState) -> None:
        """Go on with the sums of a checkpoint."""
        self.sums.copy_(torch.tensor(state.sums, dtype=torch.float64))
        self.steps, self.skipped = state.steps, state.skipped

    def _mean(self) -> list[float]:
        """Return the sums of both losses, as a mean over all processes."""
        sums = self.sums.clone()
        if group_size() > 1:
            torch.distributed.all_reduce(sums)
            sums /= group_size()
        values: list[float] = sums.tolist()
        if not all(map(math.isfinite, values)):
            self.raise_not_finite()
        return values

    def raise_not_finite(self) -> NoReturn:
        """Raise the RunError for the first loss of any process that is not finite. All processes must call it."""
        firsts = zip(Losses._fields, self._first.tolist(), strict=True)
        found = [(*self._added[first], name) for name, first in firsts if first >= 0]
        every = [item for own in gather(found) for item in own]
        step, _, loss = min(every, key=lambda item: item[0])
        samples = [name for at, names, of in every if (at, of) == (step, loss) for name in names]
        with raised_by_all():
            raise RunError(_message(step, f"the {loss} loss", None, samples))


_SHOWN = 8


def _message(step: int, what: str, value: float | None, samples: Sequence[str]) -> str:
    of = f" of the samples {', '.join(samples[:_SHOWN])}" if samples else ""
    more = f" and {len(samples) - _SHOWN} more" if len(samples) > _SHOWN else ""
    is_ = "is not a finite number" if value is None else f"is {value}, not a finite number"
    return (
        f"step {step}: {what} {is_}{of}{more}; nothing of it was saved. Repair the samples, if they are at fault, and "
        "run the command again: it goes on from the last checkpoint; or lower the learning rates or set max_grad_norm "
        "under another name"
    )
