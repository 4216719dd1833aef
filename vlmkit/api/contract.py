"""Checks of what components return, made where it enters vlmkit.

A base class lists the members that its subclasses promise (`_promises`). Whoever calls one gets a value that was
checked; what the member raises, or returns instead, is one PluginError that names the component and its package. An
override that calls the member it overrides is checked once, from outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial, wraps
from importlib import import_module
from numbers import Real
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar, NamedTuple

from pydantic import ValidationError

from vlmkit.errors import PluginError, UserError, half_character, shown
from vlmkit.guard import FAULTS, ContractError, component_error, error_text, is_machine_error, set_spec

__all__ = [
    "Contract",
    "ContractError",
    "Promise",
    "Promises",
    "builds",
    "check_int",
    "check_none",
    "check_number",
    "check_optional_int",
    "check_sides",
    "check_text",
    "check_type",
    "enforce",
    "of_type",
    "type_name",
    "versioned",
]

Check = Callable[..., Any]
"""`check(component, answer, *arguments)` returns the answer, or raises `ContractError`."""


class Promise(NamedTuple):
    """The check of what one member of a component returns."""

    check: Check
    refuses: bool = False
    """True where it may raise a ValueError, with both numbers, for what does not fit its options."""
    failed: Callable[..., Any] | None = None
    """`failed(problem, error, *arguments)` returns the answer where it fails, from the error that names the component
    and what was raised."""


Promises = Mapping[str, Promise]
_ROUNDING = 1e-9
"""By how much a number may lie outside of its range: a mean of ones can exceed 1."""


class Contract:
    """Base of what a plugin's objects derive from, apart from specs and modules."""

    _promises: ClassVar[Promises] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        enforce(cls, cls._promises)


def enforce(cls: type, promises: Promises, unless: Callable[[], bool] | None = None) -> None:
    """Check what all members return that a class itself defines, except while `unless` is true."""
    for name, promise in promises.items():
        member = cls.__dict__.get(name)
        if getattr(member, "__isabstractmethod__", False):
            continue
        if isinstance(member, FunctionType):
            setattr(cls, name, _watched(cls, name, member, promise, unless))
        elif isinstance(member, staticmethod | classmethod):
            setattr(cls, name, _Bound(member, partial(_watched, cls, name, promise=promise, unless=unless)))
        elif isinstance(member, property) and member.fget is not None:
            setattr(cls, name, property(_watched(cls, name, member.fget, promise, None), doc=member.__doc__))
        elif isinstance(member, cached_property):
            kept = cached_property(_watched(cls, name, member.func, promise, None))
            kept.__set_name__(cls, name)
            setattr(cls, name, kept)


class _Bound:
    """A static or class method, which is checked where it is called of an object."""

    def __init__(self, member: Any, watched: Callable[..., Any]) -> None:
        self._member, self._watched = member, watched

    def __get__(self, component: Any, owner: type) -> Callable[..., Any]:
        function: Callable[..., Any] = self._member.__get__(component, owner)
        if component is None:
            return function
        without_self = wraps(function)(lambda _, *args, **kwargs: function(*args, **kwargs))
        return partial(self._watched(function=without_self), component)


def _watched(
    cls: type, name: str, function: Callable[..., Any], promise: Promise, unless: Callable[[], bool] | None
) -> Callable[..., Any]:
    @wraps(function)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        definer = next((base for base in type(self).__mro__ if name in base.__dict__), None)
        if (unless is not None and unless()) or definer is not cls:
            return function(self, *args, **kwargs)
        try:
            return promise.check(self, function(self, *args, **kwargs), *args, **kwargs)
        except FAULTS as error:
            # those of pydantic and of codecs have no words for the user
            refusal = isinstance(error, ValueError) and not isinstance(error, ValidationError | UnicodeError)
            if is_machine_error(error) or (promise.refuses and refusal):
                raise
            problem = _problem(self, name, args, error)
            if promise.failed is not None:
                return promise.failed(problem, error, *args, **kwargs)
            if isinstance(error, UserError):
                raise
            raise problem from error

    return watched


def _problem(component: object, name: str, args: tuple[object, ...], error: BaseException) -> PluginError:
    if isinstance(error, UserError):
        return error if isinstance(error, PluginError) else PluginError(str(error))
    doing = "the length" if name == "__len__" else name
    if len(args) == 1 and isinstance(args[0], int | str | Path):
        doing = f"{name}({shown(args[0])})"
    complaint = str(error) if isinstance(error, ContractError) else f"raised {error_text(error)}"
    return component_error(component, f"{doing} {complaint}")


def check_type(found: object, expected: type, name: str = "") -> Any:
    """Return `found` itself where it is of the type. `name` is how people know the type."""
    if not isinstance(found, expected):
        package = "vlmkit.api." if expected.__module__.startswith("vlmkit.api") else ""
        raise ContractError(f"gives {type_name(found)}, expected {name or f'a {package}{expected.__name__}'}")
    return found


def type_name(found: object) -> str:
    """Return the type of what was found, in words."""
    if isinstance(found, type):
        return f"the class {found.__name__} itself"
    return "None (is a `return` missing?)" if found is None else f"a {type(found).__name__}"


def of_type(expected: type, name: str = "") -> Check:
    """Return the check of a member that returns something of this type."""
    return lambda component, answer, *_, **__: check_type(answer, expected, name)


def builds(address: str, then: Check | None = None, *, refuses: bool = False) -> Promise:
    """Return the promise of `build`: an object of the class at `address` (`module:Class`), marked with its spec.

    `then(spec, object, …)` sees it next, and returns what is handed out.
    """

    def belongs(spec: object, answer: object, *args: Any, **kwargs: Any) -> object:
        module, _, name = address.partition(":")
        check_type(answer, getattr(import_module(module), name))
        set_spec(answer, spec)
        return answer if then is None else then(spec, answer, *args, **kwargs)

    return Promise(belongs, refuses)


def versioned(name: str, what: str) -> Check:
    """Return the check of a built object that states its `version`, which changes whenever `what` it gives may."""

    def has_version(spec: object, built: object) -> object:
        version = getattr(built, "version", None)
        if version is None or not check_text(version, f"{name} whose `version` is"):
            raise ContractError(
                f'gives {name} without `version`; write `version = "1"` and change it whenever {what} may'
            )
        return built

    return has_version


def check_text(found: object, what: str) -> str:
    """Return text that can be written to a file, where it is such."""
    if not isinstance(found, str):
        raise ContractError(f"gives {what} {type_name(found)}, expected text")
    if half_character(found):
        raise ContractError(f"gives {what} {shown(found)}, which no file can hold; expected text")
    return found


def check_int(component: object, found: object, *_: Any, least: int = 1, what: str = "", **__: Any) -> int:
    """Return a whole number of at least `least`."""
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise ContractError(f"gives {what}{shown(found)}, expected a whole number of at least {least}")
    return found


def check_optional_int(component: object, found: object) -> int | None:
    """Return a positive whole number, or None."""
    return None if found is None else check_int(component, found)


def check_sides(component: object, found: object, *_: object) -> tuple[int, int]:
    """Return (height, width), both positive."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ContractError(f"gives {shown(found)}, expected (height, width)")
    height, width = found
    return check_int(component, height, what="the height "), check_int(component, width, what="the width ")


def check_none(component: object, found: object, *_: object) -> None:
    """Check that nothing is returned: what does not fit is a ValueError."""
    if found is not None:
        raise ContractError(f"gives {shown(found)}, expected None, or a ValueError where something does not fit")


def check_number(found: object, what: str, lowest: float = -math.inf, highest: float = math.inf) -> float:
    """Return a finite number of this range, as a float: numpy's numbers too."""
    if isinstance(found, Real) and not isinstance(found, bool) and math.isfinite(value := float(found)):
        inside = min(max(value, lowest), highest)
        if abs(inside - value) <= _ROUNDING:
            return inside
        raise ContractError(f"gives {what} {shown(found)}, expected a number from {lowest:g} to {highest:g}")
    raise ContractError(f"gives {what} {shown(found)}, expected a finite number")
