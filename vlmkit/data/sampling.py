"""Which frames of a video are looked at: the rules that `VideoInput.sampling` names.

Letters: N frames in the video, n frames wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = ["frame_positions"]


def frame_positions(rule: str, num_frames: int, fps: float, frames: int) -> list[int]:
    """Positions, ascending, of at most `frames` frames of a video of `num_frames` frames at `fps` frames per second.

    `uniform` and `segment-centre` give exactly `frames` positions (repeated where the video is shorter). The others may
    give fewer; what is missing is padding in time, except for `one-fps`, where the video simply has fewer frames.
    A ValueError for an unknown rule or numbers below one.
    """
    if rule not in _RULES:
        raise ValueError(f"sampling: expected one of {', '.join(sorted(_RULES))}, found {rule!r}")
    if num_frames < 1 or frames < 1:
        raise ValueError(f"expected at least one frame, found {num_frames} in the video and {frames} wanted")
    return _RULES[rule](num_frames, fps, frames)


def _reference(total: int, fps: float, wanted: int) -> list[int]:
    """Video-Panda (`model/dataloader.py`): one frame per second, thinned evenly where these are too many; where they
    are too few, evenly spaced ones. The reference fails below two frames and below half a frame per second."""
    seconds = _every_second(total, fps)
    if len(seconds) > wanted:
        return _thin(seconds, wanted)
    if len(seconds) == wanted:
        return list(seconds)
    count = min(wanted, total)
    step = max(1, (total - 1) // max(1, count - 1))
    return [step * i for i in range(count)]


def _one_fps(total: int, fps: float, wanted: int) -> list[int]:
    """Chat-UniVi: one frame per second, thinned evenly where these are too many."""
    seconds = _every_second(total, fps)
    return list(seconds) if len(seconds) <= wanted else _thin(seconds, wanted)


def _uniform(total: int, fps: float, wanted: int) -> list[int]:
    """Video-LLaVA: evenly from the first frame to the last."""
    return _thin(range(total), wanted)


def _segment_midpoint(total: int, fps: float, wanted: int) -> list[int]:
    """Video-ChatGPT: the middle between the rounded ends of each segment; no more segments than frames."""
    count = min(total, wanted)
    segment = (total - 1) / count
    return [(round(segment * i) + round(segment * (i + 1))) // 2 for i in range(count)]


def _segment_centre(total: int, fps: float, wanted: int) -> list[int]:
    """PLLaVA: half a segment behind the rounded start of each segment."""
    segment = (total - 1) / wanted
    return [int(segment / 2 + round(segment * i)) for i in range(wanted)]


def _every_second(total: int, fps: float) -> range:
    stride = max(1, round(fps)) if math.isfinite(fps) else 1
    return range(0, total, stride)


def _thin(positions: range, wanted: int) -> list[int]:
    return [positions[int(i)] for i in np.linspace(0, len(positions) - 1, wanted)]


_RULES: dict[str, Callable[[int, float, int], list[int]]] = {
    "one-fps": _one_fps,
    "reference": _reference,
    "segment-centre": _segment_centre,
    "segment-midpoint": _segment_midpoint,
    "uniform": _uniform,
}
