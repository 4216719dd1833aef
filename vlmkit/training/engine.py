"""The arguments of transformers' Trainer for one stage: one process, or DeepSpeed under a launcher."""

from __future__ import annotations

import logging
import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from vlmkit.errors import PluginError, SpecError
from vlmkit.runtime import check_launcher, set_single_process_defaults, world_size
from vlmkit.spec.experiment import EngineSpec, StageSpec, TrainingSpec

__all__ = ["Schedule", "autocasts", "deepspeed_config", "trainer_arguments"]


class Schedule:
    """How the steps of a stage are divided among forward passes, and when checkpoints are written."""

    def __init__(self, stage: StageSpec, steps: int) -> None:
        """A SpecError where the batch does not divide among the processes."""
        count = world_size()
        self.micro = stage.micro_batch_size or max(1, stage.batch_size // count)
        self.accumulate, rest = divmod(stage.batch_size, self.micro * count)
        if rest:
            where = f"training.stages.{stage.name}.batch_size"
            raise SpecError(
                f"{where}: expected a multiple of {self.micro} samples x {count} processes, found {stage.batch_size}"
            )
        self.steps = steps
        self.save_every = stage.save_every or max(1, round(steps / 10))


def trainer_arguments(
    folder: Path, stage: StageSpec, training: TrainingSpec, schedule: Schedule, seed: int
) -> TrainingArguments:
    """Everything that the Trainer offers and this training has no use for is off.

    Raises:
        SpecError: several processes with the engine `single`.
        UserError: the environment does not say what a launcher says.
        PluginError: the engine's package is not installed.
    """
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
        output_dir=str(folder),
        max_steps=schedule.steps,
        per_device_train_batch_size=schedule.micro,
        gradient_accumulation_steps=schedule.accumulate,
        max_grad_norm=stage.max_grad_norm or 0.0,
        bf16=training.precision == "bfloat16" and not autocasts(training),
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        logging_steps=training.log_every,
        logging_nan_inf_filter=False,  # looking at the loss of every step would wait for the device
        save_strategy="steps",
        save_steps=schedule.save_every,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        deepspeed=deepspeed_config(engine, stage, training) if engine.type == "deepspeed" else None,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one process uses one device; several need an engine that says so
    return arguments


def autocasts(training: TrainingSpec) -> bool:
    """Whether the trainer has to convert to bfloat16 itself, with weights in float32.

    ZeRO 1 and 2 train a float32 copy of bfloat16 weights. Without ZeRO, DeepSpeed would have bfloat16 weights alone,
    in which small updates are lost.
    """
    engine = training.engine
    return training.precision == "bfloat16" and engine.type == "deepspeed" and engine.zero == 0


def deepspeed_config(engine: EngineSpec, stage: StageSpec, training: TrainingSpec) -> dict[str, Any]:
    """ZeRO with the optimizer that vlmkit makes."""
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
