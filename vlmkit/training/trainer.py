"""One stage in transformers' Trainer: our data order, our losses, our optimizer groups, checkpoints that are whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback, TrainerState

from vlmkit.data import BadSamples
from vlmkit.errors import RunError
from vlmkit.files import PARTIAL_SUFFIX, move_into_place, saving_weights
from vlmkit.model.finite import misfits
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.runtime import WorkerContext, rank, world_size
from vlmkit.spec.experiment import StageSpec, TrainingSpec
from vlmkit.training.batch import Collator, MicroBatch, StageItems
from vlmkit.training.checkpoint import (
    WEIGHTS,
    checkpoint_name,
    checkpoint_step,
    clean,
    intact,
    load_weights,
    save_weights,
    seal,
    stage_state,
    unseal,
)
from vlmkit.training.engine import Schedule, autocasts, trainer_arguments
from vlmkit.training.metrics import LossSums, MetricsFile, StageProgress
from vlmkit.training.objective import Objective, Totals
from vlmkit.training.optimizer import StageAdamW, factor, idle_patterns, make_optimizer, make_scheduler
from vlmkit.training.order import MicroBatches
from vlmkit.training.ranks import Found, Pass, exchange, in_turn, reduce_in_order
from vlmkit.training.statistics import RunningStatistics, share_buffers
from vlmkit.training.together import everywhere, gather

__all__ = ["StageRun", "StageTrainer"]

_WORKER_TIMEOUT = 600.0
"""Seconds after which a worker that gives nothing counts as stuck."""


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
    items: StageItems
    collator: Collator
    bad: BadSamples
    schedule: Schedule

    @property
    def folder(self) -> Path:
        """Where its checkpoints and metrics lie."""
        return self.run.stage(self.number, self.stage.name)


class StageTrainer(Trainer):
    """Trains one stage. `train(resume_from_checkpoint=…)` goes on exactly where the checkpoint was written."""

    def __init__(self, stage_run: StageRun, objective: Objective) -> None:
        self.stage_run = stage_run
        self.started = time.monotonic()
        self.progress: StageProgress | None = None
        self.statistics: RunningStatistics | None = None
        self.workers = WorkerContext()
        self.optimizer: torch.optim.Optimizer | None
        self.adamw: StageAdamW | None = None
        self.lr_scheduler: LambdaLR | None
        arguments = trainer_arguments(
            stage_run.folder, stage_run.stage, stage_run.training, stage_run.schedule, stage_run.seed
        )
        self.sums = LossSums(arguments.device)
        self.metrics = MetricsFile(stage_run.folder / "metrics.jsonl")
        self.mark: dict[str, Any] | None = None
        """What metrics.jsonl held at the checkpoint that the stage goes on from."""
        super().__init__(model=objective, args=arguments, train_dataset=stage_run.items, callbacks=[_Flow(self)])
        self.remove_callback(PrinterCallback)
        objective.move_teacher(arguments.device)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As the Trainer; a UserError where workers cannot start for want of a guard in the script."""
        with self.workers.watched():
            return super().train(*args, **kwargs)

    def close(self) -> None:
        """The stage is over, well or not."""
        if self.progress is not None:
            self.progress.close()
        if self.is_deepspeed_enabled and self.model_wrapped is not self.model:
            self.model_wrapped.destroy()  # otherwise its hooks on the parameters go on in the next stage
        self.optimizer = self.adamw = self.lr_scheduler = None

    # Data

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Micro-batches of this process; the Trainer skips those before a checkpoint without reading them."""
        run, workers = self.stage_run, self.stage_run.training.workers
        options: dict[str, Any] = {}
        if workers:
            options = {"timeout": _WORKER_TIMEOUT, "multiprocessing_context": self.workers}
        return DataLoader[Any](
            run.items,  # type: ignore[arg-type]  # a sequence will do
            batch_sampler=MicroBatches(run.items.order, run.schedule.micro, rank(), world_size()),
            collate_fn=run.collator,
            num_workers=workers,
            **options,
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[MicroBatch], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, MicroBatch]], Totals]:
        """The micro-batches of one optimizer step, and what they hold together."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        # Several processes wait for each other here anyway: what the step before found out is told along.
        everyone = exchange(Found.of(batches, broken=world_size() > 1 and bool(self.sums.broken)))
        self.sums.check(any(found.broken for found in everyone))
        with everywhere():
            for each in in_turn(everyone):
                self._note(each)
        samples = any(each.good for found in everyone for each in found.passes)
        videos = any(found.videos for found in everyone)
        assert self.adamw is not None
        self.adamw.idle = idle_patterns(self.stage_run.stage) if samples and not videos else frozenset()
        tokens, frames = sum(found.tokens for found in everyone), sum(found.frames for found in everyone)
        return [{"batch": batch} for batch in batches], Totals(tokens, frames, world_size())

    def _note(self, read: Pass) -> None:
        """What was read for one forward pass, by whichever process."""
        if read.error is not None:
            raise read.error
        for sample in read.good:
            self.stage_run.bad.good(sample)
        for bad in read.bad:
            self.stage_run.bad.record(bad.id, bad.video, bad.reason)
        self.sums.skipped += len(read.bad)

    # Steps

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """This micro-batch's share of the step's loss."""
        objective: Objective = self.model
        batch: MicroBatch = inputs["batch"]
        if not batch.text:
            self._passed()
            return objective.nothing()
        # DeepSpeed keeps the model itself in bfloat16, where otherwise autocast converts.
        dtype = next(objective.model.aligner.parameters()).dtype if self.is_deepspeed_enabled else None
        device = self.args.device
        with torch.autocast(device.type, torch.bfloat16, enabled=autocasts(self.stage_run.training)):
            losses = model(batch.to(device, dtype), num_items_in_batch)
        self._passed()
        self.sums.add(losses.language, losses.distillation, batch.good, self.state.global_step + 1)
        return objective.total(losses)

    def _passed(self) -> None:
        if self.statistics is not None:
            self.statistics.passed()

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """Only where it is written down, or known anyway from clipping. On the CPU it is looked at before the step."""
        step = self.state.global_step + 1
        if grad_norm is None and self.logs_at(step):
            grad_norm = self._norm()
        if grad_norm is not None and self.args.device.type == "cpu":
            self.sums.refuse_norm(float(grad_norm), step)
        return grad_norm

    def _norm(self) -> Any:
        if self.is_deepspeed_enabled:
            return self.model_wrapped.get_global_grad_norm()
        gradients = [p.grad for members in self.stage_run.trained.values() for p in members if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients, foreach=True)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """A group for each part."""
        if self.optimizer is None:
            self.optimizer = self.adamw = make_optimizer(self.stage_run.stage, self.stage_run.trained)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The stage's schedule, for all groups alike."""
        if self.lr_scheduler is None:
            used = optimizer or self.optimizer
            assert used is not None
            self.lr_scheduler = make_scheduler(self.stage_run.stage, num_training_steps, used)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def logs_at(self, step: int) -> bool:
        """Whether metrics.jsonl has a line for this step."""
        return step % self.stage_run.training.log_every == 0 or step == self.stage_run.schedule.steps

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """A line of metrics.jsonl. The Trainer's own summary at the end is left out."""
        if "loss" not in logs:
            return
        run, step = self.stage_run, self.state.global_step
        steps = max(1, self.sums.steps)
        if (norm := logs.get("grad_norm")) is not None:
            self.sums.refuse_norm(norm, step)
        language, distillation = self.sums.take()
        now = time.monotonic()
        metrics: dict[str, Any] = {"step": step, "epoch": run.items.order.epoch_after(step), "loss": language}
        metrics["language_loss"] = language
        if run.stage.distils:
            assert run.training.distillation is not None
            metrics["loss"] = language + run.training.distillation.weight * distillation
            metrics["distillation_loss"] = distillation
        moved = factor(run.stage, run.schedule.steps, step - 1)
        metrics["lr"] = {pattern: rate * moved for pattern, rate in run.stage.train.items()}
        if norm is not None:
            metrics["grad_norm"] = float(norm)
        metrics["seconds_per_step"] = (now - self.started) / steps
        metrics["samples_skipped"] = self.sums.skipped
        self.started = now
        self.report(metrics)

    def report(self, metrics: dict[str, Any]) -> None:
        """To the file, the terminal and the plugins."""
        if rank():
            return
        run = self.stage_run
        self.metrics.append(metrics)
        if self.progress is not None:
            self.progress.show(metrics)
        flat = {name: value for name, value in metrics.items() if name != "lr"}
        flat |= {f"lr/{pattern}": rate for pattern, rate in metrics["lr"].items()}
        event = {"run": run.run.path, "stage": run.stage.name, "step": metrics["step"], "metrics": flat}
        registry().tell("vlmkit_step_ended", **event)

    # Checkpoints

    def _get_output_dir(self, trial: Any) -> str:
        """The Trainer writes a checkpoint here, hidden; it gets its place when it is whole."""
        return str(self.stage_run.folder / PARTIAL_SUFFIX)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run, folder = self.stage_run, self.stage_run.folder
        self.accelerator.wait_for_everyone()
        if world_size() > 1:
            share_buffers(self.model)  # all go on with what a resumed training would find
        losses = self.sums.state()
        self.check_weights()
        with saving_weights(folder):
            super()._save_checkpoint(model, trial)
        state = {"run": run.identity, "stage": folder.name, **losses, "processes": world_size()}
        state["metrics"] = self.metrics.mark()
        self.accelerator.wait_for_everyone()
        name = checkpoint_name(self.state.global_step)
        seal(folder / PARTIAL_SUFFIX / name, state)
        if not rank():
            run.bad.flush()
            move_into_place(folder / PARTIAL_SUFFIX / name, folder / name)
            clean(folder, keep=folder / name)
        self.accelerator.wait_for_everyone()

    def check_weights(self) -> None:
        """Raise a RunError, in all processes, where a trained weight is not a finite number."""
        trained = {name: value.detach() for name, value in self.model.named_parameters() if value.requires_grad}
        said = next(filter(None, gather(misfits(trained))), "")
        if said:
            with everywhere():
                raise RunError(
                    f"{self.stage_run.folder}: after step {self.state.global_step} {said}; nothing of it was saved: "
                    "lower the learning rates or set max_grad_norm, and give the changed spec another name"
                )

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """What the stage changes. DeepSpeed's engine writes the weights itself."""
        if not self.args.should_save or output_dir is None:
            return
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        if not self.is_deepspeed_enabled:
            objective: Objective = self.model
            save_weights(stage_state(objective.model, objective.distillation), folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        objective: Objective = self.model
        load_weights(Path(resume_from_checkpoint) / WEIGHTS, objective.model, objective.distillation)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with intact(Path(checkpoint or "", "optimizer.pt or scheduler.pt")):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with intact(Path(checkpoint or "", f"rng_state_{rank()}.pth" if world_size() > 1 else "rng_state.pth")):
            super()._load_rng_state(checkpoint)

    def restore(self, checkpoint: Path) -> None:
        """Our own state, and which samples the stage has met already.

        Raises:
            CheckpointError: it is damaged.
            RunError: it is of another number of processes.
        """
        state = unseal(checkpoint, self.stage_run.identity, self.stage_run.folder.name)
        before, now = state.get("processes", 1), world_size()
        if before != now:
            raise RunError(
                f"{checkpoint}: this stage was begun by {_count(before)} and cannot be continued by {_count(now)}; "
                f"start as many as before, or remove the folder {self.stage_run.folder} to train the stage anew"
            )
        self.sums.restore(state)
        self.mark = state["metrics"]
        with intact(checkpoint / TRAINER_STATE_NAME):
            TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        step = checkpoint_step(checkpoint)
        items = self.stage_run.items
        for position in range(min(step * items.order.batch_size, len(items))):
            self.stage_run.bad.again(items.samples[items.order[position][1]][0])


def _count(world_size: int) -> str:
    return f"{world_size} process" if world_size == 1 else f"{world_size} processes"


class _Flow(TrainerCallback):
    """What happens after each step besides what the Trainer's own flow decides."""

    def __init__(self, trainer: StageTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The bar; and DeepSpeed's optimizer is there."""
        trainer = self.trainer
        if trainer.is_deepspeed_enabled:
            reduce_in_order(trainer.model_wrapped.optimizer, trainer.model.parameters())
        if world_size() > 1:
            share_buffers(trainer.model)
            trainer.statistics = RunningStatistics(trainer.model)
        trainer.started = time.monotonic()
        run = trainer.stage_run
        if not rank():
            title = f"stage {run.number}, {run.stage.name}"
            trainer.progress = StageProgress(title, run.schedule.steps, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The last step is logged always, and not saved: the stage's final weights follow."""
        self.trainer.sums.steps += 1
        if self.trainer.statistics is not None:
            self.trainer.statistics.settle()
        if self.trainer.progress is not None:
            self.trainer.progress.advance()
        control.should_log = self.trainer.logs_at(state.global_step)
        if state.global_step >= state.max_steps:
            control.should_save = False
