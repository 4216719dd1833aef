"""Numbers of specs with the bounds of their sort: far beyond any model, and small enough that a check ends soon.

A plugin's specs use these too: `width: Channels = 1024`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from vlmkit.errors import NAME_PATTERN, SHA256_PATTERN, shown

__all__ = [
    "MOST_CELLS",
    "MOST_CHANNELS",
    "MOST_LAYERS",
    "MOST_PARAMETERS",
    "MOST_PIXELS",
    "MOST_TOKENS",
    "Area",
    "Batch",
    "Channels",
    "Count",
    "Fraction",
    "Frames",
    "Heads",
    "Hidden",
    "Layers",
    "Length",
    "Mebibytes",
    "Name",
    "Processes",
    "Rate",
    "Seed",
    "Sha256",
    "Side",
    "Small",
    "Tokens",
    "check_cells",
    "first_too_large",
]

MOST_CHANNELS = 2**16
MOST_LAYERS = 1000
"""Of a language model."""

Area = Annotated[int, Field(gt=0, le=2**28)]
"""Of a picture, pixels."""
Batch = Annotated[int, Field(gt=0, le=2**20)]
"""Samples or questions that are computed together."""
Channels = Annotated[int, Field(gt=0, le=MOST_CHANNELS)]
"""Width of features."""
Count = Annotated[int, Field(gt=0, le=10**9)]
"""Of what is neither built nor held together: steps, clips, questions."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Frames = Annotated[int, Field(gt=0, le=2**16)]
"""Of a video."""
Heads = Annotated[int, Field(gt=0, le=2**12)]
"""Of an attention."""
Hidden = Annotated[int, Field(gt=0, le=2**20)]
"""Channels inside of an MLP."""
Layers = Annotated[int, Field(gt=0, le=256)]
"""Of an aligner, encoder or downsampler, which are built one by one."""
Length = Annotated[int, Field(gt=0, le=2**24)]
"""Tokens of a sequence."""
Mebibytes = Annotated[int, Field(ge=0, le=2**24)]
Processes = Annotated[int, Field(ge=0, le=2**10)]
"""Or threads."""
Rate = Annotated[float, Field(gt=0, le=1000)]
"""Of learning, or another factor."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Side = Annotated[int, Field(gt=0, le=2**14)]
"""Of a picture or patch, pixels."""
Small = Annotated[float, Field(gt=0, le=1)]
"""What keeps a number away from 0."""
Tokens = Annotated[int, Field(gt=0, le=2**16)]
"""Of a frame, in one direction or altogether."""

MOST_PIXELS = 2**32
"""Of all frames of a video."""
MOST_CELLS = 2**22
"""Of the grids of all frames of a video: patches or tokens."""
MOST_PARAMETERS = 10**13
"""Of a component."""

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=100)]
"""A name that becomes the name of a file or folder."""
Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN)]
"""A checksum, hexadecimal."""


def check_cells(frames: int, grid: tuple[int, int]) -> None:
    """Raise a ValueError where the grids of all frames together are larger than any model has."""
    cells = frames * grid[0] * grid[1]
    if cells > MOST_CELLS:
        raise ValueError(
            f"{frames:,} frames of {grid[0]:,}x{grid[1]:,} are {cells:,} places, expected at most {MOST_CELLS:,}; "
            "lower `input.frames` or `input.size`, or make patches larger"
        )


MOST_TOKENS = 2**24
"""Rows of an embedding table."""
_MOST = 2**18
"""Of anything else that is counted: experts, labels."""
_LARGEST = 2**31 - 1
"""Of any other whole number: positions, windows, ids of tokens."""
_LAYERS = ("layer", "depth", "block")
"""Parts of the names under which configurations count what is built one by one."""
_COUNTS = ("num_", "n_")
"""How the names of other counts begin."""
_LENGTHS = ("_ctx", "_positions", "_size")
"""How names end that are of no count."""


def first_too_large(config: Mapping[str, Any]) -> str:
    """Return what to say of the first number beyond its bound, nested ones included; empty where there is none."""
    for path, value in _numbers(config):
        bound = _bound(path.rpartition(".")[2])
        if abs(value) > bound and (bound < _LARGEST or isinstance(value, int)):
            return f"{path}: expected at most {bound:,}, found {shown(value)}"
    return ""


def _bound(key: str) -> int:
    if key.endswith(_LENGTHS):
        return _LARGEST
    if any(word in key for word in _LAYERS):
        return MOST_LAYERS
    return _MOST if key.startswith(_COUNTS) else _LARGEST


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield every number with its dotted path."""
    stack: list[tuple[str, Any]] = [("", config)]
    while stack:
        path, found = stack.pop()
        if isinstance(found, Mapping):
            stack += [(f"{path}.{key}" if path else str(key), item) for key, item in reversed(list(found.items()))]
        elif isinstance(found, list | tuple):
            stack += [(path, item) for item in found]
        elif isinstance(found, int | float) and not isinstance(found, bool):
            yield path, found
