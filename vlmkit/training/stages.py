"""All stages of an experiment, each resumable: what was finished is not repeated, what was interrupted goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from vlmkit.api.dataset import Dataset
from vlmkit.api.modules import Teacher
from vlmkit.api.video import VideoInput
from vlmkit.data import BadSamples
from vlmkit.errors import CheckpointError, DataError, RunError, SpecError
from vlmkit.files import atomic_folder, is_file, saving_weights
from vlmkit.json_files import read_record, write_record
from vlmkit.manifest import write_manifest
from vlmkit.model.compose import compose
from vlmkit.model.finite import misfits, parameters_of
from vlmkit.model.load import load_head, without_bars
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.videolm import VideoLM
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.runtime import rank
from vlmkit.spec.experiment import ExperimentSpec, StageSpec, TrainingSpec
from vlmkit.spec.identity import identity
from vlmkit.training.batch import Collator, Samples, StageItems, Videos, check_sendable
from vlmkit.training.checkpoint import (
    WEIGHTS,
    check_finished,
    clean,
    finish,
    finished,
    latest,
    load_weights,
    save_weights,
    stage_state,
)
from vlmkit.training.engine import Schedule
from vlmkit.training.objective import Distillation, Objective, build_head
from vlmkit.training.order import Order
from vlmkit.training.origins import check_origins, note_origins
from vlmkit.training.parts import assign, freeze, named_parameters
from vlmkit.training.plan import plan
from vlmkit.training.precision import Precision
from vlmkit.training.recompute import recompute_activations
from vlmkit.training.together import everywhere
from vlmkit.training.trainer import StageRun, StageTrainer

__all__ = ["train"]


def train(spec: ExperimentSpec, run: RunFolder) -> None:
    """Train all stages and write the model into `run.model`.

    Called again after an interruption it continues at the last checkpoint, with the same result as without one. Where
    the model is there already, nothing happens.

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
    with without_bars(), run.locked() if not rank() else nullcontext():
        check_origins(spec, run)
        _Training(spec, spec.training, run).stages()


class _Training:
    """The model on its way through the stages."""

    def __init__(self, spec: ExperimentSpec, training: TrainingSpec, run: RunFolder) -> None:
        planned = plan(spec)  # refuses patterns that match nothing before any weight loads
        self.spec, self.training, self.run = spec, training, run
        self.identity = identity(spec)
        self.videos: Videos | None = None
        self.datasets: dict[str, Dataset] = {}
        self.model: VideoLM
        self.processor: VideoLMProcessor
        self.model, self.processor = compose(spec.model, seed=spec.seed, reader=spec.data.reader)
        with torch.random.fork_rng():
            torch.manual_seed(spec.seed)
            self.head = build_head(spec)
        if self.head is not None and spec.model.weights is not None:
            load_head(spec.model.weights, self.head)
        self.named = named_parameters(self.model, self.head)
        trained = [self.named[name] for name in planned.trained]
        self.precision = Precision(self.model, trained, training.precision)
        self.teacher: Teacher | None = None

    def stages(self) -> None:
        """Every stage, then the model."""
        for number, stage in enumerate(self.training.stages, 1):
            if not finished(self.run.stage(number, stage.name)):
                self._samples(stage)  # what a later stage lacks should stop the run now, not after hours
        if not rank():
            note_origins(self.spec, self.run)
        for number, stage in enumerate(self.training.stages, 1):
            folder = self.run.stage(number, stage.name)
            if finished(folder):
                check_finished(folder, self.identity)
                load_weights(folder / WEIGHTS, self.model, self.head)
                if not rank():
                    clean(folder, keep=None)
                    print(f"stage {number}, {stage.name}: done before", file=sys.stderr)
                continue
            self._stage(number, stage, folder)
        if not rank():
            self._save_model()

    def _stage(self, number: int, stage: StageSpec, folder: Path) -> None:
        samples = self._samples(stage)
        if not rank():
            folder.mkdir(parents=True, exist_ok=True)
            _check_data(folder, stage, samples)
        stage_run = self._stage_run(number, stage, samples)
        trained = [p for members in stage_run.trained.values() for p in members]
        still = freeze([self.model, *([self.head] if self.head is not None else [])], trained)
        recompute_activations(self.model.backbone, stage.gradient_checkpointing)
        objective = Objective(self.model, self._distillation(stage), still)
        checkpoint = latest(folder)
        trainer = StageTrainer(stage_run, objective)
        if checkpoint:
            trainer.restore(checkpoint)
        if not rank():
            clean(folder, keep=checkpoint)
            trainer.metrics.restore(trainer.mark)
            options = stage.model_dump(mode="json")
            registry().tell("vlmkit_stage_started", run=self.run.path, stage=stage.name, config=options)
        started = time.monotonic()
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        finally:
            trainer.close()
        with everywhere():
            stage_run.bad.finish()
        trainer.check_weights()
        self.model.to("cpu")
        if self.head is not None:
            self.head.to("cpu")
        if not rank():
            save_weights(stage_state(self.model, objective.distillation), folder / WEIGHTS)
            done = {
                "run": self.identity,
                "stage": folder.name,
                "steps": stage_run.schedule.steps,
                "samples": len(samples),
                "samples_skipped": trainer.sums.skipped,
                "seconds_since_resumed": time.monotonic() - started,
            }
            finish(folder, done)
            clean(folder, keep=None)
            registry().tell("vlmkit_stage_ended", run=self.run.path, stage=stage.name)

    def _samples(self, stage: StageSpec) -> Samples:
        """The stage's data. Stages that name the same dataset share it."""
        for spec in stage.data:
            if (key := spec.model_dump_json()) not in self.datasets:
                self.datasets[key] = spec.build()
                if self.training.workers:
                    check_sendable(self.datasets[key], self.spec.data.reader, self.spec.model.aligner)
        samples = Samples([self.datasets[spec.model_dump_json()] for spec in stage.data])
        if not len(samples):
            raise DataError(f"stage {stage.name}: its datasets hold no samples")
        return samples

    def _stage_run(self, number: int, stage: StageSpec, samples: Samples) -> StageRun:
        order = Order.of(stage, len(samples), self.spec.seed, number)
        inputs = self._inputs(stage)
        if self.videos is None or not self.videos.serves(inputs):
            workers = max(1, self.training.workers)
            self.videos = Videos(self.spec.data.reader, inputs, self.spec.data.cache_mib * 2**20 // workers)
        trained = {pattern: [self.named[n] for n in names] for pattern, names in assign(stage, self.named).items()}
        where, folder = f"stages/{number}-{stage.name}", self.run.stage(number, stage.name)
        anew = f" and remove the folder {folder} to train the stage anew"
        return StageRun(
            run=self.run,
            identity=self.identity,
            number=number,
            stage=stage,
            training=self.training,
            seed=int(np.random.SeedSequence([self.spec.seed, number]).generate_state(1)[0]),
            trained=trained,
            items=StageItems(order, samples, self.videos, stage.flip),
            collator=Collator(self.processor, inputs["aligner"], inputs.get("teacher"), stage.max_length),
            bad=BadSamples(self.run.bad_samples, self.spec.data.max_bad_fraction, where, anew, writes=not rank()),
            schedule=Schedule(stage, order.steps),
        )

    def _inputs(self, stage: StageSpec) -> Mapping[str, VideoInput]:
        """What the aligner wants to see, and the teacher where the stage distils: the same frames."""
        own = self.spec.model.aligner.input
        if not stage.distils:
            return {"aligner": own}
        assert self.training.distillation is not None
        frames = {"frames": own.frames, "sampling": own.sampling}
        return {"aligner": own, "teacher": self.training.distillation.teacher.input.model_copy(update=frames)}

    def _distillation(self, stage: StageSpec) -> Distillation | None:
        if not stage.distils:
            return None
        spec = self.training.distillation
        assert spec is not None
        assert self.head is not None
        if self.teacher is None:
            with torch.random.fork_rng():
                torch.manual_seed(self.spec.seed)
                self.teacher = spec.teacher.build()
                self.teacher.load_pretrained()
            self.teacher.requires_grad_(False).eval()
        return Distillation(spec, self.head, self.teacher)

    def _save_model(self) -> None:
        self.precision.restore()
        if said := misfits(parameters_of(self.model)):  # what float32 holds may be too large for the model's own type
            raise RunError(
                f"{self.run.model}: not written: {said}; name a backbone.dtype that holds them, and another name"
            )
        self.model.eval()
        with saving_weights(self.run.model), atomic_folder(self.run.model) as folder:
            self.model.save_pretrained(folder)
            self.processor.save_pretrained(folder)
            write_manifest(folder, {"run": self.identity})


class _Data(BaseModel):
    type: str
    samples: int
    fingerprint: str


def _check_data(folder: Path, stage: StageSpec, samples: Samples) -> None:
    """A continued stage must find the data that it began with: its positions count on it."""
    now: list[dict[str, Any]] = [
        {"type": spec.type, "samples": len(dataset), "fingerprint": dataset.fingerprint()}
        for spec, dataset in zip(stage.data, samples.datasets, strict=True)
    ]
    file = folder / "data.json"
    if not file.is_file():
        write_record(file, now)
        return
    remedy = f"remove the folder {folder} to train the stage anew, or the file if the data is as it was"
    before = read_record(file, list[_Data], remedy)
    if len(before) != len(now):
        raise RunError(f"{file}: expected {len(now)} datasets, found {len(before)}; {remedy}")
    for index, (old, new) in enumerate(zip(before, now, strict=True)):
        if old != new:
            raise RunError(
                f"stage {stage.name}: dataset {index} ({new['type']}) has changed since this stage began: it held "
                f"{old['samples']} samples with fingerprint {old['fingerprint'][:12]}, now {new['samples']} with "
                f"{new['fingerprint'][:12]}; restore the data, or train anew under another name"
            )
