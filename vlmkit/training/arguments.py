"""A stage of a run as its trainer gets it, and the arguments of transformers' Trainer: one process, or DeepSpeed."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import nn
from transformers import TrainingArguments

from vlmkit.data import BadSamples
from vlmkit.errors import PluginError, SpecError
from vlmkit.run_folder import RunFolder
from vlmkit.runtime import check_launcher, set_single_process_defaults, world_size
from vlmkit.spec.experiment import EngineSpec, StageSpec, TrainingSpec
from vlmkit.training.collate import Collator, StageDataset
from vlmkit.training.distributed import PassContents
from vlmkit.training.lr_schedule import lr_factor
from vlmkit.training.metrics import MetricsLine

__all__ = ["BatchSizes", "StageRun", "autocasts", "deepspeed_config", "trainer_arguments"]


class BatchSizes(NamedTuple):
    """How the batch of an optimizer step is divided among processes and forward passes."""

    micro: int
    """Samples per forward pass of one process."""
    accumulate: int
    """Forward passes of one process per optimizer step."""

    @classmethod
    def of(cls, stage: StageSpec) -> Self:
        """Return those of a stage. A SpecError where the batch does not divide among the processes."""
        count = world_size()
        micro = stage.micro_batch_size or max(1, stage.batch_size // count)
        accumulate, rest = divmod(stage.batch_size, micro * count)
        if rest:
            where = f"training.stages.{stage.name}.batch_size"
            raise SpecError(
                f"{where}: expected a multiple of {micro} samples x {count} processes, found {stage.batch_size}"
            )
        return cls(micro, accumulate)


@dataclass
class StageRun:
    """Everything about one stage of one run."""

    run: RunFolder
    identity: str
    """Of the run, as its checkpoints bear it."""
    number: int
    """From 1."""
    stage: StageSpec
    training: TrainingSpec
    seed: int
    """Of this stage."""
    trained: dict[str, list[nn.Parameter]]
    """Parameters by pattern of `stage.train`."""
    dataset: StageDataset
    collator: Collator
    bad: BadSamples
    sizes: BatchSizes

    @property
    def folder(self) -> Path:
        """Where its checkpoints and metrics lie."""
        return self.run.stage(self.number, self.stage.name)

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return self.dataset.order.steps

    def note_pass(self, read: PassContents) -> int:
        """Note what any process has read for one forward pass, and return how many of its samples are unreadable."""
        if read.error is not None:
            raise read.error
        for sample in read.loaded:
            self.bad.add_readable(sample)
        for unreadable in read.unreadable:
            self.bad.add_unreadable(*unreadable)
        return len(read.unreadable)

    def note_resumed(self, step: int) -> None:
        """Note the samples that an earlier process has met up to a step."""
        order = self.dataset.order
        for position in range(min(step * order.batch_size, len(order))):
            self.bad.add_earlier(self.dataset.samples[order[position][1]][0])

    def metrics_line(self, step: int, losses: tuple[float, float], **measured: Any) -> MetricsLine:
        """Return the line of metrics.jsonl after a step, with the mean language and distillation loss."""
        language, distillation = losses
        factor = lr_factor(self.stage, self.steps, step - 1)
        distils = self.training.distillation if self.stage.distils else None
        return MetricsLine(
            step=step,
            epoch=self.dataset.order.epoch_after(step),
            loss=language + distils.weight * distillation if distils else language,
            language_loss=language,
            distillation_loss=distillation if distils else None,
            lr={pattern: rate * factor for pattern, rate in self.stage.train.items()},
            **measured,
        )


def trainer_arguments(run: StageRun) -> TrainingArguments:
    """Return the Trainer's arguments. Everything that it offers and this training has no use for is off.

    Raises:
        SpecError: several processes with the engine `single`.
        UserError: the environment does not say what a launcher says.
        PluginError: the engine's package is not installed.
    """
    stage, training = run.stage, run.training
    engine = training.engine
    if engine.type == "single" and world_size() > 1:
        raise SpecError(
            f"training.engine: `single` runs in one process, but the launcher has started {world_size()}; "
            "use `{type: deepspeed}`, or start vlmkit without a launcher"
        )
    check_launcher()
    if engine.type == "deepspeed":
        set_single_process_defaults()
    if not torch.cuda.is_available():
        # Accelerate imports DeepSpeed where it is installed, which then talks about what it does not find.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    arguments = TrainingArguments(
        output_dir=str(run.folder),
        max_steps=run.steps,
        per_device_train_batch_size=run.sizes.micro,
        gradient_accumulation_steps=run.sizes.accumulate,
        max_grad_norm=stage.max_grad_norm or 0.0,
        bf16=training.precision == "bfloat16" and not autocasts(training),
        use_cpu=not torch.cuda.is_available(),
        seed=run.seed,
        logging_steps=training.log_every,
        logging_nan_inf_filter=False,  # looking at the loss of every step would wait for the device
        save_strategy="steps",
        save_steps=stage.save_every or max(1, round(run.steps / 10)),
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        deepspeed=deepspeed_config(engine, stage, training) if engine.type == "deepspeed" else None,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # one process uses one device; several need an engine that says so
    return arguments


def autocasts(training: TrainingSpec) -> bool:
    """Return whether the trainer has to convert to bfloat16 itself, with weights in float32.

    ZeRO 1 and 2 train a float32 copy of bfloat16 weights. Without ZeRO, DeepSpeed would have bfloat16 weights alone,
    in which small updates are lost.
    """
    engine = training.engine
    return training.precision == "bfloat16" and engine.type == "deepspeed" and engine.zero == 0


def deepspeed_config(engine: EngineSpec, stage: StageSpec, training: TrainingSpec) -> dict[str, Any]:
    """Return the configuration of DeepSpeed: ZeRO with the optimizer that vlmkit makes."""
    if find_spec("deepspeed") is None:
        raise PluginError("training.engine: DeepSpeed is not installed; pip install 'vlmkit[deepspeed]'")
    if not torch.cuda.is_available():
        import deepspeed.ops

        # Without this the first start compiles a C++ extension.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    # What accelerate and torch say of each other here is none of the user's business.
    logging.getLogger("accelerate.accelerator").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "`torch.distributed.all_gather_into_tensor` is deprecated", FutureWarning)
    return {
        "zero_optimization": {"stage": engine.zero},
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": training.precision == "bfloat16" and not autocasts(training)},
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "train_batch_size": "auto",
        "gradient_clipping": stage.max_grad_norm or 0.0,  # what is missing here, accelerate takes for 1.0
    }
