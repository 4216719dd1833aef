"""Numbers of specs with the bounds of their sort: far beyond any model, and small enough that a check ends soon.

A plugin's specs use these too: `width: Channels = 1024`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = [
    "MOST_CELLS",
    "MOST_CHANNELS",
    "MOST_LAYERS",
    "MOST_PARAMETERS",
    "MOST_PIXELS",
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
    "Processes",
    "Rate",
    "Seed",
    "Side",
    "Small",
    "Tokens",
    "check_cells",
]

MOST_CHANNELS = 2**16
MOST_LAYERS = 1000
"""Of a language model."""

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


def check_cells(frames: int, grid: tuple[int, int]) -> None:
    """Raise a ValueError where the grids of all frames together are larger than any model has."""
    cells = frames * grid[0] * grid[1]
    if cells > MOST_CELLS:
        raise ValueError(
            f"{frames:,} frames of {grid[0]:,}x{grid[1]:,} are {cells:,} places, expected at most {MOST_CELLS:,}; "
            "lower `input.frames` or `input.size`, or make patches larger"
        )
