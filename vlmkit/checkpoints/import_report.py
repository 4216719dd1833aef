"""The report of an import: every key of the released checkpoints, and every weight that they lack."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import takewhile
from math import prod
from typing import Any

from vlmkit._version import __version__
from vlmkit.api.hookspecs import PublishedFormat
from vlmkit.checkpoints.mapping import ImportPlan

__all__ = ["ImportReport"]


@dataclass(frozen=True)
class ImportReport:
    """Every key of the released checkpoint, and every weight that it lacks."""

    form: PublishedFormat
    source: str
    parts: dict[str, str]
    """The format's other checkpoints, by name."""
    spec: str
    """Name of the experiment whose model took the weights."""
    plan: ImportPlan
    distillation: bool
    """True if the result has distillation.safetensors."""

    @property
    def tokenizer(self) -> bool:
        """True if the result has one."""
        return self.plan.target.processor.tokenizer is not None

    @property
    def notes(self) -> list[str]:
        """Notes for a person, e.g. why there is no tokenizer."""
        return self.plan.target.notes

    def counts(self) -> dict[str, int]:
        """Return the number of keys by what became of them."""
        return dict(Counter(key.state for key in self.plan.keys)) | {"fresh": len(self.plan.fresh)}

    def rows(self) -> list[tuple[str, ...]]:
        """Return state, how many, published name, where to or why not. Keys that differ only in the number of a layer
        share a row, and so do those that are dropped for one reason."""
        groups: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for key in self.plan.keys:
            why = re.sub(r"^(alias of (?:\w+\.){2}).+(, the same tensor)$", r"\1*\2", key.reason)
            kept = _any_layer(key.ours or why)
            groups[key.state, kept].append((key.name, key.ours or key.reason))
        rows = []
        for (state, kept), members in groups.items():
            name, what = members[0] if len(members) == 1 else (_shared_name([name for name, _ in members]), kept)
            rows.append((state, str(len(members)), name, what))
        rows += [("fresh", "1", "-", f"{name}, drawn by the spec's seed") for name in self.plan.fresh]
        return [("", "tensors", "published", "becomes, or why not"), *sorted(rows, key=_by_state)]

    def as_dict(self) -> dict[str, Any]:
        """Return the content of import.json: every single key."""
        return {
            "format": self.form.name,
            "title": self.form.title,
            "source": self.source,
            **({"parts": self.parts} if self.parts else {}),
            "spec": self.spec,
            "vlmkit_version": __version__,
            "counts": self.counts(),
            "parameters": sum(prod(key.stored.shape) for key in self.plan.taken()),
            "dtypes": {part: _short(dtype) for part, dtype in self.plan.dtypes.items()},
            "tokenizer": self.tokenizer,
            "distillation": self.distillation,
            "notes": self.notes,
            "keys": [
                {"name": key.name, "fate": key.state, **({"ours": key.ours} if key.ours else {"reason": key.reason}),
                 "shape": list(key.stored.shape), "dtype": _short(key.stored.dtype), "file": key.file.name,
                 **({"part": key.part} if key.part else {})}
                for key in self.plan.keys
            ],
            "fresh": self.plan.fresh,
        }  # fmt: skip


def _by_state(row: tuple[str, ...]) -> tuple[int, str]:
    return ("renamed", "taken", "added", "fresh", "dropped").index(row[0]), row[3 if row[0] == "fresh" else 2]


def _shared_name(names: list[str]) -> str:
    """Return the name with a star in place of a layer's number, or of all that differs."""
    anyone = {_any_layer(name) for name in names}
    if len(anyone) == 1:
        return anyone.pop()
    columns = zip(*(name.split(".") for name in names), strict=False)
    return ".".join([column[0] for column in takewhile(lambda parts: len(set(parts)) == 1, columns)] + ["*"])


def _any_layer(name: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def _short(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
