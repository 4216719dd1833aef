"""Whose fault it is: what the code of a component raises becomes one message that names it.

What a component raises on purpose, a UserError, passes as it is, and so does what the machine lacks: memory, disk.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vlmkit.errors import PluginError, UserError

__all__ = [
    "DISK_FULL",
    "FAULTS",
    "fault",
    "guarded",
    "is_of_the_machine",
    "is_too_large",
    "own",
    "owner",
    "said",
    "spec_of",
]

FAULTS = (Exception, SystemExit)
"""Whatever the code of a plugin raises is the plugin's fault, also the wish to leave."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_TORCH = ("OutOfMemoryError", "_StopRecomputationError")
_TOO_LARGE = ("can't allocate memory", "Storage size calculation overflowed", "Overflow when unpacking")
"""What torch says of sizes that no machine has room for."""
_SPEC = "_vlmkit_spec"
_LONGEST = 300
_REMEDY = "this is a fault of that package: install another version of it, or tell its authors (--debug shows where)"


@contextmanager
def guarded(component: object, doing: str) -> Iterator[None]:
    """A PluginError that names the component and what it was `doing`, for whatever its code raises."""
    try:
        yield
    except FAULTS as error:
        if isinstance(error, UserError) or is_of_the_machine(error):
            raise
        raise fault(component, f"{doing} raised {said(error)}") from error


def fault(component: object, complaint: str) -> PluginError:
    """The error that says what is wrong with a component: `forward gives None, expected a Tensor`."""
    return PluginError(f"{owner(component)}: {complaint}; {_REMEDY}")


def said(error: BaseException) -> str:
    """Type and message of what was raised, in one line."""
    try:
        message = " ".join(str(error).split())
    except Exception:  # also its message can be wrong
        message = ""
    cut = message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
    return f"{type(error).__name__}: {cut}" if cut else type(error).__name__


def is_of_the_machine(error: BaseException) -> bool:
    """Whether memory or disk are used up, or torch steers its own work by this exception: nobody's fault."""
    if is_too_large(error) or (isinstance(error, OSError) and error.errno in DISK_FULL):
        return True
    return type(error).__module__.startswith("torch") and type(error).__name__ in _OF_TORCH


def is_too_large(error: BaseException) -> bool:
    """Whether memory is used up, or was asked for that no machine has."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError | TypeError) and any(words in str(error) for words in _TOO_LARGE)


def own(thing: object, spec: object) -> None:
    """Remember that `thing` (a module, a dataset, a judge, …) was built by this spec, or by what it has built."""
    try:
        object.__setattr__(thing, _SPEC, getattr(spec, _SPEC, spec))
    except (AttributeError, TypeError):  # a class with slots; its module then tells whose it is
        return


def spec_of(thing: object) -> Any:
    """The spec that has built `thing`; None where it was made in another way."""
    return getattr(thing, _SPEC, None)


def owner(component: object) -> str:
    """`dataset 'captions' (captions 1.2)`: of a spec, its class, or what it has built."""
    spec = getattr(component, _SPEC, component)
    cls: Any = spec if isinstance(spec, type) else type(spec)
    name = f"{cls.kind} {cls.component_name()!r}" if hasattr(cls, "component_name") else cls.__qualname__
    return f"{name} ({_package(cls)})"


def _package(cls: type) -> str:
    from vlmkit.registry import registry, searching

    plugin = None if searching() else registry().plugin_of(cls)
    return plugin.package if plugin is not None else f"module {cls.__module__}"
