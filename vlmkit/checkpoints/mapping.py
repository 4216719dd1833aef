"""The plan of an import, where every tensor of a released checkpoint goes, and the report of it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from vlmkit._version import __version__
from vlmkit.api.hookspecs import PublishedFormat
from vlmkit.api.weights import Stored, open_shard
from vlmkit.checkpoints.formats import NameMatch, ReleasedFiles, match_name, published_formats, published_name
from vlmkit.checkpoints.target import Target
from vlmkit.errors import CheckpointError
from vlmkit.spec.experiment import part_of

__all__ = ["ImportPlan", "ImportReport", "ReleasedTensor", "plan_import"]

_SHOWN = 20


@dataclass(frozen=True)
class ReleasedTensor:
    """One published tensor."""

    name: str
    state: Literal["taken", "renamed", "dropped", "unexpected"]
    ours: str
    """Our name; empty where it is not taken."""
    reason: str
    file: Path
    stored: Stored


@dataclass(frozen=True)
class ImportPlan:
    """The tensors that are written, and where each comes from."""

    keys: list[ReleasedTensor]
    """Every published tensor, file by file."""
    fresh: list[str]
    """Weights of the model that the checkpoint does not hold; they are drawn."""
    dtypes: dict[str, torch.dtype]
    """The type of each part's parameters."""
    target: Target

    def dtype(self, name: str) -> torch.dtype:
        """Return the type in which a tensor is written: a parameter in its part's, a buffer in the model's."""
        own = self.target.weights[name].dtype
        return self.dtypes.get(part_of(name), own) if name in self.target.parameters else own

    def taken(self) -> Iterator[ReleasedTensor]:
        """Return the tensors that are written."""
        return (key for key in self.keys if key.ours)


def plan_import(form: PublishedFormat, source: ReleasedFiles, target: Target, listing: Path) -> ImportPlan:
    """Compare all files with the target, reading the values of aliases only.

    The language model has to be there completely. Of the aligner, what the format holds and the model has must be
    there; what only the model has is drawn, what only the format has is dropped. So a checkpoint of one aligner can be
    the start of another one, and no weight is missed by accident.

    Raises:
        CheckpointError: names that are not the format's, missing or doubled ones, shapes that differ, aliases that are
            not the same tensor: all of them at once, in the file `listing` where they are too many for a message.
    """
    there = _survey(source)
    keys = [_key(form, name, there, target) for name in there]
    fresh, problems = _missing(form, keys, target)
    problems = [*_names(keys), *_shapes(keys, target), *problems]
    if all(key.state == "unexpected" for key in keys):
        known = ", ".join(published_formats())
        problems = [f"none of its {len(keys)} names is of this format; known formats: {known}"]
    problems = problems or _aliases(form, keys, target)
    if len(problems) > _SHOWN:
        listing.write_text("\n".join([*problems, ""]), encoding="utf-8")
        problems[_SHOWN:] = [f"and {len(problems) - _SHOWN} more: {listing} lists all of them"]
    if problems:
        raise CheckpointError("\n  ".join([f"{source.folder} is no checkpoint that fits ({form.title}):", *problems]))
    return ImportPlan(keys, fresh, _dtypes(keys, target), target)


def _survey(source: ReleasedFiles) -> dict[str, tuple[Path, Stored]]:
    """Return the file of each tensor, with its shape and type."""
    found: dict[str, tuple[Path, Stored]] = {}
    for file in source.files:
        for name, stored in open_shard(file).tensors.items():
            if name in found:
                raise CheckpointError(
                    f"{name} stands in two files, {found[name][0]} and {file}; fetch the folder again"
                )
            found[name] = file, stored
    if lost := [name for name in source.index if name not in found]:
        place = source.folder / source.index[lost[0]]
        raise CheckpointError(
            f"{place}: its index says that it holds {lost[0]}, and it does not ({len(lost)} such names); "
            "fetch the folder again"
        )
    return found


def _key(form: PublishedFormat, name: str, there: dict[str, tuple[Path, Stored]], target: Target) -> ReleasedTensor:
    found = match_name(form, name)
    if found.alias_of and found.alias_of not in there:
        found = match_name(form, found.alias_of)
        found = found._replace(state="renamed") if found.name else found
    if reason := _not_wanted(found, target):
        found = NameMatch("dropped", reason=reason)
    return ReleasedTensor(name, found.state, found.name, found.reason, *there[name])


def _not_wanted(found: NameMatch, target: Target) -> str:
    if found.name in target.tied:
        return f"tied to {target.tied[found.name]}, the same tensor"
    if part_of(found.name) == "distillation" and not target.head:
        return "the distillation head, and the spec distils nothing"
    if found.name in target.published and found.name not in target.weights:
        return f"the spec's aligner has no {found.name}"
    return ""


def _names(keys: list[ReleasedTensor]) -> list[str]:
    unexpected = [f"unexpected: {key.name} is no name of this format" for key in keys if key.state == "unexpected"]
    names: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        names[key.ours].append(key.name)
    doubled = [f"{' and '.join(found)} both mean {ours}" for ours, found in names.items() if ours and len(found) > 1]
    return unexpected + doubled


def _missing(form: PublishedFormat, keys: list[ReleasedTensor], target: Target) -> tuple[list[str], list[str]]:
    """Return the weights to draw anew, and messages about those that should have been there."""
    there = {key.ours for key in keys}
    absent = [name for name in target.weights if name not in there | target.tied.keys()]
    fresh = [name for name in absent if part_of(name) == "aligner" and name not in target.published]
    lost = [name for name in absent if name not in set(fresh)]
    if any(name in there for name in target.head):
        lost += [name for name in target.head if name not in there]
    published = {name: published_name(form, name) for name in lost}
    return fresh, [f"missing: {ours}" + (f", published as {name}" if name else "") for ours, name in published.items()]


def _shapes(keys: list[ReleasedTensor], target: Target) -> Iterator[str]:
    wanted = target.weights | target.head
    for key in keys:
        if not key.ours:
            continue
        if key.ours not in wanted:
            yield f"unexpected: {key.name} would be {key.ours}, which the spec's model does not have"
        elif wanted[key.ours].shape != key.stored.shape:
            yield f"{key.name} has the shape {key.stored.shape}, but {key.ours} is {wanted[key.ours].shape}"
        elif wanted[key.ours].dtype.is_floating_point != key.stored.dtype.is_floating_point:
            yield f"{key.name} is of {key.stored.dtype}, but {key.ours} of {wanted[key.ours].dtype}"


def _aliases(form: PublishedFormat, keys: list[ReleasedTensor], target: Target) -> list[str]:
    """Return messages about aliases and tied weights, one tensor under two names, whose values differ."""
    taken = {key.name: key for key in keys if key.ours}
    taken |= {key.ours: key for key in taken.values()}
    dropped = [(key, match_name(form, key.name)) for key in keys if not key.ours]
    originals = [(key, found.alias_of or target.tied.get(found.name)) for key, found in dropped]
    pairs = [(key, taken[original]) for key, original in originals if original in taken]
    by_file: dict[Path, set[str]] = defaultdict(set)
    for key in (key for pair in pairs for key in pair):
        by_file[key.file].add(key.name)
    sums: dict[str, bytes] = {}
    for file, names in by_file.items():
        shard = open_shard(file)
        sums |= {name: _checksum(shard.read(name)) for name in names}
        del shard  # before the next one is opened
    return [
        f"{alias.name} and {key.name} are to be the same tensor, and their values differ"
        for alias, key in pairs
        if sums[alias.name] != sums[key.name]
    ]


def _checksum(tensor: Tensor) -> bytes:
    return hashlib.blake2b(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).digest()


def _dtypes(keys: list[ReleasedTensor], target: Target) -> dict[str, torch.dtype]:
    """Return for each part the narrowest type that holds all of its published parameters exactly."""
    found: dict[str, torch.dtype] = {}
    for key in keys:
        if key.ours in target.parameters:
            part = part_of(key.ours)
            found[part] = torch.promote_types(found.get(part, key.stored.dtype), key.stored.dtype)
    return found


@dataclass(frozen=True)
class ImportReport:
    """Every key of the released checkpoint, and every weight that it lacks."""

    form: PublishedFormat
    source: str
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
            kept = _any_layer(key.ours) or re.sub(
                r"^(alias of (?:\w+\.){2}).+(, the same tensor)$", r"\1*\2", key.reason
            )
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
                 "shape": list(key.stored.shape), "dtype": _short(key.stored.dtype), "file": key.file.name}
                for key in self.plan.keys
            ],
            "fresh": self.plan.fresh,
        }  # fmt: skip


def _by_state(row: tuple[str, ...]) -> tuple[int, str]:
    return ("renamed", "taken", "fresh", "dropped").index(row[0]), row[3 if row[0] == "fresh" else 2]


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
