"""The sides to which pictures are scaled where their area is bounded, not their sides. Pure arithmetic."""

from __future__ import annotations

import math

__all__ = ["MOST_ELONGATED", "scale_between", "scale_down_to_area", "scale_to_area"]

MOST_ELONGATED = 200
"""The long side of a picture, in short sides, up to which these rules are applied, as in Qwen2-VL's code."""

_Sides = tuple[int, int]


def scale_down_to_area(width: int, height: int, most: int, unit: int) -> _Sides:
    """Return (width, height) by EVEv2's rule of training (baaivision/EVE): larger pictures are scaled down to `most`
    pixels; then each side is rounded to the nearest multiple of `unit`, at least one."""
    scale = min(1.0, math.sqrt(most) / math.sqrt(width * height))
    return _nearest(width * scale, unit), _nearest(height * scale, unit)


def scale_to_area(width: int, height: int, most: int, unit: int) -> _Sides:
    """Return (width, height) by EVEv2's rule of inference: scaled up or down to `most` pixels; then each side is
    rounded up to a multiple of `unit`."""
    scale = math.sqrt(most) / math.sqrt(width * height)
    return math.ceil(width * scale / unit) * unit, math.ceil(height * scale / unit) * unit


def scale_between(width: int, height: int, least: int, most: int, unit: int) -> _Sides:
    """Return (width, height) by Qwen2-VL's `smart_resize`, which NEO takes: sides are rounded to the nearest multiple
    of `unit`; where that is more than `most` pixels the picture is scaled down to these and rounded down, where it is
    less than `least` scaled up and rounded up."""
    rounded = _nearest(width, unit), _nearest(height, unit)
    if rounded[0] * rounded[1] > most:
        scale = math.sqrt(width * height / most)
        return max(unit, math.floor(width / scale / unit) * unit), max(unit, math.floor(height / scale / unit) * unit)
    if rounded[0] * rounded[1] < least:
        scale = math.sqrt(least / (width * height))
        return math.ceil(width * scale / unit) * unit, math.ceil(height * scale / unit) * unit
    return rounded


def _nearest(side: float, unit: int) -> int:
    return max(unit, round(side / unit) * unit)
