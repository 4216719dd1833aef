"""Running the blocks of a transformer, and those of published files that are not built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from torch import Tensor

__all__ = ["later_blocks", "outputs_of"]


def outputs_of(blocks: Iterable[Callable[[Tensor], Tensor]], x: Tensor, indices: Sequence[int]) -> list[Tensor]:
    """Return x after each of the blocks `indices`, counted from 0; those behind the last one are not run."""
    found: dict[int, Tensor] = {}
    for index, block in enumerate(islice(blocks, max(indices) + 1)):
        x = block(x)
        if index in indices:
            found[index] = x
    return [found[index] for index in indices]


def later_blocks(names: Iterable[str], layers: int, prefixes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the beginnings, without a prefix, of the names of blocks behind the first `layers`."""
    found = set()
    for name in names:
        prefix = next(filter(name.startswith, prefixes), "")
        kind, number, *_ = (*name.removeprefix(prefix).split("."), "")
        if kind == "blocks" and number.isdecimal() and int(number) >= layers:
            found.add(f"blocks.{number}.")
    return tuple(sorted(found))
