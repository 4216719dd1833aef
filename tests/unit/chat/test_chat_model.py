"""A saved model answers conversations: as an evaluation asks it, piece by piece, each within its own limits."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from vlmkit.api import Prompt
from vlmkit.chat.chat_model import ChatModel, ChatRequest
from vlmkit.errors import UserError
from vlmkit.evaluation.answer_model import LoadedModel

QUESTIONS = ("what is it", "how", "who is left of ada", "what color")


@pytest.fixture(scope="module")
def chat(talker: Path) -> ChatModel:
    return ChatModel.open(talker, device="cpu")


def request(question: str, **options: object) -> ChatRequest:
    return ChatRequest([{"role": "user", "content": question}], **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def asked(chat: ChatModel, drawn_clips: list[Path]) -> list[ChatRequest]:
    videos = [chat.encode(chat.look(clip)) for clip in drawn_clips[:2]]
    about = [
        request(f"<video>\n{question}", video=video, max_new_tokens=limit)
        for video in videos
        for question, limit in zip(QUESTIONS, (3, 24, 9, 12), strict=True)
    ]
    return [*about, request("who is ada", max_new_tokens=7)]


def test_answers_are_those_of_an_evaluation(chat: ChatModel, asked: list[ChatRequest]) -> None:
    model = LoadedModel(lambda: (chat.model, chat.processor))
    expected = []
    for each in asked:
        prompt = model.encode_prompt(Prompt(each.messages[0]["content"]), each.video)
        expected += model.answer([prompt], [each.video], [each.max_new_tokens])
    assert [reply.text for reply in chat.reply(asked)] == expected
    assert len(set(expected)) > 4


def test_pieces_together_are_the_answer(chat: ChatModel, asked: list[ChatRequest]) -> None:
    pieces: dict[int, list[str]] = defaultdict(list)
    replies = chat.reply(asked, on_text=lambda row, piece: pieces[row].append(piece))
    assert {row: "".join(said) for row, said in pieces.items()} == {
        row: reply.text for row, reply in enumerate(replies) if reply.text
    }
    assert max(map(len, pieces.values())) > 3


def test_a_reply_tells_its_tokens_and_why_it_ended(chat: ChatModel, asked: list[ChatRequest]) -> None:
    for each, reply in zip(asked, chat.reply(asked), strict=True):
        assert reply.prompt_tokens == len(chat.tokens(each).ids)
        assert reply.finish_reason == ("length" if reply.completion_tokens == each.max_new_tokens else "stop")


def test_an_answer_ends_before_a_stop_text_that_is_never_handed_out(chat: ChatModel, asked: list[ChatRequest]) -> None:
    [whole] = chat.reply([asked[1]])
    stop = whole.text[5:8]
    pieces: list[str] = []
    again = request(asked[1].messages[0]["content"], video=asked[1].video, max_new_tokens=24, stop=(stop,))
    [cut] = chat.reply([again], on_text=lambda row, piece: pieces.append(piece))
    assert cut.text == whole.text[: whole.text.index(stop)].rstrip() == "".join(pieces)
    assert cut.finish_reason == "stop"
    assert cut.completion_tokens < whole.completion_tokens


def test_an_answer_is_told_when_it_is_complete(chat: ChatModel, asked: list[ChatRequest]) -> None:
    told: list[str] = []
    replies = chat.reply(
        asked,
        on_text=lambda row, piece: told.append(f"piece of {row}"),
        on_reply=lambda row, reply: told.append(f"{row}: {reply.text}"),
    )
    places = [told.index(f"{row}: {reply.text}") for row, reply in enumerate(replies)]
    assert all(f"piece of {row}" not in told[place:] for row, place in enumerate(places))
    assert min(places) < len(told) - len(asked)


def test_a_row_is_cancelled_and_the_others_go_on(chat: ChatModel, asked: list[ChatRequest]) -> None:
    whole = chat.reply(asked)
    replies = chat.reply(asked, cancelled=lambda row: row == 1)
    assert replies[1].finish_reason == "cancelled"
    assert replies[1].completion_tokens == 1
    assert replies[2:] == whole[2:]


def test_sampled_answers_repeat_with_their_seed(chat: ChatModel, asked: list[ChatRequest]) -> None:
    drawn = [
        request("<video>\nhow", video=asked[0].video, max_new_tokens=20, temperature=3.0, seed=seed)
        for seed in (1, 2, 1)
    ]
    one, greedy, other, again = (reply.text for reply in chat.reply([drawn[0], asked[1], *drawn[1:]]))
    assert one == again != other
    assert greedy == chat.reply([asked[1]])[0].text


def test_turns_follow_each_other(chat: ChatModel, asked: list[ChatRequest]) -> None:
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "<video>\nwhat is it"},
        {"role": "assistant", "content": "ada"},
        {"role": "user", "content": "who"},
    ]
    text = chat.processor.tokenizer.decode(chat.tokens(ChatRequest(turns, asked[0].video)).ids)
    assert text.index("be brief") < text.index("what is it") < text.index("who")


def test_a_video_without_its_place_is_refused(chat: ChatModel, asked: list[ChatRequest]) -> None:
    with pytest.raises(UserError, match="one video belongs to it"):
        chat.reply([request("what is it", video=asked[0].video)])


def test_the_frames_that_were_seen_have_their_times(chat: ChatModel, drawn_clips: list[Path]) -> None:
    seen = chat.look(drawn_clips[0])
    assert len(seen.seconds) == seen.num_frames_present
    assert list(seen.seconds) == sorted(seen.seconds)
    part = chat.look(drawn_clips[0], span=(0.5, 1.0))
    assert 0.3 < part.seconds[0] < part.seconds[-1] <= 1.0


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta"])
def test_a_device_that_is_not_here_is_told_before_anything_is_loaded(talker: Path, device: str) -> None:
    with pytest.raises(UserError, match=f"--device '?{device}'?: "):
        ChatModel.open(talker, device)
