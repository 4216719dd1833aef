"""A model of the demo page: videos are looked at once, answers come piece by piece and can be ended."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from vlmkit.chat.chat_model import ChatModel, Reply
from vlmkit.demo import demo_model
from vlmkit.demo.demo_model import DemoModel
from vlmkit.errors import UserError


@pytest.fixture
def model(talker: Path) -> DemoModel:
    return DemoModel(ChatModel.open(talker, "cpu"), 8)


def test_answers_grow_to_the_reply(model: DemoModel, drawn_clips: list[Path]) -> None:
    watched = model.watch(str(drawn_clips[0]))
    *parts, last = model.ask(watched, [], "what is it")
    assert last.reply is not None
    assert last.text == last.reply.text
    assert all(last.text.startswith(part.text) and part.reply is None for part in parts)
    assert last.reply.prompt_tokens > watched.tokens


def test_only_the_last_videos_stay_encoded(
    model: DemoModel, drawn_clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_model, "_KEPT", 2)
    one, two, three = map(str, drawn_clips[:3])
    first, second = model.watch(one), model.watch(two)
    assert model.watch(one) is first
    model.watch(three)
    assert model.watch(one) is first
    assert model.watch(two) is not second


def test_earlier_turns_are_told_without_those_that_have_no_answer(
    model: DemoModel, drawn_clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(model.chat, "reply", lambda requests, **_: told.extend(requests) or [Reply("so", "stop", 9, 1)])
    list(model.ask(model.watch(str(drawn_clips[0])), [("a", "b"), ("c", "")], "d"))
    assert [(message["role"], message["content"]) for message in told[0].messages] == [
        ("user", "<video>\na"),
        ("assistant", "b"),
        ("user", "d"),
    ]


def test_an_answer_that_nobody_waits_for_ends(
    model: DemoModel, drawn_clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Event()

    def reply(_: Any, on_text: Any, cancelled: Any) -> list[Reply]:
        on_text(0, "on")
        while not cancelled(0):
            pass
        ended.set()
        return [Reply("on", "cancelled", 9, 1)]

    monkeypatch.setattr(model.chat, "reply", reply)
    answers = model.ask(model.watch(str(drawn_clips[0])), [], "what")
    assert next(answers).text == "on"
    assert next(answers).text == "on"  # nothing new, but time goes by
    answers.close()  # type: ignore[attr-defined]
    assert ended.wait(10)


def test_errors_come_to_whoever_asks(model: DemoModel, drawn_clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"notes\.mp4"):
        model.watch(str(tmp_path / "notes.mp4"))
    with pytest.raises(UserError, match="<video>"):
        list(model.ask(model.watch(str(drawn_clips[0])), [], "<video> and <video>"))
