"""Parts whose numbers nobody can build: one SpecError that names the part, before memory is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from vlmkit.api.bounds import MOST_PARAMETERS
from vlmkit.errors import SpecError, UserError
from vlmkit.guard import is_too_large, said

__all__ = ["check_room", "check_size", "composing"]


@contextmanager
def composing(part: str) -> Iterator[None]:
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
        raise SpecError(f"{part}: these numbers cannot be worked with: {said(error)}") from error
    except Exception as error:
        if not is_too_large(error):
            raise
        raise SpecError(f"{part}: no machine has room for these sizes: {said(error)}") from error


def check_size(module: nn.Module, part: str) -> None:
    """Raise a SpecError where a part has more parameters than any model."""
    parameters = sum(value.numel() for value in module.parameters())
    if parameters > MOST_PARAMETERS:
        raise SpecError(
            f"{part}: these options make {parameters:,} parameters, expected at most {MOST_PARAMETERS:,}; make its "
            "widths smaller, or its layers fewer"
        )


def check_room(module: nn.Module, part: str) -> None:
    """Raise a SpecError where a part, here on the meta device, does not fit into this machine's memory."""
    needed = sum(value.nbytes for value in (*module.parameters(), *module.buffers()))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise SpecError(
            f"{part}: its weights take {needed / 2**30:,.1f} GiB, this machine has {there / 2**30:,.1f} GiB of memory; "
            "make its widths smaller, or its layers fewer"
        )
