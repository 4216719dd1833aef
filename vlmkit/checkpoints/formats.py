"""Released checkpoints: the files on disk, and the names of their tensors, which rules of a format translate to ours.

Plugins say which formats there are (`vlmkit_published`). Rules are applied one name at a time, in both directions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vlmkit.api.hookspecs import PublishedFormat, PublishedPart
from vlmkit.api.weights import INDEX, STANDARD, read_index, read_mapping
from vlmkit.errors import CheckpointError, PluginError, did_you_mean
from vlmkit.files import is_file, is_folder
from vlmkit.guard import error_text
from vlmkit.registry import Plugin, registry
from vlmkit.spec.experiment import ModelSpec, without_part
from vlmkit.spec.loading import load_spec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "NameMatch",
    "ReleasedFiles",
    "ReleasedSource",
    "head_dim",
    "import_state_dict",
    "match_name",
    "move_apart",
    "published_format",
    "published_formats",
    "published_name",
    "published_part",
]


class ReleasedFiles:
    """A folder in the layout of transformers, or one file of weights.

    `index` maps names to the files that should hold them; it is empty where there is a single file.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path if is_folder(path) else path.parent
        self.index: dict[str, str] = {}
        if is_file(path):
            self.files = [path]
            return
        if not is_folder(path):
            raise CheckpointError(f"{path}: expected the folder of a released checkpoint; there is no such folder")
        found = next((path / name for name in STANDARD if is_file(path / name)), None)
        if found is None:
            raise CheckpointError(f"{path}: expected one of {', '.join(STANDARD)}; found none of them")
        self.files = [found]
        if found.name.endswith(INDEX):
            self.index = read_index(found)
            self.files = [path / shard for shard in sorted(set(self.index.values()))]

    def config(self) -> dict[str, Any] | None:
        """Return the content of config.json, or None where there is none."""
        file = self.folder / "config.json"
        return read_mapping(file) if is_file(file) else None


class ReleasedSource(NamedTuple):
    """One of the checkpoints that an import is made of."""

    rules: PublishedFormat | PublishedPart
    """The format itself for the released checkpoint, one of its parts for another one."""
    files: ReleasedFiles

    @property
    def part(self) -> str:
        """The name of the part; empty for the released checkpoint."""
        return "" if isinstance(self.rules, PublishedFormat) else self.rules.name


class NameMatch(NamedTuple):
    """The outcome for one published name."""

    state: Literal["taken", "renamed", "added", "dropped", "unexpected"]
    """`taken`: it only gets our part's name in front. `added`: it is a factor of what is added to a weight."""
    name: str = ""
    """Our name; empty where it is not imported under one."""
    reason: str = ""
    """Why it is dropped, or what it is added to."""
    alias_of: str = ""
    """The published name of the same tensor, where it is dropped for that."""
    side_by_side: bool = False
    """Channels that turn together stand side by side; see `PublishedFormat.side_by_side`."""


def published_formats() -> dict[str, PublishedFormat]:
    """Return every format of the installed plugins, by name; of several with one name the first."""
    return {name: offers[0][1] for name, offers in _offers().items()}


def published_format(name: str) -> PublishedFormat:
    """Return the format `name`.

    Raises:
        CheckpointError: there is none, or several plugins offer it.
        PluginError: its rules are none.
    """
    offers = _offers()
    if name not in offers:
        known = f"{did_you_mean(name, offers)}installed: {', '.join(offers) or 'none'}"
        faults = registry().gather("vlmkit_published", PublishedFormat).faults
        broken = "".join(f"; a plugin that may offer it is at fault: {fault}" for fault in faults)
        raise CheckpointError(f"no published format {name!r}; {known}{broken}")
    if len(offers[name]) > 1:
        owners = " and ".join(f"{plugin.name!r} ({plugin.package})" for plugin, _ in offers[name])
        raise CheckpointError(f"two plugins offer the published format {name!r}: {owners}; leave one out of "
                              "VLMKIT_PLUGINS")  # fmt: skip
    [(plugin, form)] = offers[name]
    checkpoints: tuple[PublishedFormat | PublishedPart, ...] = (form, *form.parts)
    try:
        for rules in checkpoints:
            for pattern in (*(pattern for pattern, _ in rules.drop), *rules.side_by_side):
                re.compile(pattern)
            for pattern, template in (*rules.alias, *rules.rename):
                re.sub(pattern, template, "")
        if form.lora is not None:
            re.sub(form.lora.names, form.lora.weight, "")
            if "factor" not in re.compile(form.lora.names).groupindex:
                raise ValueError("the names of its LoRA have no group `factor`")
    except (re.error, TypeError, ValueError, IndexError) as error:
        raise PluginError(
            f"plugin {plugin.name!r} ({plugin.package}): a rule of its published format {name!r} is none: "
            f"{error_text(error)}; install another version of it, or tell its authors"
        ) from error
    return form


def _offers() -> dict[str, list[tuple[Plugin, PublishedFormat]]]:
    found: dict[str, list[tuple[Plugin, PublishedFormat]]] = defaultdict(list)
    for plugin, form in registry().gather("vlmkit_published", PublishedFormat).found:
        found[str(form.name)].append((plugin, form))
    return dict(sorted(found.items()))


def published_part(form: PublishedFormat, name: str) -> PublishedPart:
    """Return the part `name` of a format. A CheckpointError where it has none of that name."""
    parts = {part.name: part for part in form.parts}
    if name not in parts:
        known = f"{did_you_mean(name, parts)}it has: {', '.join(parts)}" if parts else "it is one checkpoint"
        raise CheckpointError(f"the published format {form.name!r} has no part {name!r}; {known}")
    return parts[name]


def match_name(form: PublishedFormat | PublishedPart, name: str) -> NameMatch:
    """Apply the rules of the format, or of one of its parts, to one name of a state dict."""
    for pattern, reason in form.drop:
        if re.fullmatch(pattern, name):
            return NameMatch("dropped", reason=reason)
    for pattern, template in form.alias:
        if match := re.fullmatch(pattern, name):
            original = match.expand(template)
            return NameMatch("dropped", reason=f"alias of {original}, the same tensor", alias_of=original)
    for pattern, template in form.rename:
        if match := re.fullmatch(pattern, name):
            ours = match.expand(template)
            side_by_side = any(re.fullmatch(pattern, name) for pattern in form.side_by_side)
            return NameMatch("taken" if without_part(ours) == name else "renamed", ours, side_by_side=side_by_side)
    if isinstance(form, PublishedFormat) and form.lora and (match := re.fullmatch(form.lora.names, name)):
        return NameMatch(
            "added", reason=f"factor {match['factor']} of what is added to {match.expand(form.lora.weight)}"
        )
    return NameMatch("unexpected")


def import_state_dict(
    name: str, state: Mapping[str, Tensor], part: str = "", model: ModelSpec | None = None
) -> dict[str, Tensor]:
    """Return the state dict of a published checkpoint under our names: `aligner.…`, `backbone.…`, `layers.…`.

    Args:
        name: the published format, e.g. `video-panda`.
        state: published names to tensors, all of the checkpoint or some. The tensors are not copied.
        part: which of the format's other checkpoints they are of, e.g. `eva`; empty: the released one.
        model: what takes the weights, where names depend on it (layers that are counted with those before the
            language model's own), or the order of channels does (those of each head in Meta's layout); by default the
            model of the format's shipped spec.

    Raises:
        CheckpointError: a name is not one of the format's, or two of them would become the same.
    """
    form = published_format(name)
    meta = bool(form.side_by_side) or any(source.side_by_side for source in form.parts)
    if model is None and (form.rules is not None or meta):
        model = load_spec(f"specs/{form.spec}.yaml").model
    form = form.for_model(model)
    rules = published_part(form, part) if part else form
    fates = {key: match_name(rules, key) for key in state}
    if unexpected := [key for key, found in fates.items() if found.state == "unexpected"]:
        shown = ", ".join(unexpected[:10]) + (f" and {len(unexpected) - 10} more" if len(unexpected) > 10 else "")
        raise CheckpointError(
            f"{len(unexpected)} names are not those of {rules.title}: {shown}. "
            f"Is this a checkpoint of another model? Known formats: {', '.join(published_formats())}"
        )
    if added := [key for key, found in fates.items() if found.state == "added"]:
        raise CheckpointError(
            f"{len(added)} tensors change weights of another checkpoint, e.g. {added[0]}; "
            f"`vlmkit import {name}` adds them"
        )
    sources: dict[str, str] = {}
    for key, found in fates.items():
        if found.name and sources.setdefault(found.name, key) != key:
            raise CheckpointError(f"{sources[found.name]} and {key} both mean {found.name}; expected one of them")
    turned = {key for key, found in fates.items() if found.side_by_side}
    channels = _head_dim_of(model) if turned and model is not None else 0
    return {ours: move_apart(state[key], channels) if key in turned else state[key] for ours, key in sources.items()}


def _head_dim_of(model: ModelSpec) -> int:
    import torch

    with torch.device("meta"):
        return head_dim(model.backbone.build().config)


def head_dim(language: Any) -> int:
    """Return the channels of a head of attention, of the configuration of a language model."""
    return int(getattr(language, "head_dim", None) or language.hidden_size // language.num_attention_heads)


def move_apart(tensor: Tensor, channels: int) -> Tensor:
    """Return queries or keys (h * d, …) of Meta's layout in that of transformers: rows 2j and 2j + 1 of each head of
    d = `channels` become its rows j and j + d/2."""
    return tensor.unflatten(0, (-1, channels // 2, 2)).transpose(1, 2).flatten(0, 2)


_OPTIONAL = re.compile(r"\(\?:([^()|]*)\)\?")
_GROUP = re.compile(r"\((?!\?)(?:[^()]|\(\?:[^()]*\))*\)")
"""A capturing group, with groups that do not capture inside."""


def published_name(form: PublishedFormat | PublishedPart, ours: str) -> str:
    """Return the name under which a checkpoint in the format holds `ours`, with every optional prefix; empty where its
    rule cannot be read backwards."""
    for pattern, template in form.rename:
        literals = re.split(r"\\\d", template)
        values = re.fullmatch("(.+)".join(re.escape(literal) for literal in literals), ours)
        if values is None:
            continue
        numbers = [int(number) for number in re.findall(r"\\(\d)", template)]
        name = _fill(pattern, dict(zip(numbers, values.groups(), strict=True)))
        if match_name(form, name).name == ours:
            return name
    return ""


def _fill(pattern: str, values: dict[int, str]) -> str:
    """Return the pattern with values for its groups; no name of the format where more than that is left to choose."""
    number = count(1)
    filled = _GROUP.sub(lambda group: values.get(next(number), group[0]), _OPTIONAL.sub(r"\1", pattern))
    return filled.replace(r"\.", ".").replace("[.]", ".")
