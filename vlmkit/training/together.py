"""What the processes of a launcher do together, and one process alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from vlmkit.errors import UserError

__all__ = ["agree", "everywhere", "gather", "share", "together"]

T = TypeVar("T")


def together() -> int:
    """Return how many processes know each other by now; 1 where this is the only one."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if distributed else 1


@contextmanager
def everywhere() -> Iterator[None]:
    """Mark a UserError as one that all processes raise: they all do the same with what they have told each other."""
    try:
        yield
    except UserError as error:
        error.everywhere = True
        raise


def gather(value: T) -> list[T]:
    """Return the values of all processes. All must call it."""
    count = together()
    if count == 1:
        return [value]
    values: list[T] = [value] * count
    torch.distributed.all_gather_object(values, value)
    return values


def share(items: Sequence[T]) -> Sequence[T]:
    """Return this process's part of some work; of a process that does not know the others: all of it."""
    count = together()
    return items[torch.distributed.get_rank() :: count] if count > 1 else items


def agree(work: Callable[[], T]) -> T:
    """Return what `work` gives. All processes must call it; where one of them raises a UserError, all do."""
    result: T | None = None
    error: UserError | None = None
    try:
        result = work()
    except UserError as caught:
        error = caught
    raised = [other for other in gather(error) if other is not None]
    if raised:
        with everywhere():
            raise error or raised[0]
    return result  # type: ignore[return-value]  # without an error there is one
