"""A conversation in turns: what the model is given, and what is forgotten where it has no positions for all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vlmkit.chat.chat_model import ChatRequest, Reply
from vlmkit.chat.conversation import ChatTurns
from vlmkit.errors import UserError
from vlmkit.evaluation.answer_model import EncodedVideo

VIDEO: Any = EncodedVideo("tokens", None, 0)  # type: ignore[arg-type]


def model(positions: int | None) -> Any:
    """A model for which a word is a token, and a video ten."""

    def tokens(request: ChatRequest) -> Any:
        words = [word for message in request.messages for word in message["content"].split()]
        return SimpleNamespace(ids=np.zeros(len(words) + 9 * words.count("<video>")))

    return SimpleNamespace(tokens=tokens, spec=SimpleNamespace(backbone=SimpleNamespace(positions=positions)))


def said(text: str) -> Reply:
    return Reply(text, "stop", 0, 0)


def texts(request: ChatRequest) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in request.messages]


def test_turns_follow_the_system_and_the_video_stands_in_the_first() -> None:
    talk = ChatTurns(ChatRequest((), max_new_tokens=7, temperature=0.5, seed=3), VIDEO, "be brief")
    talk.add("what", said("a cup"))
    talk.add("why", said(""))
    request = talk.request("who", model(None))
    assert texts(request) == [
        ("system", "be brief"), ("user", "<video>\nwhat"), ("assistant", "a cup"), ("user", "who")
    ]  # fmt: skip
    assert (request.video, request.max_new_tokens, request.temperature, request.seed) == (VIDEO, 7, 0.5, 3)
    talk.reset()
    assert texts(talk.request("who", model(None))) == [("system", "be brief"), ("user", "<video>\nwho")]
    talk.video = None
    assert texts(talk.request("who", model(None)))[1] == ("user", "who")


def test_a_video_that_is_added_stands_in_the_question_behind_it() -> None:
    talk = ChatTurns(ChatRequest(()), VIDEO)
    talk.add("what", said("a cup"))
    second: Any = EncodedVideo("others", None, 0)  # type: ignore[arg-type]
    talk.show(second)
    request = talk.request("which one", model(None))
    assert texts(request) == [("user", "<video>\nwhat"), ("assistant", "a cup"), ("user", "<video>\nwhich one")]
    assert request.video == [VIDEO, second]
    talk.show(VIDEO)
    assert texts(talk.request("this <video> or", model(None)))[-1] == ("user", "<video>\nthis <video> or")
    talk.reset()
    assert texts(talk.request("all", model(None))) == [("user", "<video>\n" * 3 + "all")]


def test_videos_of_forgotten_turns_stand_in_the_first_that_is_left() -> None:
    talk = ChatTurns(ChatRequest((), max_new_tokens=5))
    talk.add("hello", said("you"))
    talk.show(VIDEO)
    for number in range(3):
        talk.add(f"question {number}", said("a long answer"))
    talk.show(VIDEO)
    request = talk.request("the last", model(40))
    assert texts(request)[0] == ("user", "<video>\nquestion 1")
    assert (texts(request)[-1], talk.forgotten) == (("user", "<video>\nthe last"), 2)


def test_a_question_may_say_where_the_video_goes() -> None:
    talk = ChatTurns(ChatRequest(()), VIDEO)
    assert texts(talk.request("look: <video> what", model(None))) == [("user", "look: <video> what")]


def test_the_oldest_turns_are_forgotten_for_want_of_positions() -> None:
    talk = ChatTurns(ChatRequest((), max_new_tokens=5), VIDEO)
    for number in range(4):
        talk.add(f"question {number}", said("a long answer"))
    request = talk.request("the last", model(30))  # 10 of the video, 5 for each turn, 2 and 5 for the answer
    assert texts(request)[0] == ("user", "<video>\nquestion 2")
    assert (len(request.messages), request.max_new_tokens, talk.forgotten) == (5, 5, 2)
    assert talk.turns[0][0] == "question 2"


def test_an_answer_is_no_longer_than_there_are_positions() -> None:
    talk = ChatTurns(ChatRequest((), max_new_tokens=50), VIDEO)
    assert talk.request("two words", model(30)).max_new_tokens == 18
    with pytest.raises(UserError, match="video and question are 30 tokens, which do not fit into the 30 positions"):
        talk.request("word " * 20, model(30))
