"""Changes of low rank (LoRA, arXiv:2106.09685) in a released checkpoint, which an import adds to the weights."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vlmkit.api.hookspecs import PublishedFormat
from vlmkit.api.weights import open_shard
from vlmkit.checkpoints.mapping import ImportPlan, ReleasedTensor
from vlmkit.errors import CheckpointError

__all__ = ["LowRank", "read_changes"]


class LowRank(NamedTuple):
    """The product of two small matrices that is added to a weight."""

    a: Tensor
    """(rank, in)."""
    b: Tensor
    """(out, rank)."""
    scale: float

    def added_to(self, weight: Tensor) -> Tensor:
        """(out, in) -> the same shape, in float32."""
        return weight.float() + self.scale * (self.b.float() @ self.a.float())


def read_changes(form: PublishedFormat, plan: ImportPlan) -> dict[str, LowRank]:
    """Return what is added to which of our weights.

    A CheckpointError where a factor is missing, or the factors do not fit a weight of the plan.
    """
    if form.lora is None:
        return {}
    pairs: dict[str, dict[str, ReleasedTensor]] = defaultdict(dict)
    for key in plan.keys:
        if key.state == "added" and (match := re.fullmatch(form.lora.names, key.name)):
            pairs[match.expand(form.lora.weight)][match["factor"]] = key
    taken = {key.ours for key in plan.taken()}
    problems = [problem for name, pair in pairs.items() if (problem := _problem(name, pair, taken, plan))]
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise CheckpointError(f"its LoRA does not fit: {'; '.join(problems[:5])}{more}; give the files of one release")
    tensors = _read([key for pair in pairs.values() for key in pair.values()])
    return {
        name: LowRank(tensors[pair["A"].name], tensors[pair["B"].name], form.lora.scale) for name, pair in pairs.items()
    }


def _problem(name: str, pair: Mapping[str, ReleasedTensor], taken: set[str], plan: ImportPlan) -> str:
    """Return how factors do not fit; empty where they do."""
    if missing := [factor for factor in "AB" if factor not in pair]:
        return f"factor {missing[0]} of {name} is missing"
    if name not in taken:
        return f"{pair['A'].label} changes {name}, which no checkpoint holds"
    a, b, weight = pair["A"].stored.shape, pair["B"].stored.shape, plan.target.weights[name].shape
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or (b[0], a[1]) != weight:
        return f"{pair['A'].label} {a} and {pair['B'].label} {b} change {name} {weight}"
    return ""


def _read(keys: list[ReleasedTensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    files: dict[Path, list[str]] = defaultdict(list)
    for key in keys:
        files[key.file].append(key.name)
    for file, names in files.items():
        shard = open_shard(file)
        found |= {name: shard.read(name).clone() for name in names}
        del shard  # before the next one is opened
    return found
