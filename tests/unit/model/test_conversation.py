"""`apply_chat_template` of the processor, as users of transformers call it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoProcessor

from vlmkit.errors import UserError
from vlmkit.model import VideoLM, VideoLMProcessor

Composed = tuple[VideoLM, VideoLMProcessor]
QUESTION = "<video>\nWhich colour?"
PARTS: list[dict[str, Any]] = [{"type": "video"}, {"type": "text", "text": "Which colour?"}]


@pytest.fixture
def processor(composed: Composed, tmp_path: Path) -> Any:
    """As it is read again by transformers."""
    composed[1].save_pretrained(tmp_path)
    composed[0].config.save_pretrained(tmp_path)
    return AutoProcessor.from_pretrained(tmp_path)


def turn(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


@pytest.mark.parametrize("content", [QUESTION, PARTS, tuple(PARTS)])
def test_a_prompt(composed: Composed, processor: Any, content: Any) -> None:
    for one in (composed[1], processor):
        assert one.apply_chat_template(turn(content), tokenize=False, add_generation_prompt=True) == one.prompt(
            QUESTION
        )
    assert processor.prompt(QUESTION) == composed[1].prompt(QUESTION) == f"USER: {QUESTION} ASSISTANT:"


def test_several_conversations(processor: Any) -> None:
    answered = [*turn(PARTS[::-1]), {"role": "assistant", "content": [{"type": "text", "text": "Red."}]}]
    texts = processor.apply_chat_template([answered, turn("Why?")])
    assert texts == ["USER: Which colour?\n<video> ASSISTANT: Red.</s>", "USER: Why? ASSISTANT:"]


def test_tokens_are_those_of_a_call(processor: Any, make_clip: Any) -> None:
    clips = [make_clip(0), make_clip(1)]
    expected = processor([processor.prompt(QUESTION)] * 2, clips)
    parts = [[{"type": "video", "video": clip}, PARTS[1]] for clip in clips]
    options: dict[str, Any] = {"add_generation_prompt": True, "tokenize": True}
    for given, more in (([turn(part) for part in parts], {}), ([turn(QUESTION)] * 2, {"videos": clips})):
        found = processor.apply_chat_template(given, return_dict=True, return_tensors="pt", **options, **more)
        assert list(found) == list(expected)
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    ids = processor.apply_chat_template(turn(parts[0]), **options)
    assert torch.equal(ids, expected["input_ids"][:1])


def test_what_the_model_takes(composed: Composed, processor: Any, make_clip: Any) -> None:
    inputs = processor.apply_chat_template(
        turn([{"type": "video", "video": make_clip()}, PARTS[1]]),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
    )
    assert composed[0].generate(**inputs, max_new_tokens=2).shape[0] == 1


def test_another_template(processor: Any) -> None:
    assert processor.apply_chat_template(turn("Hi"), chat_template="[{{ messages[0].content }}]") == "[Hi]"


@pytest.mark.parametrize(
    ("conversation", "said"),
    [
        (turn([{"type": "audio", "url": "x"}]), r"expected the parts of a message to be .*, found {'type': 'audio'"),
        (turn([{"type": "text"}]), "expected the parts of a message to be"),
        (turn(["Which?"]), "expected the parts of a message to be .*, found 'Which\\?'"),
        (["Which?"], r"expected messages like {role: user, content: …}, found 'Which\?'"),
        ([{"content": "Which?"}], "expected messages like {role: user"),
    ],
)
def test_what_is_no_conversation(processor: Any, conversation: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        processor.apply_chat_template(conversation)


def test_a_video_that_is_not_given(processor: Any) -> None:
    with pytest.raises(UserError, match="1 of 1 texts hold <video>, but 0 videos are given"):
        processor.apply_chat_template(turn(PARTS), tokenize=True)
