"""The blind baseline: each question is asked about another clip's video."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from vlmkit.errors import DataError

__all__ = ["other_clips"]


def other_clips(clips: Iterable[str], seed: int) -> dict[str, str]:
    """For each clip another one: the next on a circle of all clips, in an order that the seed decides.

    Every clip stands in for exactly one other. A DataError where there are fewer than two clips.
    """
    circle = sorted(set(clips), key=lambda clip: hashlib.sha256(f"{seed}:{clip}".encode()).digest())
    if len(circle) < 2:
        raise DataError(
            f"the blind baseline asks about another clip's video and needs at least two clips, found {len(circle)}; "
            "use more questions (`limit`), or set evaluation.blind to false"
        )
    return dict(zip(circle, circle[1:] + circle[:1], strict=True))
