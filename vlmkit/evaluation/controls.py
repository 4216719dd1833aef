"""Controls: the same questions with something taken away, which tell what share of a score is due to the video."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from vlmkit.api.document import Document
from vlmkit.errors import DataError

if TYPE_CHECKING:
    from vlmkit.data import FittedVideo

__all__ = ["ARRANGEMENTS", "CHANGES", "DUE_TO", "Arrangement", "other_clips", "permute_options"]

ARRANGEMENTS = ("shuffled-frames", "reversed-frames", "single-frame")
"""Controls that change nothing but the order of the frames."""
CHANGES = {
    "other-video": "each question is asked about another clip's video",
    "no-video": "it is asked without a video",
    "shuffled-frames": "the frames are shown in another order, which the seed decides",
    "reversed-frames": "the frames are shown from the last to the first",
    "single-frame": "the frame in the middle is shown in place of all",
    "permuted-options": "the options of a multiple-choice question are offered in another order",
}
"""What is changed, by the name of the control."""
DUE_TO = {
    "other-video": "the video",
    "no-video": "the video",
    "shuffled-frames": "the order of the frames",
    "reversed-frames": "the order of the frames",
    "single-frame": "more than one frame",
    "permuted-options": "the order of the options",
}
"""What the part of a score is due to that is lost with a control."""


def other_clips(clips: Iterable[str], seed: int) -> dict[str, str]:
    """Return for each clip another one: the next on a circle of all clips, in an order that the seed decides.

    Every clip stands in for exactly one other. A DataError where there are fewer than two clips.
    """
    circle = sorted(set(clips), key=lambda clip: hashlib.sha256(f"{seed}:{clip}".encode()).digest())
    if len(circle) < 2:
        raise DataError(
            f"the control other-video asks about another clip's video and needs at least two clips, found "
            f"{len(circle)}; use more questions (`limit`), or take it out of evaluation.controls"
        )
    return dict(zip(circle, circle[1:] + circle[:1], strict=True))


def permute_options(document: Document, seed: int) -> Document:
    """Return the document with its options in another order; the right one stands elsewhere than before."""
    count = len(document.options)
    if count < 2:
        return document
    draw = _draw(seed, document.id)
    if document.correct is None:
        order = draw.sample(range(count), count)
    else:
        right = draw.choice([place for place in range(count) if place != document.correct])
        others = [option for option in range(count) if option != document.correct]
        draw.shuffle(others)
        order = [*others[:right], document.correct, *others[right:]]
    correct = None if document.correct is None else order.index(document.correct)
    return replace(document, options=tuple(document.options[option] for option in order), correct=correct)


class Arrangement(NamedTuple):
    """In which order a control shows the frames of a video."""

    control: str
    """`shuffled-frames`, `reversed-frames` or `single-frame`."""
    seed: int
    video: str
    """Name of the video: another one is shuffled in another way."""

    def apply(self, video: FittedVideo) -> FittedVideo:
        """Return the fitted video with its frames arranged; padding in time stays at the end."""
        count = video.num_frames_present
        order = list(range(count))
        if self.control == "reversed-frames":
            order.reverse()
        elif self.control == "single-frame":
            order = [(count - 1) // 2] * count
        else:
            _draw(self.seed, self.video).shuffle(order)
        return replace(video, pixels=video.pixels[[*order, *range(count, len(video.pixels))]])


def _draw(seed: int, name: str) -> random.Random:
    return random.Random(hashlib.sha256(f"{seed}:{name}".encode()).digest())  # noqa: S311 -- no secret
