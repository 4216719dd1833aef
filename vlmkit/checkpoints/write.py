"""The checkpoint that is made of published weights, written group by group."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from vlmkit.checkpoints.mapping import ImportPlan, ReleasedTensor
from vlmkit.checkpoints.source import open_shard
from vlmkit.checkpoints.target import Target
from vlmkit.model.distillation import DISTILLATION
from vlmkit.model.videolm import build_aligner
from vlmkit.spec.experiment import ExperimentSpec

__all__ = ["write_config", "write_distillation", "write_weights"]

Progress = Callable[[str], None]


def write_weights(
    plan: ImportPlan, target: Target, spec: ExperimentSpec, folder: Path, group_bytes: int, progress: Progress
) -> None:
    """The model's weights as safetensors of at most `group_bytes` (or one tensor), with their index.

    One file of the source and one group of the result are held at a time.
    """
    groups = list(_groups([key for key in plan.taken() if key.ours in target.weights], plan, target, group_bytes))
    count = len(groups) + bool(plan.fresh)
    index: dict[str, str] = {}
    total = 0
    for number, tensors in enumerate(_tensors(groups, plan, target, spec), 1):
        name = "model.safetensors" if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"
        save_file(tensors, folder / name, metadata={"format": "pt"})
        index |= dict.fromkeys(tensors, name)
        total += sum(value.nbytes for value in tensors.values())
        progress(f"written: {name} ({number} of {count})")
        tensors.clear()
    if count > 1:
        content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def write_distillation(plan: ImportPlan, folder: Path) -> bool:
    """The distillation head as it was published, under our names, if there is one."""
    keys = [key for key in plan.taken() if key.ours.startswith("distillation.")]
    tensors: dict[str, Tensor] = {}
    for file in dict.fromkeys(key.file for key in keys):
        shard = open_shard(file)
        tensors |= {key.ours: shard.read(key.name).clone() for key in keys if key.file == file}
        del shard  # before the next one is opened
    if tensors:
        save_file(tensors, folder / DISTILLATION, metadata={"format": "pt"})
    return bool(tensors)


def write_config(plan: ImportPlan, target: Target, folder: Path) -> None:
    """What `save_pretrained` writes besides the weights."""
    config = target.model.config
    config.architectures = [type(target.model).__name__]
    config.part_dtypes = {part: str(dtype).removeprefix("torch.") for part, dtype in plan.dtypes.items()}
    config.save_pretrained(folder)
    target.model.generation_config.save_pretrained(folder)
    if target.processor.tokenizer is not None:
        target.processor.save_pretrained(folder)


def _groups(
    keys: list[ReleasedTensor], plan: ImportPlan, target: Target, group_bytes: int
) -> Iterator[list[ReleasedTensor]]:
    """Keys that are written together: of one file of the source, in its order."""
    group: list[ReleasedTensor] = []
    size = 0
    for key in keys:
        own = prod(key.stored.shape) * _dtype(key.ours, plan, target).itemsize
        if group and (key.file != group[0].file or size + own > group_bytes):
            yield group
            group, size = [], 0
        group.append(key)
        size += own
    if group:
        yield group


def _tensors(
    groups: list[list[ReleasedTensor]], plan: ImportPlan, target: Target, spec: ExperimentSpec
) -> Iterator[dict[str, Tensor]]:
    file, shard = None, None
    for group in groups:
        if group[0].file != file:
            shard = None  # released before the next one is opened
            file = group[0].file
            shard = open_shard(file)
        assert shard is not None
        yield {key.ours: shard.read(key.name).to(_dtype(key.ours, plan, target)).contiguous() for key in group}
    shard = None
    if plan.fresh:
        yield _draw(plan, target, spec)


def _draw(plan: ImportPlan, target: Target, spec: ExperimentSpec) -> dict[str, Tensor]:
    """Weights that the checkpoint lacks, as composing the spec's model draws them."""
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        state = build_aligner(spec.model).state_dict()
    fresh = {name: state[name.removeprefix("aligner.")] for name in plan.fresh}
    return {name: value.to(_dtype(name, plan, target)).contiguous() for name, value in fresh.items()}


def _dtype(name: str, plan: ImportPlan, target: Target) -> torch.dtype:
    """Parameters have their part's type, buffers that of the model."""
    part = name.partition(".")[0]
    return plan.dtypes[part] if name in target.parameters and part in plan.dtypes else target.weights[name].dtype
