"""Trainer's arguments, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vlmkit.errors import PluginError, SpecError
from vlmkit.spec.experiment import StageSpec, TrainingSpec
from vlmkit.training import arguments
from vlmkit.training.arguments import BatchSizes, StageRun, autocasts, deepspeed_config, trainer_arguments


def training(stage: dict[str, Any], **options: Any) -> tuple[StageSpec, TrainingSpec]:
    defaults = {"name": "a", "data": [{"type": "moving-shapes"}], "train": {"aligner": 1.0}, "steps": 40}
    spec = TrainingSpec.model_validate({"stages": [defaults | stage], **options})
    return spec.stages[0], spec


def run_of(stage: StageSpec, spec: TrainingSpec, folder: Path) -> StageRun:
    """As much of a stage's run as the Trainer's arguments are made of."""
    known: Any = {"stage": stage, "training": spec, "seed": 5, "folder": folder, "steps": 40}
    run: Any = SimpleNamespace(**known, sizes=BatchSizes.of(stage))
    return run  # type: ignore[no-any-return]


def test_micro_batches_accumulate_to_the_batch(tmp_path: Path) -> None:
    stage, spec = training({"batch_size": 12, "micro_batch_size": 3}, log_every=7)
    arguments = trainer_arguments(run_of(stage, spec, tmp_path))
    assert arguments.per_device_train_batch_size == 3
    assert arguments.gradient_accumulation_steps == 4
    assert (arguments.max_steps, arguments.save_steps, arguments.logging_steps, arguments.seed) == (40, 4, 7, 5)


@pytest.mark.parametrize(("norm", "clipped"), [(None, 0), (0.5, 0.5)])
def test_gradients_are_clipped_where_the_stage_says_so(tmp_path: Path, norm: float | None, clipped: float) -> None:
    stage, spec = training({"max_grad_norm": norm})
    assert trainer_arguments(run_of(stage, spec, tmp_path)).max_grad_norm == clipped
    assert deepspeed_config(spec.engine, stage, spec)["gradient_clipping"] == clipped


def test_a_batch_that_the_processes_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SpecError, match=r"a\.batch_size: expected a multiple of 2 samples x 4 processes, found 12"):
        BatchSizes.of(training({"batch_size": 12, "micro_batch_size": 2})[0])
    assert BatchSizes.of(training({"batch_size": 16, "micro_batch_size": 2})[0]).accumulate == 2


def test_one_process_is_what_single_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    stage, spec = training({})
    with pytest.raises(SpecError, match=r"the launcher has started 2; use `\{type: deepspeed\}`"):
        trainer_arguments(run_of(stage, spec, tmp_path))


def test_a_missing_deepspeed_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, spec = training({}, engine={"type": "deepspeed"})
    monkeypatch.setattr(arguments, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install 'vlmkit\[deepspeed\]'"):
        deepspeed_config(spec.engine, stage, spec)


@pytest.mark.parametrize("zero", [0, 1, 2])
def test_small_updates_are_not_lost_in_bfloat16(zero: int) -> None:
    """ZeRO has a float32 copy of what trains; without it the weights themselves stay in float32."""
    stage, spec = training({}, engine={"type": "deepspeed", "zero": zero}, precision="bfloat16")
    assert deepspeed_config(spec.engine, stage, spec)["bf16"]["enabled"] is not autocasts(spec)
    assert autocasts(spec) is (zero == 0)
