"""Placeholders in texts: which video each stands for, the aligner's words around it, and how many tokens it becomes.

Shape letter: S positions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

from vlmkit.api.video import VideoShape
from vlmkit.errors import UserError
from vlmkit.formatting import plural
from vlmkit.model.tokens import IGNORE, VIDEO, Rendered, Tokens

__all__ = ["PlacedVideo", "ShownVideos", "check_count", "deal_videos", "drop_empty", "expand_placeholders",
           "insert_texts", "placed_videos"]  # fmt: skip

T = TypeVar("T")
_LINE = re.compile(rf"\n{VIDEO}|{VIDEO}\n?")
"""A placeholder with the line break that sets it apart."""


@runtime_checkable
class _HasShape(Protocol):
    """A video of which shape and times are known: a `FittedVideo`, an `EncodedVideo`, a `PlacedVideo`."""

    @property
    def shape(self) -> VideoShape: ...
    @property
    def times(self) -> tuple[float, ...]: ...


ShownVideos: TypeAlias = "VideoShape | _HasShape | Sequence[VideoShape | _HasShape] | None"
"""The videos of one text: none, one or several. Of each its shape is enough; its times are then not known."""


class PlacedVideo(NamedTuple):
    """A video that stands in a text, without its pixels."""

    shape: VideoShape
    times: tuple[float, ...]
    """When each frame that holds a picture is shown, seconds; NaN where that is not known."""


def placed_videos(shown: ShownVideos) -> list[PlacedVideo]:
    """Return the videos of one text."""
    if shown is None:
        return []
    if isinstance(shown, VideoShape):
        return [PlacedVideo(shown, (math.nan,) * shown.num_frames_present)]
    if isinstance(shown, _HasShape):
        return [PlacedVideo(shown.shape, shown.times)]
    return [video for each in shown for video in placed_videos(each)]


def deal_videos(texts: Sequence[str], videos: Sequence[T]) -> list[list[T]]:
    """Assign videos, in their order, to the placeholders of texts. A UserError where the numbers differ."""
    counts = [text.count(VIDEO) for text in texts]
    if sum(counts) != len(videos):
        holding = sum(map(bool, counts))
        often = f", {sum(counts)} times in all" if sum(counts) > holding else ""
        raise UserError(
            f"{holding} of {len(texts)} texts hold {VIDEO}{often}, but {len(videos)} videos are given; "
            f"give one video or picture for each {VIDEO}, and write {VIDEO} where it goes"
        )
    rest = iter(videos)
    return [[next(rest) for _ in range(count)] for count in counts]


def check_count(text: str, videos: int, row: int) -> None:
    """Raise a UserError where the text in a row of the batch has another number of placeholders than videos."""
    if (found := text.count(VIDEO)) != videos:
        whose = {0: "no video belongs", 1: "one video belongs"}.get(videos, f"{plural(videos, 'video')} belong")
        raise UserError(f"text {row} of the batch holds {VIDEO} {found} times, but {whose} to it")


def insert_texts(rendered: Rendered, texts: Sequence[str]) -> Rendered:
    """Return the same with each placeholder replaced by one of the texts, in their order."""
    if all(text == VIDEO for text in texts):
        return rendered
    pieces = rendered.text.split(VIDEO)
    ends = list(accumulate(len(piece) + len(VIDEO) for piece in pieces[:-1]))

    def moved(place: int) -> int:
        return place + sum(len(text) - len(VIDEO) for end, text in zip(ends, texts, strict=True) if end <= place)

    whole = "".join(part for pair in zip(pieces, [*texts, ""], strict=True) for part in pair)
    return Rendered(whole, [(moved(first), moved(last)) for first, last in rendered.answers], rendered.read)


def drop_empty(rendered: Rendered, counts: Sequence[int]) -> tuple[Rendered, list[int]]:
    """Return the same without the placeholders that become 0 tokens, nor the line break that sets each of them apart,
    and the counts of those that stay."""
    if all(counts):
        return rendered, list(counts)
    text = rendered.text
    found = zip(_LINE.finditer(text), counts, strict=True)
    spans = [match.span() for match, count in found if not count]

    def moved(place: int) -> int:
        return place - sum(min(end, place) - begin for begin, end in spans if begin < place)

    begins, ends = [0, *(end for _, end in spans)], [*(begin for begin, _ in spans), len(text)]
    kept = "".join(text[begin:end] for begin, end in zip(begins, ends, strict=True))
    answers = [(moved(first), moved(last)) for first, last in rendered.answers]
    return Rendered(kept, answers, rendered.read), [count for count in counts if count]


def expand_placeholders(tokens: Tokens, video_token_id: int, counts: Sequence[int]) -> Tokens:
    """Return the same with `counts[k]` placeholders, which have no label, where the k-th stood."""
    is_placeholder_S = tokens.ids == video_token_id
    repeats_S = np.ones(len(tokens.ids), np.int64)
    repeats_S[is_placeholder_S] = counts
    labels_S = np.where(is_placeholder_S, IGNORE, tokens.labels)
    return Tokens(np.repeat(tokens.ids, repeats_S), np.repeat(labels_S, repeats_S))
