"""Every hook that vlmkit calls. A plugin is a module that implements some of them with `@hookimpl`.

What an observer raises (`vlmkit_stage_started` and below) ends nothing: it is a warning on stderr, once for each hook.
An observer gets copies, to do with as it likes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pluggy

from vlmkit.api.published import PublishedFormat
from vlmkit.api.spec import ComponentSpec

__all__ = [
    "API_VERSION",
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

hookspec = pluggy.HookspecMarker("vlmkit")
hookimpl = pluggy.HookimplMarker("vlmkit")


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
    """A benchmark is done; `result` is what `result.json` holds. An observer that fails is told again by the next
    `vlmkit eval`, that of a run that was killed in between likewise."""
