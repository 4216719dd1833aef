"""The kind `observer`: what hears of the stages, steps and results of a run, and puts them where people look."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from vlmkit.api.contract import Contract, Promises, builds
from vlmkit.api.spec import ComponentSpec

__all__ = ["EVENTS", "Observer", "ObserverSpec"]


class Observer(Contract):
    """Hears of a run. Each method does nothing by default: override those that matter.

    They are called in the first process of a command, one after the other, with copies of their own; the run waits
    until they return. Where one raises, that is a warning which names the component, and the observer hears no more of
    this command. `docs/observers.md` has the names and units of all numbers.
    """

    def run_started(self, spec: Mapping[str, Any]) -> None:
        """A command (`run`, `train`, `eval`) begins to work on the run, or goes on. `spec` has every default."""

    def stage_started(self, stage: str, options: Mapping[str, Any]) -> None:
        """A training stage begins, or goes on at its last checkpoint. `options` are those of the stage in the spec."""

    def step_ended(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """An optimizer step was logged: each `training.log_every` of them, and the last of a stage.

        `step` counts from 1. After an interruption steps may come again, from the last checkpoint on.
        """

    def stage_ended(self, stage: str) -> None:
        """A stage is done, its weights are on the disk. What was done before is not told again."""

    def stage_failed(self, stage: str, error: str) -> None:
        """A stage ends early: `error` is one line, for Ctrl-C too. `run_failed` follows."""

    def evaluation_started(self, benchmark: str) -> None:
        """A benchmark is being measured. `benchmark` is the name of its result, and of its folder below `eval`."""

    def evaluated(self, benchmark: str, metrics: Mapping[str, float], result: Mapping[str, Any]) -> None:
        """A benchmark is done; `result` is what its result.json holds.

        Where that fails, or the process ends before, it is told again by the next `vlmkit eval` of this run.
        """

    def evaluation_failed(self, benchmark: str, error: str) -> None:
        """A benchmark cannot be measured, or its measuring ends early. `run_failed` follows."""

    def run_ended(self) -> None:
        """The command has done its work on the run. Its report is written."""

    def run_failed(self, error: str) -> None:
        """The command ends early: `error` is one line, for Ctrl-C too."""


EVENTS = tuple(name for name, member in vars(Observer).items() if not name.startswith("_") and callable(member))
"""The names of the methods, in the order of a run."""


class ObserverSpec(ComponentSpec):
    """Options of an observer."""

    kind: ClassVar[str] = "observer"
    _promises: ClassVar[Promises] = {"build": builds(f"{__name__}:Observer")}

    @abstractmethod
    def build(self, run: Path) -> Observer:
        """The observer of the run in this folder, which is there. Called once for a command."""
