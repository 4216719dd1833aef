"""All stages of an experiment, each resumable: what was finished is not repeated, what was interrupted goes on."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from vlmkit.api.canvas import Canvas
from vlmkit.api.dataset import Dataset
from vlmkit.api.modules import Teacher
from vlmkit.data import BadSamples, VideoLoader
from vlmkit.errors import CheckpointError, DataError, RunError, SpecError
from vlmkit.files import atomic_folder, is_file, saving_weights
from vlmkit.json_files import write_record
from vlmkit.manifest import write_manifest
from vlmkit.model.compose import compose
from vlmkit.model.pretrained import load_head, nonfinite_weights, without_progress_bars
from vlmkit.run_folder import RunFolder
from vlmkit.runtime import rank
from vlmkit.spec.experiment import ExperimentSpec, StageSpec, TrainingSpec
from vlmkit.spec.identity import identity
from vlmkit.training.activation_checkpointing import set_activation_checkpointing
from vlmkit.training.arguments import BatchSizes, StageRun
from vlmkit.training.checkpoint import (
    WEIGHTS,
    DatasetRecord,
    check_components,
    check_data,
    check_finished,
    is_finished,
    latest_checkpoint,
    measure_stage,
    note_components,
    remove_leftovers,
)
from vlmkit.training.collate import Collator, StageDataset, StageSamples, check_picklable
from vlmkit.training.distributed import raised_by_all
from vlmkit.training.loss import ModelWithLoss, StageDistillation, build_distillation_head
from vlmkit.training.metrics import STAGE_RECORD, StageRecord
from vlmkit.training.sample_order import SampleOrder
from vlmkit.training.trainable import (
    TrainingPrecision,
    freeze,
    load_weights,
    named_parameters,
    save_weights,
    stage_weights,
)
from vlmkit.training.trainer import StageTrainer
from vlmkit.training.training_plan import TrainingPlan, plan_training

__all__ = ["train"]


def train(spec: ExperimentSpec, run: RunFolder, plan: TrainingPlan | None = None) -> None:
    """Train all stages and write the model into `run.model`.

    Called again after an interruption it continues at the last checkpoint, with the same result as without one. Where
    the model is there already, nothing happens.

    Args:
        spec: with `training`.
        run: where everything lies.
        plan: what `plan_training` says of the spec, where it was asked already.

    Raises:
        SpecError: keys of a `train` match no parameter.
        DataError: data is missing, or more samples are unreadable than `data.max_bad_fraction` allows.
        RunError: another process works on the run, its data has changed, a file of it is malformed or damaged, or a
            loss, the gradients or a trained weight are not finite numbers.
        CheckpointError: a checkpoint, a finished stage or the finished model is damaged, or another run's.
    """
    if spec.training is None:
        raise SpecError(f"{spec.name}: this spec has no `training`, so there is nothing to train")
    if run.model.is_dir():
        run.check_model(spec)
        if not (is_file(run.model / "config.json") and any(run.model.glob("*.safetensors"))):
            raise CheckpointError(
                f"{run.model}: expected the trained model, config.json and *.safetensors, which it lacks; remove "
                "the folder, and `vlmkit train` writes it again"
            )
        return
    with without_progress_bars(), run.locked() if not rank() else nullcontext():
        check_components(spec, run)
        # Patterns that match nothing are refused here, before any weight loads.
        _StageLoop(spec, spec.training, run, plan or plan_training(spec)).run_stages()


class _StageLoop:
    """Takes the model through the stages."""

    def __init__(self, spec: ExperimentSpec, training: TrainingSpec, run: RunFolder, plan: TrainingPlan) -> None:
        self.spec, self.training, self.run, self.plan = spec, training, run, plan
        self.identity = identity(spec)
        self.videos: VideoLoader | None = None
        self.datasets: dict[str, Dataset] = {}
        self.model, self.processor = compose(spec.model, seed=spec.seed, reader=spec.data.reader, on_meta=plan.model)
        with torch.random.fork_rng():
            torch.manual_seed(spec.seed)
            self.head = build_distillation_head(spec)
        if self.head is not None and spec.model.weights is not None:
            load_head(spec.model.weights, self.head)
        self.named = named_parameters(self.model, self.head)
        self.precision = TrainingPrecision(self.model, map(self.named.__getitem__, plan.trained), training.precision)
        self.teacher: Teacher | None = None

    def run_stages(self) -> None:
        """Train every stage that is not done, then write the model."""
        for number, stage in enumerate(self.training.stages, 1):
            if not is_finished(self.run.stage(number, stage.name)):
                self._samples(stage)  # what a later stage lacks should stop the run now, not after hours
        if not rank():
            note_components(self.spec, self.run)
        for number, stage in enumerate(self.training.stages, 1):
            folder = self.run.stage(number, stage.name)
            if is_finished(folder):
                check_finished(folder, self.identity)
                load_weights(folder / WEIGHTS, self.model, self.head)
                if not rank():
                    remove_leftovers(folder, keep=None)
                    print(f"stage {number}, {stage.name}: done before", file=sys.stderr)
                continue
            self._train_stage(number, stage, folder)
        if not rank():
            self._save_model()

    def _train_stage(self, number: int, stage: StageSpec, folder: Path) -> None:
        samples = self._samples(stage)
        if not rank():
            folder.mkdir(parents=True, exist_ok=True)
            records = map(DatasetRecord.of, (spec.type for spec in stage.data), samples.datasets)
            check_data(folder, stage, list(records))
        stage_run = self._stage_run(number, stage, samples)
        trained = [p for members in stage_run.trained.values() for p in members]
        frozen_modules = freeze([self.model, *([self.head] if self.head is not None else [])], trained)
        set_activation_checkpointing(self.model.backbone, stage.gradient_checkpointing, self.model.layers)
        model = ModelWithLoss(self.model, self._distillation(stage), frozen_modules)
        checkpoint = latest_checkpoint(folder)
        trainer = StageTrainer(stage_run, model)
        trainer.restore(checkpoint)
        if not rank():
            remove_leftovers(folder, keep=checkpoint)
            self.run.observers.tell("stage_started", stage=stage.name, options=stage.model_dump(mode="json"))
        with self.run.observers.failing("stage_failed", stage=stage.name):
            self._run_stage(stage_run, trainer, model, checkpoint)
        if not rank():
            self.run.observers.tell("stage_ended", stage=stage.name)

    def _run_stage(
        self, stage_run: StageRun, trainer: StageTrainer, model: ModelWithLoss, checkpoint: Path | None
    ) -> None:
        """Train from the checkpoint on, and write what stays of the stage."""
        folder, started = stage_run.folder, time.monotonic()
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        finally:
            trainer.close()
        with raised_by_all():
            stage_run.bad.finish()
        trainer.check_weights()
        model.to("cpu")
        if not rank():
            save_weights(stage_weights(self.model, model.distillation), folder / WEIGHTS)
            record = StageRecord(
                run=self.identity,
                stage=folder.name,
                steps=stage_run.dataset.order.steps,
                samples=len(stage_run.dataset.samples),
                samples_skipped=trainer.sums.skipped,
                seconds_since_resumed=time.monotonic() - started,
                files=measure_stage(folder),
            )
            write_record(folder / STAGE_RECORD, record.model_dump())
            remove_leftovers(folder, keep=None)

    def _samples(self, stage: StageSpec) -> StageSamples:
        """Return the stage's data. Stages that name the same dataset share it."""
        for spec in stage.data:
            if (key := spec.model_dump_json()) not in self.datasets:
                self.datasets[key] = spec.build()
                if self.training.workers:
                    check_picklable(self.datasets[key], self.spec.data.reader, self.spec.model.aligner)
        samples = StageSamples([self.datasets[spec.model_dump_json()] for spec in stage.data])
        if not len(samples):
            raise DataError(f"stage {stage.name}: its datasets hold no samples")
        return samples

    def _stage_run(self, number: int, stage: StageSpec, samples: StageSamples) -> StageRun:
        order = SampleOrder.of(stage, len(samples), self.spec.seed, number)
        canvases: dict[str, Canvas] = {"aligner": self.spec.model.aligner.input}
        if stage.distils and self.training.distillation is not None:
            canvases["teacher"] = self.training.distillation.teacher.input
        if self.videos is None or not self.videos.has_cache_for(canvases):
            data, cache_bytes = self.spec.data, self.spec.data.cache_mib * 2**20 // max(1, self.training.workers)
            self.videos = VideoLoader(data.reader, self.spec.model.aligner.input, canvases, cache_bytes)
        where, folder = f"stages/{number}-{stage.name}", self.run.stage(number, stage.name)
        anew = f" and remove the folder {folder} to train the stage anew"
        assigned = self.plan.stages[number - 1].assigned
        return StageRun(
            run=self.run,
            identity=self.identity,
            number=number,
            stage=stage,
            training=self.training,
            seed=int(np.random.SeedSequence([self.spec.seed, number]).generate_state(1)[0]),
            trained={pattern: [self.named[name] for name in names] for pattern, names in assigned.items()},
            dataset=StageDataset(order, samples, self.videos, stage.flip),
            collator=Collator(self.processor, canvases["aligner"], canvases.get("teacher"), stage.max_length),
            bad=BadSamples(self.run.bad_samples, self.spec.data.max_bad_fraction, where, anew, writes=not rank()),
            sizes=BatchSizes.of(stage),
        )

    def _distillation(self, stage: StageSpec) -> StageDistillation | None:
        spec = self.training.distillation
        if not stage.distils or spec is None or self.head is None:
            return None
        if self.teacher is None:
            with torch.random.fork_rng():
                torch.manual_seed(self.spec.seed)
                self.teacher = spec.teacher.build()
                self.teacher.load_pretrained()
            self.teacher.requires_grad_(False).eval()
        return StageDistillation(spec, self.head, self.teacher)

    def _save_model(self) -> None:
        self.precision.restore()
        # What float32 holds may be too large for the model's own type.
        if said := nonfinite_weights(self.model.named_parameters()):
            raise RunError(
                f"{self.run.model}: not written: {said}; name a backbone.dtype that holds them, and another name"
            )
        self.model.eval()
        with saving_weights(self.run.model), atomic_folder(self.run.model) as folder:
            self.model.save_pretrained(folder)
            self.processor.save_pretrained(folder)
            write_manifest(folder, {"run": self.identity})
