"""The rules by which frames are chosen. Each gives ascending positions, at most as many as are wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from vlmkit.api import Sampler

if TYPE_CHECKING:
    from vlmkit_samplers.spec import FpsSpec

__all__ = ["RULES", "FpsSampler", "RuleSampler"]

_SLACK = 1e-6
"""Frames by which a time may lie before that of a frame: rates like 29.97 are rounded."""
_MANY = 10**9
"""More frames than anybody wants."""
Rule = Callable[[int, float, int], list[int]]


class RuleSampler(Sampler):
    """A rule of the number of frames, frames per second, and frames wanted."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def positions(self, num_frames: int, fps: float, times: Sequence[float] | None, wanted: int) -> list[int]:
        """Return the positions that the rule gives."""
        return self.rule(num_frames, fps, wanted)


def _reference(total: int, fps: float, wanted: int) -> list[int]:
    """The reference (`model/dataloader.py`) fails below two frames and below half a frame per second."""
    seconds = _every_second(total, fps)
    if len(seconds) > wanted:
        return _thin(seconds, wanted)
    if len(seconds) == wanted:
        return list(seconds)
    count = min(wanted, total)
    step = max(1, (total - 1) // max(1, count - 1))
    return [step * i for i in range(count)]


def _one_fps(total: int, fps: float, wanted: int) -> list[int]:
    seconds = _every_second(total, fps)
    return list(seconds) if len(seconds) <= wanted else _thin(seconds, wanted)


def _uniform(total: int, fps: float, wanted: int) -> list[int]:
    return _thin(range(total), wanted)


def _segment_midpoint(total: int, fps: float, wanted: int) -> list[int]:
    count = min(total, wanted)
    segment = (total - 1) / count
    return [(round(segment * i) + round(segment * (i + 1))) // 2 for i in range(count)]


def _segment_centre(total: int, fps: float, wanted: int) -> list[int]:
    segment = (total - 1) / wanted
    return [int(segment / 2 + round(segment * i)) for i in range(wanted)]


def _segment_middle(total: int, fps: float, wanted: int) -> list[int]:
    count = min(total, wanted)
    ends = [int(end) for end in np.linspace(0, total, count + 1)]
    found = [(start + end - 1) // 2 for start, end in pairwise(ends)]
    return found + found[-1:] * (wanted - count)


def _segment_start(total: int, fps: float, wanted: int) -> list[int]:
    return [i * total // wanted for i in range(wanted)]


def _stride(total: int, fps: float, wanted: int) -> list[int]:
    count = min(total, wanted)
    return [int(i * (total / count)) for i in range(count)]


def _interior_points(total: int, fps: float, wanted: int) -> list[int]:
    step = total / (wanted + 1)
    return [int(i * step) for i in range(1, wanted + 1)]


def _every_second(total: int, fps: float) -> range:
    stride = max(1, round(fps)) if math.isfinite(fps) else 1
    return range(0, total, stride)


def _thin(positions: range, wanted: int) -> list[int]:
    return [positions[int(i)] for i in np.linspace(0, len(positions) - 1, wanted)]


RULES: dict[str, Rule] = {
    "interior-points": _interior_points,
    "one-fps": _one_fps,
    "reference": _reference,
    "segment-centre": _segment_centre,
    "segment-middle": _segment_middle,
    "segment-midpoint": _segment_midpoint,
    "segment-start": _segment_start,
    "stride": _stride,
    "uniform": _uniform,
}


class FpsSampler(Sampler):
    """Frames at regular times."""

    def __init__(self, spec: FpsSpec) -> None:
        self.spec = spec

    def positions(self, num_frames: int, fps: float, times: Sequence[float] | None, wanted: int) -> list[int]:
        """Return the positions of the frames that are shown at 0, s, 2 s, … seconds.

        s is 1 / `fps` of the spec, or the duration divided by the number of frames where that is bounded.
        """
        shown = None if times is None else np.asarray(times, np.float64) - times[0]
        if shown is not None and num_frames > 1 and shown[-1] > 0:
            fps = num_frames / (2 * shown[-1] - shown[-2])  # the last frame lasts as long as the one before
        else:
            shown = None
        known = math.isfinite(fps) and fps > 0
        natural = math.ceil(min(num_frames / fps * self.spec.fps, _MANY) - _SLACK) if known else wanted
        group = 2 if self.spec.even else 1
        count = max(group, min(max(natural, self.spec.min_frames), wanted, num_frames) // group * group)
        stride = fps / self.spec.fps if known and 0 <= natural - count < group else num_frames / count
        places = stride * np.arange(count)  # in frames
        found = np.floor(places + _SLACK)
        if shown is not None:
            found = np.searchsorted(shown, places / fps + _SLACK, side="right") - 1
        return [min(int(position), num_frames - 1) for position in found]
