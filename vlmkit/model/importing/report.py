"""What an import did, for people and as data."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

import vlmkit
from vlmkit.model.importing.plan import Plan

__all__ = ["ImportReport"]


@dataclass(frozen=True)
class ImportReport:
    """Every key of the released checkpoint, and every weight that it lacks."""

    form: str
    """Name of the published format."""
    title: str
    source: str
    spec: str
    """Name of the experiment whose model took the weights."""
    plan: Plan
    tokenizer: bool
    """Whether the result has one."""
    distillation: bool
    """Whether the result has distillation.safetensors."""
    notes: list[str]

    def counts(self) -> dict[str, int]:
        """Number of keys by what became of them."""
        found: Counter[str] = Counter(key.state for key in self.plan.keys)
        return dict(found) | {"fresh": len(self.plan.fresh)}

    def rows(self) -> list[tuple[str, ...]]:
        """One row for all keys that differ only in the number of a layer: fate, how many, published name, where to or
        why not."""
        groups: Counter[tuple[str, ...]] = Counter()
        for key in self.plan.keys:
            groups[key.state, _any_layer(key.name), _any_layer(key.ours) or key.reason] += 1
        for name in self.plan.fresh:
            groups["fresh", "-", f"{name}, drawn by the spec's seed"] += 1
        header = ("", "tensors", "published", "becomes, or why not")
        return [header, *((state, str(count), name, what) for (state, name, what), count in groups.items())]

    def as_dict(self) -> dict[str, Any]:
        """For import.json: every single key."""
        return {
            "format": self.form,
            "title": self.title,
            "source": self.source,
            "spec": self.spec,
            "vlmkit_version": vlmkit.__version__,
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


def _any_layer(name: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def _short(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
