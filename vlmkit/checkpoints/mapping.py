"""The plan of an import: where every tensor of the released checkpoints goes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vlmkit.api.hookspecs import PublishedFormat, PublishedPart
from vlmkit.api.weights import Stored, open_shard
from vlmkit.checkpoints.formats import (
    NameMatch,
    ReleasedFiles,
    ReleasedSource,
    match_name,
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
    state: Literal["taken", "renamed", "added", "dropped", "unexpected"]
    ours: str
    """Our name; empty where it is not taken."""
    reason: str
    file: Path
    stored: Stored
    part: str = ""
    """The format's part that it is of; empty: the released checkpoint."""
    side_by_side: bool = False
    """See `PublishedFormat.side_by_side`."""

    @property
    def label(self) -> str:
        """Its name, with that of its part."""
        return f"{self.name} ({self.part})" if self.part else self.name


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


def plan_import(form: PublishedFormat, sources: Sequence[ReleasedSource], target: Target, listing: Path) -> ImportPlan:
    """Compare all files with the target, reading the values of aliases only.

    The language model has to be there completely. Of the aligner, what the format holds and the model has must be
    there, in one of the sources; what only the model has is drawn, what only the format has is dropped. So a checkpoint
    of one aligner can be the start of another one, and no weight is missed by accident.

    Raises:
        CheckpointError: names that are not the format's, missing or doubled ones, shapes that differ, aliases that are
            not the same tensor: all of them at once, in the file `listing` where they are too many for a message.
    """
    places = ["", *(part.name for part in form.parts)]
    sources = sorted(sources, key=lambda source: places.index(source.part))
    by_source: list[list[ReleasedTensor]] = []
    for source in sources:
        later = {key.ours for found in by_source for key in found if key.ours}
        by_source.append([_older(source, key, later) for key in _keys(source, target)])
    keys = [key for found in by_source for key in found]
    fresh, problems = _missing(form, sources, keys, target)
    problems = [*_names(keys), *_shapes(keys, target), *problems]
    pairs = list(zip(sources, by_source, strict=True))
    problems = [_stranger(source, found) for source, found in pairs if not any(map(_is_known, found))] or problems
    problems = problems or [line for source, found in pairs for line in _aliases(source.rules, found, target)]
    if len(problems) > _SHOWN:
        listing.write_text("\n".join([*problems, ""]), encoding="utf-8")
        problems[_SHOWN:] = [f"and {len(problems) - _SHOWN} more: {listing} lists all of them"]
    if problems:
        folder = sources[0].files.folder
        raise CheckpointError("\n  ".join([f"{folder} is no checkpoint that fits ({form.title}):", *problems]))
    return ImportPlan(keys, fresh, _dtypes(keys, target), target)


def _older(source: ReleasedSource, key: ReleasedTensor, later: set[str]) -> ReleasedTensor:
    """Drop a weight that was trained further and is in a later checkpoint."""
    if key.ours in later and isinstance(source.rules, PublishedPart) and source.rules.earlier:
        return replace(key, state="dropped", ours="", reason="trained further in a later checkpoint")
    return key


def _is_known(key: ReleasedTensor) -> bool:
    return key.state != "unexpected"


def _stranger(source: ReleasedSource, keys: list[ReleasedTensor]) -> str:
    """Return the message about a checkpoint of something else."""
    if source.part:
        return f"{source.files.folder}: none of its {len(keys)} names is of {source.part} ({source.rules.title})"
    return f"none of its {len(keys)} names is of this format; known formats: {', '.join(published_formats())}"


def _keys(source: ReleasedSource, target: Target) -> list[ReleasedTensor]:
    there = _survey(source.files)
    return [_key(source, name, there, target) for name in there]


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


def _key(source: ReleasedSource, name: str, there: dict[str, tuple[Path, Stored]], target: Target) -> ReleasedTensor:
    found = match_name(source.rules, name)
    if found.alias_of and found.alias_of not in there:
        found = match_name(source.rules, found.alias_of)
        found = found._replace(state="renamed") if found.name else found
    if reason := _not_wanted(found, target):
        found = NameMatch("dropped", reason=reason)
    return ReleasedTensor(
        name, found.state, found.name, found.reason, *there[name], source.part, side_by_side=found.side_by_side
    )


def _not_wanted(found: NameMatch, target: Target) -> str:
    if found.name in target.tied:
        return f"tied to {target.tied[found.name]}, the same tensor"
    if part_of(found.name) == "distillation" and not target.head:
        return "the distillation head, and the spec distils nothing"
    if found.name in target.published and found.name not in target.weights:
        return f"the spec's aligner has no {found.name}"
    return ""


def _names(keys: list[ReleasedTensor]) -> list[str]:
    unexpected = [f"unexpected: {key.label} is no name of this format" for key in keys if key.state == "unexpected"]
    names: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        names[key.ours].append(key.label)
    doubled = [f"{' and '.join(found)} both mean {ours}" for ours, found in names.items() if ours and len(found) > 1]
    return unexpected + doubled


def _missing(
    form: PublishedFormat, sources: Sequence[ReleasedSource], keys: list[ReleasedTensor], target: Target
) -> tuple[list[str], list[str]]:
    """Return the weights to draw anew, and messages about those that should have been there: one for each part that
    would hold them and is not given, otherwise one for each weight."""
    there = {key.ours for key in keys}
    absent = [name for name in target.weights if name not in there | target.tied.keys()]
    fresh = [name for name in absent if part_of(name) == "aligner" and name not in target.published]
    lost = [name for name in absent if name not in set(fresh)]
    if any(name in there for name in target.head):
        lost += [name for name in target.head if name not in there]
    given = {source.part for source in sources}
    problems = []
    for part in form.parts:
        held = [name for name in lost if part.name not in given and published_name(part, name)]
        if held:
            problems.append(f"missing: {len(held)} weights of {part.title}; give it with --with {part.name}=PATH")
            lost = [name for name in lost if name not in set(held)]
    problems += [f"missing: {name}{_published(name, sources)}" for name in lost]
    return fresh, problems


def _published(name: str, sources: Sequence[ReleasedSource]) -> str:
    """Say under which name, and of which part, one of the sources should hold a weight; nothing where none would."""
    for source in (*sources[1:], sources[0]):
        if published := published_name(source.rules, name):
            return f", published as {published}" + (f" ({source.part})" if source.part else "")
    return ""


def _shapes(keys: list[ReleasedTensor], target: Target) -> Iterator[str]:
    wanted = target.weights | target.head
    for key in keys:
        if not key.ours:
            continue
        if key.ours not in wanted:
            yield f"unexpected: {key.label} would be {key.ours}, which the spec's model does not have"
        elif _axes(wanted[key.ours]) != _axes(key.stored):
            yield f"{key.label} has the shape {key.stored.shape}, but {key.ours} is {wanted[key.ours].shape}"
        elif wanted[key.ours].dtype.is_floating_point != key.stored.dtype.is_floating_point:
            yield f"{key.label} is of {key.stored.dtype}, but {key.ours} of {wanted[key.ours].dtype}"


def _axes(stored: Stored) -> list[int]:
    """Return the shape without axes of length 1, which say nothing: the kernel of a frame is also one of a video."""
    return [length for length in stored.shape if length != 1]


def _aliases(form: PublishedFormat | PublishedPart, keys: list[ReleasedTensor], target: Target) -> list[str]:
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
        f"{alias.label} and {key.label} are to be the same tensor, and their values differ"
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
