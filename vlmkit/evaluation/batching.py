"""Questions in batches of about equal length, while few of their videos are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from vlmkit.evaluation.answer_model import EncodedPrompt, EncodedVideo

__all__ = ["BatchPool", "ReadyQuestion"]

T = TypeVar("T")
_WINDOW = 8
"""Batches among whose questions those of a batch are chosen."""
_MOST_BYTES = 1 << 29
"""Of encoded videos that wait, unless a single batch has more."""


class ReadyQuestion(NamedTuple, Generic[T]):
    """A question that can be asked."""

    item: T
    prompt: EncodedPrompt
    video: EncodedVideo | None


class BatchPool(Generic[T]):
    """Questions that wait for a batch.

    A batch is made of questions of about equal length, so that little of it is padding. A video is kept as long as a
    question about it waits; at most so many wait as fill eight batches, and fewer where their videos are large.
    """

    def __init__(self, size: int) -> None:
        """Make batches of `size` questions; the last ones may be smaller."""
        self.size = size
        self._waiting: list[ReadyQuestion[T]] = []

    def add(self, questions: Sequence[ReadyQuestion[T]]) -> Iterator[list[ReadyQuestion[T]]]:
        """Take some questions, and yield batches while too many wait."""
        self._waiting += questions
        self._waiting.sort(key=lambda ready: -ready.prompt.length)
        while len(self._waiting) >= self.size and self._is_full():
            starts = range(len(self._waiting) - self.size + 1)
            yield self._take(min(starts, key=self._padding))

    def rest(self) -> Iterator[list[ReadyQuestion[T]]]:
        """Yield what waits, in batches."""
        while self._waiting:
            yield self._take(0)

    def _is_full(self) -> bool:
        videos = {id(ready.video): ready.video.size for ready in self._waiting if ready.video is not None}
        return len(self._waiting) >= _WINDOW * self.size or sum(videos.values()) > _MOST_BYTES

    def _padding(self, start: int) -> int:
        """Return by how much the longest and the shortest differ of those from `start` on that fill a batch."""
        return self._waiting[start].prompt.length - self._waiting[start + self.size - 1].prompt.length

    def _take(self, start: int) -> list[ReadyQuestion[T]]:
        batch = self._waiting[start : start + self.size]
        del self._waiting[start : start + self.size]
        return batch
