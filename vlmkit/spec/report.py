"""All problems of a spec in one message: place, dotted path, what was expected, what was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from vlmkit.errors import SpecError
from vlmkit.spec.yaml import Path_

__all__ = ["Problem", "from_pydantic", "spec_error"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a spec."""

    path: Path_
    message: str
    key: Path_ = ()
    """The key below the path that is to blame, where it is one."""


def from_pydantic(error: ValidationError) -> list[Problem]:
    """The problems that pydantic found, in our words."""
    problems = []
    for item in error.errors(include_url=False):
        path = tuple(part for part in item["loc"] if part != "[key]")
        kind, found = item["type"], item["input"]
        if kind == "missing":
            message = "this field is required: give it a value"
        elif kind == "value_error":
            message = str(item["ctx"]["error"])
        elif kind in ("unknown_key", "unknown_component", "no_component", "wrong_kind"):
            message = item["msg"]
        else:
            message = f"{_expected(item['msg'])}; found {found!r} ({type(found).__name__})"
        problems.append(Problem(path, message, ("type",) if kind == "unknown_component" else ()))
    return problems


def _expected(message: str) -> str:
    """`Input should be a valid integer` -> `expected a valid integer`."""
    return message.replace("Input should be ", "expected ").replace("Input should ", "expected to ")


def spec_error(problems: Iterable[Problem], origins: Mapping[Path_, str], name: str) -> SpecError:
    """One SpecError for all problems, each with the nearest known place."""
    lines = [
        f"{_place((*problem.path, *problem.key), origins, name)}: {_dotted(problem.path)}: {problem.message}"
        for problem in problems
    ]
    count = f"{len(lines)} problem{'s' if len(lines) != 1 else ''}"
    return SpecError("\n".join([f"{name}: this spec has {count}", *(f"  {line}" for line in lines)]))


def _place(path: Path_, origins: Mapping[Path_, str], name: str) -> str:
    for length in range(len(path), -1, -1):
        if place := origins.get(path[:length]):
            return place
    return name


def _dotted(path: Path_) -> str:
    return ".".join(map(str, path)) or "the whole spec"
