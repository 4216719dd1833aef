"""One stage in transformers' Trainer: our data order, our losses, our optimizer groups, checkpoints that are whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback, TrainerState

from vlmkit.files import PARTIAL_SUFFIX, move_into_place, saving_weights
from vlmkit.runtime import WorkerContext, rank, world_size
from vlmkit.training.arguments import StageRun, autocasts, trainer_arguments
from vlmkit.training.checkpoint import (
    WEIGHTS,
    checkpoint_name,
    checkpoint_step,
    read_checkpoint_record,
    reading_checkpoint,
    remove_leftovers,
    write_checkpoint_record,
)
from vlmkit.training.collate import MicroBatch
from vlmkit.training.distributed import (
    PassContents,
    RunningStatistics,
    broadcast_buffers,
    gather,
    in_data_order,
    raised_by_all,
    reduce_in_order,
)
from vlmkit.training.loss import LossState, LossSums, ModelWithLoss, StepTotals
from vlmkit.training.lr_schedule import make_lr_scheduler
from vlmkit.training.metrics import METRICS, MetricsFile, StageProgress
from vlmkit.training.optimizer import StageAdamW, idle_patterns, make_optimizer
from vlmkit.training.sample_order import MicroBatchSampler
from vlmkit.training.trainable import check_trained, load_weights, save_weights, stage_weights

__all__ = ["StageTrainer", "StepCallback"]

_WORKER_TIMEOUT = 600.0
"""Seconds after which a worker that gives nothing counts as stuck."""


class StageTrainer(Trainer):
    """Trains one stage. `train(resume_from_checkpoint=…)` goes on exactly where the checkpoint was written."""

    def __init__(self, stage_run: StageRun, model: ModelWithLoss) -> None:
        self.stage_run = stage_run
        self.started = time.monotonic()
        self.progress: StageProgress | None = None
        self.running_statistics: RunningStatistics | None = None
        self.workers = WorkerContext()
        self.optimizer: torch.optim.Optimizer | None
        self.adamw: StageAdamW | None = None
        self.lr_scheduler: LambdaLR | None
        arguments = trainer_arguments(stage_run)
        self.sums = LossSums(arguments.device)
        self.metrics = MetricsFile(stage_run.folder / METRICS)
        super().__init__(model=model, args=arguments, train_dataset=stage_run.dataset, callbacks=[StepCallback(self)])
        self.remove_callback(PrinterCallback)
        model.move_teacher(arguments.device)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as the Trainer; a UserError where workers cannot start for want of a guard in the script."""
        with self.workers.watched():
            return super().train(*args, **kwargs)

    def close(self) -> None:
        """Release what the stage holds, whether it has ended well or not."""
        if self.progress is not None:
            self.progress.close()
        if self.is_deepspeed_enabled and self.model_wrapped is not self.model:
            self.model_wrapped.destroy()  # otherwise its hooks on the parameters go on in the next stage
        self.optimizer = self.adamw = self.lr_scheduler = None

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return this process's micro-batches; the Trainer skips those before a checkpoint without reading them."""
        run, workers = self.stage_run, self.stage_run.training.workers
        return DataLoader[Any](
            run.dataset,  # type: ignore[arg-type]  # a sequence will do
            batch_sampler=MicroBatchSampler(run.dataset.order, run.sizes.micro, rank(), world_size()),
            collate_fn=run.collator,
            num_workers=workers,
            timeout=_WORKER_TIMEOUT if workers else 0,
            multiprocessing_context=self.workers if workers else None,
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[MicroBatch], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, MicroBatch]], StepTotals]:
        """Return the micro-batches of one optimizer step, and what they hold together."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        # Several processes wait for each other here anyway: what the step before found out is told along.
        broken = world_size() > 1 and self.sums.not_finite
        everyone = gather(([PassContents.of(batch) for batch in batches], broken))
        if any(not_finite for _, not_finite in everyone):
            self.sums.raise_not_finite()
        passes = in_data_order(own for own, _ in everyone)
        with raised_by_all():
            for read in passes:
                self.sums.skipped += self.stage_run.note_pass(read)
        no_videos = any(read.loaded for read in passes) and not any(read.videos for read in passes)
        assert self.adamw is not None
        self.adamw.idle = idle_patterns(self.stage_run.stage) if no_videos else frozenset()
        tokens, frames = sum(read.tokens for read in passes), sum(read.frames for read in passes)
        return [{"batch": batch} for batch in batches], StepTotals(tokens, frames, world_size())

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return this micro-batch's share of the step's loss."""
        with_loss: ModelWithLoss = self.model
        batch: MicroBatch = inputs["batch"]
        if batch.text:
            # DeepSpeed keeps the model itself in bfloat16, where otherwise autocast converts.
            dtype = next(with_loss.model.aligner.parameters()).dtype if self.is_deepspeed_enabled else None
            device = self.args.device
            with torch.autocast(device.type, torch.bfloat16, enabled=autocasts(self.stage_run.training)):
                losses = model(batch.to(device, dtype), num_items_in_batch)
            self.sums.add(losses, batch.loaded, self.state.global_step + 1)
            total = with_loss.total(losses)
        else:
            total = with_loss.zero_loss()
        if self.running_statistics is not None:
            self.running_statistics.end_pass()
        return total

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """Return the norm where it is logged, or known from clipping. On the CPU it is checked before the step."""
        step = self.state.global_step + 1
        if grad_norm is None and self.logs_at(step):
            if self.is_deepspeed_enabled:
                grad_norm = self.model_wrapped.get_global_grad_norm()
            else:
                trained = (p for members in self.stage_run.trained.values() for p in members)
                grad_norm = get_total_norm([p.grad for p in trained if p.grad is not None], foreach=True)
        if grad_norm is not None and self.args.device.type == "cpu":
            self.sums.check_norm(float(grad_norm), step)
        return grad_norm

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Make AdamW, with a group for each pattern."""
        if self.optimizer is None:
            self.optimizer = self.adamw = make_optimizer(self.stage_run.stage, self.stage_run.trained)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the stage's schedule, for all groups alike."""
        if self.lr_scheduler is None:
            used = optimizer or self.optimizer
            assert used is not None
            self.lr_scheduler = make_lr_scheduler(self.stage_run.stage, num_training_steps, used)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def logs_at(self, step: int) -> bool:
        """Return whether metrics.jsonl has a line for this step."""
        return step % self.stage_run.training.log_every == 0 or step == self.stage_run.steps

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Write a line of metrics.jsonl. The Trainer's own summary at the end is left out."""
        if "loss" not in logs:
            return
        step, now = self.state.global_step, time.monotonic()
        if (norm := logs.get("grad_norm")) is not None:
            norm = float(norm)
            self.sums.check_norm(norm, step)
        seconds, skipped = (now - self.started) / max(1, self.sums.steps), self.sums.skipped
        self.started = now
        measured = {"grad_norm": norm, "seconds_per_step": seconds, "samples_skipped": skipped}
        line = self.stage_run.metrics_line(step, self.sums.take(), **measured)
        if rank():
            return
        self.metrics.append(line)
        if self.progress is not None:
            self.progress.show(line)
        observers, stage = self.stage_run.run.observers, self.stage_run.stage.name
        observers.tell("step_ended", stage=stage, step=step, metrics=line.flat())

    def _get_output_dir(self, trial: Any) -> str:
        """The Trainer writes a checkpoint here, hidden; it gets its place when it is whole."""
        return str(self.stage_run.folder / PARTIAL_SUFFIX)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run, folder = self.stage_run, self.stage_run.folder
        self.accelerator.wait_for_everyone()
        if world_size() > 1:
            broadcast_buffers(self.model)  # all go on with what a resumed training would find
        sums = self.sums.state()
        self.check_weights()
        with saving_weights(folder):
            super()._save_checkpoint(model, trial)
        mark = self.metrics.mark()
        self.accelerator.wait_for_everyone()
        name = checkpoint_name(self.state.global_step)
        write_checkpoint_record(folder / PARTIAL_SUFFIX / name, run.identity, folder.name, sums, mark)
        if not rank():
            run.bad.flush()
            move_into_place(folder / PARTIAL_SUFFIX / name, folder / name)
            remove_leftovers(folder, keep=folder / name)
        self.accelerator.wait_for_everyone()

    def check_weights(self) -> None:
        """Raise a RunError, in all processes, where a trained weight is not a finite number."""
        check_trained(self.model, f"{self.stage_run.folder}: after step {self.state.global_step}")

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write what the stage changes. DeepSpeed's engine writes the weights itself."""
        if not self.args.should_save or output_dir is None:
            return
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        if not self.is_deepspeed_enabled:
            save_weights(stage_weights(self.model.model, self.model.distillation), folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        load_weights(Path(resume_from_checkpoint) / WEIGHTS, self.model.model, self.model.distillation)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with reading_checkpoint(Path(checkpoint or "", "optimizer.pt or scheduler.pt")):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        name = f"rng_state_{rank()}.pth" if world_size() > 1 else "rng_state.pth"
        with reading_checkpoint(Path(checkpoint or "", name)):
            super()._load_rng_state(checkpoint)

    def restore(self, checkpoint: Path | None) -> None:
        """Take up our own state of a checkpoint, and the samples that the stage has met already; None: begin anew.

        Raises:
            CheckpointError: it is damaged.
            RunError: it is of another number of processes, or metrics.jsonl lacks what it held then.
        """
        record = None
        if checkpoint is not None:
            record = read_checkpoint_record(checkpoint, self.stage_run.identity, self.stage_run.folder.name)
            self.sums.restore(LossState(record.sums, record.steps, record.skipped))
            with reading_checkpoint(checkpoint / TRAINER_STATE_NAME):
                TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            self.stage_run.note_resumed(checkpoint_step(checkpoint))
        if not rank():
            self.metrics.restore(record.metrics if record else None)


class StepCallback(TrainerCallback):
    """Acts at the beginning of training and after each optimizer step."""

    def __init__(self, trainer: StageTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the progress bar, and prepare several processes: DeepSpeed's optimizer exists from here on."""
        trainer = self.trainer
        if trainer.is_deepspeed_enabled:
            reduce_in_order(trainer.model_wrapped.optimizer, trainer.model.parameters())
        if world_size() > 1:
            broadcast_buffers(trainer.model)
            trainer.running_statistics = RunningStatistics(trainer.model)
        trainer.started = time.monotonic()
        run = trainer.stage_run
        if not rank():
            trainer.progress = StageProgress(f"stage {run.number}, {run.stage.name}", run.steps, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log the last step always, and do not save it: the stage's final weights follow."""
        self.trainer.sums.steps += 1
        if self.trainer.running_statistics is not None:
            self.trainer.running_statistics.end_step()
        if self.trainer.progress is not None:
            self.trainer.progress.advance()
        control.should_log = self.trainer.logs_at(state.global_step)
        if state.global_step >= state.max_steps:
            control.should_save = False
