"""The observers of one run: those that its spec names, and plugins with hooks. What fails in them ends nothing."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from pluggy import HookImpl

from vlmkit.api.hookspecs import OBSERVING
from vlmkit.api.observer import EVENTS, Observer, ObserverSpec
from vlmkit.guard import FAULTS, component_label, error_text
from vlmkit.registry import registry

__all__ = ["Observers"]

_HOOK = "vlmkit_"


class _Listener(NamedTuple):
    key: str
    """By which a folder remembers that it has not heard of a result."""
    label: str
    """For people."""
    events: Mapping[str, Callable[..., Any]]
    prefix: str = ""
    """Before the name of an event, in the name of what hears of it."""


class Observers:
    """Those that hear of one run, in one process."""

    def __init__(self, specs: Sequence[ObserverSpec] = (), run: Path = Path()) -> None:
        self.run = run
        self._specs = specs
        self._silent: set[str] = set()
        """Keys of those that have failed, which hear no more."""

    def tell(self, event: str, only: Collection[str] | None = None, **about: Any) -> list[str]:
        """Tell of an event (the name of a method of `Observer`) all that listen, or those of the keys `only`.

        Return the keys of those that could not be told.
        """
        untold = []
        for listener in self._listening(event):
            if only is not None and listener.key not in only:
                continue
            if listener.key not in self._silent:
                with self._failures_of(listener, f"{listener.prefix}{event}"):
                    listener.events[event](**deepcopy(about))  # to do with as it likes
            if listener.key in self._silent:
                untold.append(listener.key)
        return untold

    def listeners(self, event: str) -> list[str]:
        """Return the keys of those that hear of an event."""
        return [listener.key for listener in self._listening(event)]

    @contextmanager
    def command(self, spec: Mapping[str, Any]) -> Iterator[None]:
        """Tell of the beginning and the end of what a command does with the run."""
        self.tell("run_started", spec=spec)
        with self.failing("run_failed"):
            yield
        self.tell("run_ended")

    @contextmanager
    def failing(self, event: str, **about: Any) -> Iterator[None]:
        """Tell of an event with the `error` where what is done inside fails, or is interrupted."""
        try:
            yield
        except BaseException as error:
            self.tell(event, error=error_text(error), **about)
            raise

    def _listening(self, event: str) -> list[_Listener]:
        return [listener for listener in [*self._of_spec, *self._of_hooks()] if event in listener.events]

    @cached_property
    def _of_spec(self) -> list[_Listener]:
        listeners: list[_Listener] = []
        for number, spec in enumerate(self._specs):
            twins = [other.address for other in self._specs[:number]].count(spec.address)
            key = f"{spec.address} {twins + 1}" if twins else spec.address
            events: Mapping[str, Callable[..., Any]] = dict.fromkeys(EVENTS, _nothing)  # that it lacks, if it fails
            listener = _Listener(key, component_label(spec), events)
            with self._failures_of(listener, "build"):
                observer = spec.build(self.run)
                own = [event for event in EVENTS if getattr(type(observer), event) is not getattr(Observer, event)]
                listener = listener._replace(events={event: getattr(observer, event) for event in own})
            listeners.append(listener)
        return listeners

    def _of_hooks(self) -> list[_Listener]:
        manager, found = registry().manager, dict[str, dict[str, Callable[..., Any]]]()
        for name in OBSERVING:
            for hook in getattr(manager.hook, name).get_hookimpls():
                found.setdefault(hook.plugin_name, {})[name.removeprefix(_HOOK)] = partial(_call_hook, hook, self.run)
        return [_Listener(key, registry().label(key), events, _HOOK) for key, events in found.items()]

    @contextmanager
    def _failures_of(self, listener: _Listener, doing: str) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            self._silent.add(listener.key)
            if os.environ.get("VLMKIT_DEBUG"):
                traceback.print_exception(error)
            raised = f"{listener.label}: {doing} raised {error_text(error)}"
            said = str(error) if listener.label in str(error) else raised
            print(f"vlmkit: warning: {said}; the run goes on, and it hears no more of it", file=sys.stderr)


def _nothing(**about: Any) -> None:
    """Stand for the methods of an observer that could not be built."""


def _call_hook(hook: HookImpl, run: Path, **about: Any) -> None:
    given = {"run": run, "config": about.get("options"), **about}
    hook.function(**{name: given[name] for name in hook.argnames})
