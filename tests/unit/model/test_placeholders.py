"""Placeholders in texts: the video that each stands for, and what becomes of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlmkit.api import UserError
from vlmkit.api.video import VideoShape
from vlmkit.model.placeholders import (
    PlacedVideo,
    check_count,
    deal_videos,
    expand_placeholders,
    insert_texts,
    placed_videos,
)
from vlmkit.model.tokens import Rendered, Tokens

SHAPE = VideoShape(4, 28, 28, (0, 28, 0, 28), 3)


def test_videos_of_a_text() -> None:
    timed = PlacedVideo(SHAPE, (0.0, 1.0, 2.0))
    assert placed_videos(None) == placed_videos([]) == []
    assert placed_videos(timed) == [timed]
    [unknown, known] = placed_videos([SHAPE, timed])
    assert known == timed
    assert len(unknown.times) == 3
    assert all(map(math.isnan, unknown.times))


def test_videos_are_dealt_in_the_order_of_the_placeholders() -> None:
    assert deal_videos(["<video> and <video>", "no", "a <video>"], "abc") == [["a", "b"], [], ["c"]]
    message = r"2 of 3 texts hold <video>, 3 times in all, but 2 videos are given; give one video or picture for each"
    with pytest.raises(UserError, match=message):
        deal_videos(["<video> and <video>", "no", "a <video>"], "ab")


def test_counts_that_differ() -> None:
    check_count("<video> <video>", 2, 0)
    with pytest.raises(UserError, match="text 4 of the batch holds <video> 1 times, but 2 videos belong to it"):
        check_count("<video>", 2, 4)


def test_answers_move_with_the_words_around_a_video() -> None:
    text = "<video>a? yes.<video>b? no."
    rendered = Rendered(text, [(10, 14), (24, 27)])
    assert [text[first:last] for first, last in rendered.answers] == ["yes.", "no."]
    moved = insert_texts(rendered, ["[<video>]at 0:<video>", "<video>"])
    assert moved.text == "[<video>]at 0:<video>a? yes.<video>b? no."
    assert [moved.text[first:last] for first, last in moved.answers] == ["yes.", "no."]
    assert insert_texts(rendered, ["<video>"] * 2) is rendered


def test_each_placeholder_becomes_its_own_number() -> None:
    tokens = Tokens(np.array([1, 9, 2, 9, 3]), np.array([-100, 9, -100, -100, 3]))
    ids, labels, _ = expand_placeholders(tokens, 9, [2, 3])
    assert ids.tolist() == [1, 9, 9, 2, 9, 9, 9, 3]
    assert labels.tolist() == [-100] * 7 + [3]
