"""The plan of an import: where every tensor of a released checkpoint goes, checked before anything is written."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vlmkit.api.hookspecs import PublishedFormat
from vlmkit.checkpoints.formats import (
    NameMatch,
    ReleasedFiles,
    Stored,
    match_name,
    open_shard,
    published_formats,
    published_name,
)
from vlmkit.checkpoints.target import Target
from vlmkit.errors import CheckpointError
from vlmkit.spec.experiment import part_of

__all__ = ["ImportPlan", "ReleasedTensor", "plan_import"]

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
    """Which tensors are written, and where each comes from."""

    keys: list[ReleasedTensor]
    """Every published tensor, file by file."""
    fresh: list[str]
    """Weights of the model that the checkpoint does not hold; they are drawn."""
    dtypes: dict[str, torch.dtype]
    """The type of each part's parameters."""

    def taken(self) -> Iterator[ReleasedTensor]:
        """Return the tensors that are written."""
        return (key for key in self.keys if key.ours)


def plan_import(form: PublishedFormat, source: ReleasedFiles, target: Target, listing: Path) -> ImportPlan:
    """Look through all files, without reading values but those of aliases.

    The language model has to be there completely. Of the aligner, what the format holds and the model has must be
    there; what only the model has is drawn, what only the format has is dropped. So a checkpoint of one aligner can be
    the start of another one, and no weight is missed by accident.

    Raises:
        CheckpointError: names that are not the format's, missing or doubled ones, shapes that differ, aliases that are
            not the same tensor: all of them at once, in the file `listing` where they are too many for a message.
    """
    stored, files = _survey(source)
    keys = [_key(form, name, stored, files[name], target) for name in stored]
    fresh, problems = _missing(form, keys, target)
    problems = [*_unexpected(keys), *_doubled(keys), *_shapes(keys, target), *problems]
    if all(key.state == "unexpected" for key in keys):
        known = ", ".join(published_formats())
        problems = [f"none of its {len(keys)} names is of this format; known formats: {known}"]
    problems = problems or _aliases(form, keys, target)
    if problems:
        shown = _shown(problems, listing)
        raise CheckpointError("\n  ".join([f"{source.folder} is no checkpoint that fits ({form.title}):", *shown]))
    return ImportPlan(keys, fresh, _dtypes(keys, target))


def _shown(problems: list[str], listing: Path) -> list[str]:
    if len(problems) <= _SHOWN:
        return problems
    listing.write_text("\n".join([*problems, ""]), encoding="utf-8")
    return [*problems[:_SHOWN], f"and {len(problems) - _SHOWN} more: {listing} lists all of them"]


def _survey(source: ReleasedFiles) -> tuple[dict[str, Stored], dict[str, Path]]:
    stored: dict[str, Stored] = {}
    files: dict[str, Path] = {}
    for file in source.files:
        for name, what in open_shard(file).tensors.items():
            if name in files:
                raise CheckpointError(f"{name} stands in two files, {files[name]} and {file}; fetch the folder again")
            stored[name], files[name] = what, file
    if lost := [name for name in source.index if name not in stored]:
        place = source.folder / source.index[lost[0]]
        raise CheckpointError(
            f"{place}: its index says that it holds {lost[0]}, and it does not ({len(lost)} such names); "
            "fetch the folder again"
        )
    return stored, files


def _key(form: PublishedFormat, name: str, stored: Mapping[str, Stored], file: Path, target: Target) -> ReleasedTensor:
    found = match_name(form, name)
    if found.alias_of and found.alias_of not in stored:
        found = match_name(form, found.alias_of)
        found = found._replace(state="renamed") if found.name else found
    if reason := _not_wanted(found, target):
        found = NameMatch("dropped", reason=reason)
    return ReleasedTensor(name, found.state, found.name, found.reason, file, stored[name])


def _not_wanted(found: NameMatch, target: Target) -> str:
    if found.name in target.tied:
        return f"tied to {target.tied[found.name]}, the same tensor"
    if part_of(found.name) == "distillation" and not target.head:
        return "the distillation head, and the spec distils nothing"
    if found.name in target.published and found.name not in target.weights:
        return f"the spec's aligner has no {found.name}"
    return ""


def _unexpected(keys: list[ReleasedTensor]) -> list[str]:
    return [f"unexpected: {key.name} is no name of this format" for key in keys if key.state == "unexpected"]


def _doubled(keys: list[ReleasedTensor]) -> list[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        if key.ours:
            names[key.ours].append(key.name)
    return [f"{' and '.join(doubled)} both mean {ours}" for ours, doubled in names.items() if len(doubled) > 1]


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
    """Aliases and tied weights are one tensor under two names; which one counts is not to say where they differ."""
    taken = {key.name: key for key in keys if key.ours}
    taken |= {key.ours: key for key in taken.values()}
    pairs = []
    for key in keys:
        found = match_name(form, key.name)
        original = found.alias_of or target.tied.get(found.name)
        if original in taken and not key.ours:
            pairs.append((key, taken[original]))
    by_file: dict[Path, set[str]] = defaultdict(set)
    for pair in pairs:
        for key in pair:
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
    """For each part the narrowest type that holds all of its published parameters exactly."""
    found: dict[str, torch.dtype] = {}
    for key in keys:
        if key.ours in target.parameters:
            part = part_of(key.ours)
            found[part] = torch.promote_types(found.get(part, key.stored.dtype), key.stored.dtype)
    return found
