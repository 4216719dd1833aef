"""Exceptions of components and libraries become one message that names the component, or the user's file.

A UserError passes as it is, and so does what the machine lacks: memory, disk.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vlmkit.errors import PluginError, SpecError, UserError, shortened
from vlmkit.files import UNREADABLE, is_file, is_folder

__all__ = [
    "DISK_FULL",
    "FAULTS",
    "POINTER",
    "ContractError",
    "building",
    "component_error",
    "component_label",
    "error_text",
    "first_line",
    "guarded",
    "is_machine_error",
    "is_out_of_memory",
    "is_pointer",
    "quiet_transformers",
    "reading",
    "refuse_pointers",
    "set_spec",
    "spec_of",
]

FAULTS = (Exception, SystemExit)
"""Exceptions for which a plugin is at fault when its code raises them; `sys.exit` is one."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_TORCH = ("OutOfMemoryError", "_StopRecomputationError")
_TOO_LARGE = ("can't allocate memory", "Storage size calculation overflowed", "Overflow when unpacking")
"""What torch says of sizes that no machine has room for."""
_SPEC = "_vlmkit_spec"
_REMEDY = "this is a fault of that package: install another version of it, or tell its authors (--debug shows where)"


def _unknown(cls: type) -> str:
    return ""


package_of: Callable[[type], str] = _unknown
"""Return package and version of the plugin that offers a class, empty where none does.

`vlmkit.registry`, which knows the plugins, puts its own function here."""


class ContractError(Exception):
    """Says what was found instead of what was promised; becomes a PluginError that names the component."""


@contextmanager
def guarded(component: object, doing: str) -> Iterator[None]:
    """Raise a PluginError that names the component and what it was `doing`, for whatever its code raises, and for a
    ContractError of what is checked inside."""
    try:
        yield
    except FAULTS as error:
        if isinstance(error, UserError) or is_machine_error(error):
            raise
        complaint = str(error) if isinstance(error, ContractError) else f"raised {error_text(error)}"
        raise component_error(component, f"{doing} {complaint}") from error


@contextmanager
def building(part: str) -> Iterator[None]:
    """Turn what torch or a component raises while a part is composed into a SpecError that names the part.

    Options that fit each other need not fit the rest, and sizes can be beyond what torch counts with.
    """
    try:
        yield
    except UserError:
        raise
    except ValueError as error:
        raise SpecError(f"{part}: {error}") from error
    except ArithmeticError as error:
        raise SpecError(f"{part}: these numbers cannot be worked with: {error_text(error)}") from error
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise SpecError(f"{part}: no machine has room for these sizes: {error_text(error)}") from error


def component_error(component: object, complaint: str) -> PluginError:
    """Return the error that says what is wrong with a component: `forward gives None, expected a Tensor`."""
    return PluginError(f"{component_label(component)}: {complaint}; {_REMEDY}")


def error_text(error: BaseException) -> str:
    """Return type and message of an exception, in one line."""
    try:
        message = " ".join(str(error).split())
    except Exception:  # also its message can be wrong
        message = ""
    return f"{type(error).__name__}: {shortened(message, 300)}" if message else type(error).__name__


def is_machine_error(error: BaseException) -> bool:
    """Return whether memory or disk are used up, or torch steers its own work by this exception."""
    if is_out_of_memory(error) or (isinstance(error, OSError) and error.errno in DISK_FULL):
        return True
    return type(error).__module__.startswith("torch") and type(error).__name__ in _OF_TORCH


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory is used up, or was asked for that no machine has."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError | TypeError) and any(words in str(error) for words in _TOO_LARGE)


def set_spec(thing: object, spec: object) -> None:
    """Remember that `thing` (a module, a dataset, a judge, …) was built by this spec, or by what it has built."""
    try:
        object.__setattr__(thing, _SPEC, getattr(spec, _SPEC, spec))
    except (AttributeError, TypeError):  # a class with slots; its module then tells whose it is
        return


def spec_of(thing: object) -> Any:
    """Return the spec that has built `thing`; None where it was made in another way."""
    return getattr(thing, _SPEC, None)


def component_label(component: object) -> str:
    """Return e.g. `dataset 'captions' (captions 1.2)` for a spec, its class, or what it has built."""
    spec = getattr(component, _SPEC, component)
    cls: Any = spec if isinstance(spec, type) else type(spec)
    name = f"{cls.kind} {cls.component_name()!r}" if hasattr(cls, "component_name") else cls.__qualname__
    return f"{name} ({package_of(cls) or f'module {cls.__module__}'})"


POINTER = "a pointer of Git LFS that stands for the file; run `git lfs pull` in its folder, or download that again"
"""What to say of a file that is one."""
_BEGIN = b"version https://git-lfs.github.com/spec/"
_ERROR = re.compile(r"^\w*Error: ")
_CODE = "trust_remote_code"
"""What transformers tells people to set where a folder wants to run code of its own."""


@contextmanager
def reading(
    expected: str,
    remedy: str,
    error: type[UserError] = UserError,
    folder: Path | None = None,
    blame: Callable[[], str] = str,
) -> Iterator[None]:
    """Raise `error` for whatever a library raises over what a user gave it.

    The message says what was `expected`, and where, and ends with the `remedy`. Pointers of Git LFS in `folder` are
    named; `blame` finds out what is wrong, or nothing. A UserError passes as it is, and so does a lack of memory.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except BaseException as problem:
        kind = type(problem).__name__
        if not isinstance(problem, Exception) and kind != "PanicException":  # of a library in Rust: no Exception
            raise
        if kind == "OutOfMemoryError":  # torch's, of an accelerator
            raise
        if isinstance(problem, OSError) and problem.errno in UNREADABLE:
            where = f"{expected} ({problem.filename})" if problem.filename else expected
            raise error(
                f"{where}: cannot be read: {problem.strerror}; correct who may read it, or the disk, and try again"
            ) from problem
        if folder is not None:
            refuse_pointers(folder, error)
        found = blame()
        raise error(f"{expected}: {found}{': ' if found else ''}{_reason(problem)}; {remedy}") from problem


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence what transformers says of a folder besides errors: what matters of it is in our own messages."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _reason(problem: BaseException) -> str:
    if _CODE in str(problem):
        return (
            "it needs Python code that comes with it (`auto_map`), and code from a model's folder is never run; give a "
            "model that transformers itself knows"
        )
    if isinstance(problem, KeyError):
        return f"there is no {first_line(problem)}"
    return first_line(problem)


def first_line(problem: BaseException) -> str:
    """Return what an error says, without the advice below it."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    if not lines:
        return type(problem).__name__
    if lines[0].endswith(":") and len(lines) > 1:  # what failed; why stands below
        return _ERROR.sub("", lines[1])
    return lines[0]


def is_pointer(file: Path) -> bool:
    """Return whether a clone without Git LFS left its pointer in the place of the file."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return False


def refuse_pointers(folder: Path, error: type[UserError] = UserError) -> None:
    """Raise `error` where files of the folder are pointers of Git LFS."""
    files = sorted(folder.iterdir()) if is_folder(folder) else []
    if found := [file.name for file in files if is_file(file) and is_pointer(file)]:
        raise error(f"{folder}: {', '.join(found)}: expected the content of the file, found {POINTER}")
