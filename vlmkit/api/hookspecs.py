"""Every hook that vlmkit calls. A plugin is a module that implements some of them with `@hookimpl`.

`vlmkit_stage_started` and those below are deprecated: an observer (`vlmkit.api.observer`) hears of more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pluggy

from vlmkit.api.spec import ComponentSpec

__all__ = [
    "API_VERSION",
    "OBSERVING",
    "PublishedFormat",
    "PublishedPart",
    "hookimpl",
    "vlmkit_benchmarks",
    "vlmkit_components",
    "vlmkit_evaluated",
    "vlmkit_published",
    "vlmkit_stage_ended",
    "vlmkit_stage_started",
    "vlmkit_step_ended",
]

API_VERSION = 1
"""A plugin states the version it was made for as `VLMKIT_API = 1`; another one is refused."""

OBSERVING = ("vlmkit_stage_started", "vlmkit_step_ended", "vlmkit_stage_ended", "vlmkit_evaluated")
"""Deprecated: hooks of which `vlmkit.api.Observer` has methods."""

hookspec = pluggy.HookspecMarker("vlmkit")
hookimpl = pluggy.HookimplMarker("vlmkit")


@dataclass(frozen=True)
class PublishedPart:
    """Another checkpoint that a released one was trained from and does not contain: of an encoder, of a language model.

    Its rules are asked as those of `PublishedFormat`, for the names in this checkpoint alone.
    """

    name: str
    """By which it is given, e.g. `eva` in `vlmkit import … --with eva=PATH`."""
    title: str
    """One line for people: which checkpoint it is, by whom."""
    rename: tuple[tuple[str, str], ...]
    """As in `PublishedFormat`."""
    drop: tuple[tuple[str, str], ...] = ()
    """As in `PublishedFormat`."""
    alias: tuple[tuple[str, str], ...] = ()
    """As in `PublishedFormat`."""
    side_by_side: tuple[str, ...] = ()
    """As in `PublishedFormat`."""
    language_model: bool = False
    """True where the language model is from here: its config.json is compared and its tokenizer taken."""
    earlier: bool = False
    """True for weights that were trained further: they are taken where neither the released checkpoint nor an earlier
    one of the format's parts has them."""


@dataclass(frozen=True)
class PublishedLora:
    """Weights that a released checkpoint holds as changes of low rank (LoRA, arXiv:2106.09685) of another one's.

    They are added when they are imported: weight + scale * B @ A.
    """

    names: str
    """A regular expression for the names of the factors, whose group `factor` is `A` or `B`."""
    weight: str
    """Our name of the changed weight, a template as for `re.Match.expand`."""
    scale: float
    """The published alpha divided by the rank."""


@dataclass(frozen=True)
class PublishedFormat:
    """One family of released checkpoints, as rules over the names of its state dict.

    A rule is a regular expression that has to match a whole name. `drop` is asked first, then `alias`, then `rename`;
    within each the first match counts. A name that no rule matches is an error of whoever imports the checkpoint.
    """

    name: str
    """By which it is asked for, e.g. `video-panda`."""
    title: str
    """One line for people: what was released, by whom."""
    spec: str
    """The shipped experiment file whose model these weights fit, without `.yaml`. The names that its aligner has are
    those that the released checkpoint has to give, and none besides."""
    rename: tuple[tuple[str, str], ...]
    """Published name to ours (`aligner.…`, `backbone.…`, `distillation.…`); the second is a template as for
    `re.Match.expand`."""
    rules: Callable[[Any], tuple[tuple[str, str], ...]] | None = None
    """Further rules, before those of `rename`, that depend on the spec of the model (`ModelSpec`) which takes the
    weights: e.g. how many layers are counted before those of the language model."""
    drop: tuple[tuple[str, str], ...] = ()
    """Published name to the reason why it is not taken."""
    alias: tuple[tuple[str, str], ...] = ()
    """Published name to the published name of the same tensor, a template as above: not taken, but compared with it, or
    taken in its place where a checkpoint holds nothing under that name."""
    lora: PublishedLora | None = None
    """How it changes weights of one of its parts."""
    side_by_side: tuple[str, ...] = ()
    """Published names whose first axis is that of queries or keys in Meta's layout, where the two channels that rotary
    positions turn together stand side by side. They are put half a head apart, as in transformers."""
    parts: tuple[PublishedPart, ...] = ()
    """The other checkpoints that are needed; each weight of the model has to be in exactly one of all of them, those
    that are `earlier` aside."""

    def for_model(self, model: Any) -> PublishedFormat:
        """Return the same format with all its rules for this model in `rename`."""
        return self if self.rules is None else replace(self, rename=(*self.rules(model), *self.rename), rules=None)


@hookspec
def vlmkit_components() -> Sequence[type[ComponentSpec]]:  # type: ignore[empty-body]
    """Spec classes of the components that the plugin offers. Must not import torch. An error isolates the plugin."""


@hookspec
def vlmkit_benchmarks() -> Sequence[Path]:  # type: ignore[empty-body]
    """Folders that hold benchmark entries (`NAME/benchmark.yaml`), searched after vlmkit's own. An error matters to
    specs that name a benchmark which is not found without this plugin."""


@hookspec
def vlmkit_published() -> Sequence[PublishedFormat]:  # type: ignore[empty-body]
    """Formats of released checkpoints that the plugin can import. Must not import torch."""


@hookspec
def vlmkit_stage_started(run: Path, stage: str, config: Mapping[str, Any]) -> None:
    """A training stage begins or continues. `config` is the resolved spec of the stage."""


@hookspec
def vlmkit_step_ended(run: Path, stage: str, step: int, metrics: Mapping[str, float]) -> None:
    """An optimizer step was logged, with its losses and learning rates."""


@hookspec
def vlmkit_stage_ended(run: Path, stage: str) -> None:
    """A training stage is finished and its checkpoint written."""


@hookspec
def vlmkit_evaluated(run: Path, benchmark: str, result: Mapping[str, Any]) -> None:
    """A benchmark is done; `result` is what `result.json` holds."""
