"""Batches of about equal length, and what waits for them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from vlmkit.evaluation import batching
from vlmkit.evaluation.answer_model import EncodedPrompt, EncodedVideo
from vlmkit.evaluation.batching import BatchPool, ReadyQuestion


def ready(length: int, video: EncodedVideo, name: Any = None) -> ReadyQuestion[Any]:
    return ReadyQuestion(name, EncodedPrompt(None, length), video)


def video(size: int = 1) -> EncodedVideo:
    return EncodedVideo(object(), None, size)  # type: ignore[arg-type]


def padding(batches: Iterable[list[ReadyQuestion[Any]]]) -> int:
    return sum(max(q.prompt.length for q in batch) - q.prompt.length for batch in batches for q in batch)


def test_every_question_is_asked_once_with_little_padding() -> None:
    drawn = random.Random(3)
    lengths = [drawn.randrange(10, 200) for _ in range(403)]
    pool, batches, waiting = BatchPool[int](8), [], []
    for start in range(0, 403, 3):
        shown = video()
        some = [ready(length, shown, start + place) for place, length in enumerate(lengths[start : start + 3])]
        batches += list(pool.add(some))
        waiting.append(len(pool._waiting))
    assert max(waiting) < 64
    batches += list(pool.rest())
    assert sorted(q.item for batch in batches for q in batch) == list(range(403))
    assert [len(batch) for batch in batches] == [8] * 50 + [3]
    in_order = [[ready(length, shown) for length in lengths[start : start + 8]] for start in range(0, 403, 8)]
    assert padding(batches) < padding(in_order) / 5


def test_large_videos_do_not_wait(monkeypatch: Any) -> None:
    monkeypatch.setattr(batching, "_MOST_BYTES", 100)
    pool = BatchPool[int](2)
    assert list(pool.add([ready(5, video(101))])) == [], "a batch is never cut short"
    [batch] = pool.add([ready(5, video(101))])
    assert len(batch) == 2
    shared = video(60)
    assert list(pool.add([ready(5, shared) for _ in range(5)])) == [], "a video counts once"
    assert len(list(pool.add([ready(5, video(60))]))) == 3
