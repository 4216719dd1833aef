"""Published checkpoints: how the names in a state dict that others released become ours."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PublishedFormat"]


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
    drop: tuple[tuple[str, str], ...] = ()
    """Published name to the reason why it is not taken."""
    alias: tuple[tuple[str, str], ...] = ()
    """Published name to the published name of the same tensor, a template as above: not taken, but compared with it, or
    taken in its place where a checkpoint holds nothing under that name."""
