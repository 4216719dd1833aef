"""Writing an imported checkpoint, group by group, and the report of what became of every released tensor."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from vlmkit._version import __version__
from vlmkit.checkpoints.formats import open_shard
from vlmkit.checkpoints.mapping import ImportPlan, ReleasedTensor
from vlmkit.checkpoints.target import Target
from vlmkit.model.distillation import DISTILLATION
from vlmkit.model.parts import build_aligner
from vlmkit.spec.experiment import ExperimentSpec, part_of, without_part

__all__ = ["ImportReport", "write_config", "write_distillation", "write_weights"]


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
    keys = [key for key in plan.taken() if part_of(key.ours) == "distillation"]
    tensors: dict[str, Tensor] = {}
    for file in dict.fromkeys(key.file for key in keys):
        shard = open_shard(file)
        tensors |= {key.ours: shard.read(key.name).clone() for key in keys if key.file == file}
        del shard  # before the next one is opened
    if tensors:
        save_file(tensors, folder / DISTILLATION, metadata={"format": "pt"})
    return bool(tensors)


def write_config(plan: ImportPlan, target: Target, folder: Path) -> None:
    """Write the files that `save_pretrained` writes besides the weights."""
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
    fresh = {name: state[without_part(name)] for name in plan.fresh}
    return {name: value.to(_dtype(name, plan, target)).contiguous() for name, value in fresh.items()}


def _dtype(name: str, plan: ImportPlan, target: Target) -> torch.dtype:
    """Parameters have their part's type, buffers that of the model."""
    part = part_of(name)
    return plan.dtypes[part] if name in target.parameters and part in plan.dtypes else target.weights[name].dtype


@dataclass(frozen=True)
class ImportReport:
    """Every key of the released checkpoint, and every weight that it lacks."""

    form: str
    """Name of the published format."""
    title: str
    source: str
    spec: str
    """Name of the experiment whose model took the weights."""
    plan: ImportPlan
    tokenizer: bool
    """True if the result has one."""
    distillation: bool
    """True if the result has distillation.safetensors."""
    notes: list[str]

    def counts(self) -> dict[str, int]:
        """Number of keys by what became of them."""
        found: Counter[str] = Counter(key.state for key in self.plan.keys)
        return dict(found) | {"fresh": len(self.plan.fresh)}

    def rows(self) -> list[tuple[str, ...]]:
        """State, how many, published name, where to or why not. Keys that differ only in the number of a layer share a
        row, and so do those that are dropped for one reason."""
        groups: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for key in self.plan.keys:
            kept = _any_layer(key.ours) or _shared_reason(key.reason)
            groups[key.state, kept].append((key.name, key.ours or key.reason))
        rows = []
        for (state, kept), members in groups.items():
            name, what = members[0] if len(members) == 1 else (_shared_name([name for name, _ in members]), kept)
            rows.append((state, str(len(members)), name, what))
        rows += [("fresh", "1", "-", f"{name}, drawn by the spec's seed") for name in self.plan.fresh]
        return [("", "tensors", "published", "becomes, or why not"), *sorted(rows, key=_by_state)]

    def as_dict(self) -> dict[str, Any]:
        """For import.json: every single key."""
        return {
            "format": self.form,
            "title": self.title,
            "source": self.source,
            "spec": self.spec,
            "vlmkit_version": __version__,
            "counts": self.counts(),
            "parameters": sum(prod(key.stored.shape) for key in self.plan.taken()),
            "dtypes": {part: _short(dtype) for part, dtype in self.plan.dtypes.items()},
            "tokenizer": self.tokenizer,
            "distillation": self.distillation,
            "notes": self.notes,
            "keys": [
                {
                    "name": key.name,
                    "fate": key.state,
                    **({"ours": key.ours} if key.ours else {"reason": key.reason}),
                    "shape": list(key.stored.shape),
                    "dtype": _short(key.stored.dtype),
                    "file": key.file.name,
                }
                for key in self.plan.keys
            ],
            "fresh": self.plan.fresh,
        }


def _by_state(row: tuple[str, ...]) -> tuple[int, str]:
    return ("renamed", "taken", "fresh", "dropped").index(row[0]), row[3 if row[0] == "fresh" else 2]


def _shared_name(names: list[str]) -> str:
    """With a star in place of a layer's number, or of all that differs."""
    anyone = {_any_layer(name) for name in names}
    if len(anyone) == 1:
        return anyone.pop()
    columns = zip(*(name.split(".") for name in names), strict=False)
    return ".".join([column[0] for column in takewhile(lambda parts: len(set(parts)) == 1, columns)] + ["*"])


def _shared_reason(reason: str) -> str:
    return re.sub(r"^(alias of (?:\w+\.){2}).+(, the same tensor)$", r"\1*\2", reason)


def _any_layer(name: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def _short(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
