"""`apply_chat_template` of the processor, as users of transformers call it."""

from __future__ import annotations

import base64
import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
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


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


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
    template = "[{{ messages[0].content }}{{ mood }}]"
    assert processor.apply_chat_template(turn("Hi"), chat_template=template, mood="!") == "[Hi!]"
    system = [{"role": "system", "content": "Watch."}, *turn("Hi")]
    assert processor.apply_chat_template(system, chat_template=template) == "[Watch.\nHi]"


def test_the_template_is_saved_and_read_again(processor: Any, tmp_path: Path) -> None:
    processor.chat_template = "[{{ messages[0].content }}]"
    assert processor.tokenizer.chat_template == processor.chat_template
    processor.save_pretrained(tmp_path / "saved")
    for saved in (VideoLMProcessor.from_pretrained(tmp_path / "saved"), copy.deepcopy(processor)):
        assert saved.chat_template == saved.tokenizer.chat_template == processor.chat_template
        assert saved.apply_chat_template(turn("Hi")) == "[Hi]"
    other = VideoLMProcessor.from_pretrained(tmp_path / "saved", chat_template="({{ messages[0].content }})")
    assert other.apply_chat_template(turn("Hi")) == "(Hi)"


def test_system_words(processor: Any) -> None:
    for content in ("Watch.", [{"type": "text", "text": "Watch."}]):
        messages = [{"role": "system", "content": content}, *turn(QUESTION)]
        text = processor.apply_chat_template(messages, add_generation_prompt=True)
        assert text == processor.prompt(QUESTION, "Watch.")


def test_an_answer_that_goes_on(processor: Any) -> None:
    begun = [*turn(QUESTION), {"role": "assistant", "content": [{"type": "text", "text": "It is "}]}]
    expected = processor.prompt(QUESTION, reply="It is ")
    assert processor.apply_chat_template(begun, continue_final_message=True) == expected
    with pytest.raises(
        UserError, match=r"cannot render this conversation \(user, assistant\): .*continue_final_message"
    ):
        processor.apply_chat_template(begun, continue_final_message=True, add_generation_prompt=True)


def test_as_pipelines_and_the_server_of_transformers_call_it(processor: Any, make_clip: Any) -> None:
    picture = Image.new("RGB", (56, 56), (250, 0, 0))
    shown = ({"type": "image", "image": picture}, {"type": "image_url", "image_url": {"url": _data_url(picture)}})
    expected = processor(processor.prompt("<video>\nWhich colour?"), picture)
    common: dict[str, Any] = {
        "return_tensors": "pt", "tokenize": True, "return_dict": True, "add_generation_prompt": True,
    }  # fmt: skip
    pipelines = common | {"continue_final_message": False, "processor_kwargs": {}}
    server = common | {"tools": None, "load_audio_from_video": True, "num_frames": 32}
    for part in shown:
        for options in (pipelines, pipelines | {"processor_kwargs": {"padding": True, "truncation": True}}):
            found = processor.apply_chat_template(turn([part, PARTS[1]]), **options).to(dtype=torch.bfloat16)
            assert found["pixel_values_videos"].dtype == torch.bfloat16
            assert found["input_ids"].dtype == found["content_box"].dtype == torch.int64
            assert found["frame_mask"].sum() == 1
        with pytest.warns(UserWarning, match="num_frames=32 is not followed|does not hear"):
            found = processor.apply_chat_template(turn([part, PARTS[1]]), **server).to("cpu")
        assert all(torch.equal(found[key], expected[key]) for key in expected)
        processor.__dict__.pop("_said")
    found = processor(text="<video>\nWhich colour?", images=[picture], videos=None, audio=None, return_tensors="pt")
    assert torch.equal(found["pixel_values_videos"], expected["pixel_values_videos"])


def test_what_is_not_followed_is_said_once(processor: Any) -> None:
    with pytest.warns(UserWarning, match=r"num_frames=32 is not followed: .*`reference`, at most 4") as said:
        [processor("Hi", num_frames=32) for _ in range(3)]
    assert len(said) == 1
    with pytest.warns(UserWarning, match="enable_thinking is used neither by the chat template nor by the processor"):
        processor.apply_chat_template(turn("Hi"), enable_thinking=False)
    with pytest.warns(UserWarning, match="tools is used neither by the chat template nor by the processor"):
        processor.apply_chat_template(turn("Hi"), tools=[{"type": "function", "function": {"name": "f"}}])


def test_another_rule_for_frames(composed: Composed, processor: Any) -> None:
    frames = [Image.new("RGB", (56, 56), (level, 0, 0)) for level in range(0, 240, 30)]
    parts = turn([{"type": "video", "video": frames}, PARTS[1]])
    options: dict[str, Any] = {"tokenize": True, "return_dict": True, "sampling": {"type": "uniform", "frames": 8}}
    inputs = processor.apply_chat_template(parts, **options)
    assert inputs["pixel_values_videos"].shape[1] == inputs["frame_mask"].sum() == 8
    assert composed[0].generate(**inputs, max_new_tokens=1).shape[0] == 1
    again = processor.apply_chat_template(parts, tokenize=True, processor_kwargs={"sampling": options["sampling"]})
    assert torch.equal(again, inputs["input_ids"])
    with pytest.raises(UserError, match="chunk_frames is 4, which does not divide 6 frames"):
        processor.fit(frames[:6], sampling={"type": "uniform", "frames": 6})


def test_a_batch_of_conversations(processor: Any, make_clip: Any) -> None:
    clips = [make_clip(0), make_clip(1, wide=True)]
    chats = [turn([{"type": "video", "video": clips[0]}, PARTS[1]]), turn("Why?"), turn(PARTS)]
    options: dict[str, Any] = {"tokenize": True, "return_dict": True, "add_generation_prompt": True}
    found = processor.apply_chat_template(chats, videos=clips[1:], **options)
    assert torch.equal(found["content_box"], torch.tensor([clip.content_box for clip in clips]))
    assert (found["input_ids"] == processor.tokenizer.video_token_id).sum(1).tolist() == [28, 0, 16]
    assert found["attention_mask"][:, -1].all()
    right = processor.apply_chat_template(chats, images=clips[1:], padding_side="right", **options)
    assert right["attention_mask"][:, 0].all()


def test_answers_are_read(processor: Any, make_clip: Any) -> None:
    ids = processor.apply_chat_template(turn([{"type": "video", "video": make_clip()}, PARTS[1]]), tokenize=True)
    said = "USER: \nWhich colour? ASSISTANT:"
    assert processor.post_process_image_text_to_text(ids) == processor.batch_decode(ids, skip_special_tokens=True)
    assert processor.post_process_multimodal_output(ids) == [said]
    assert processor.decode(ids[0], skip_special_tokens=True) == said


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
    with pytest.raises(UserError, match="1 of 1 texts hold <video>, but 0 videos are given; give one video or picture"):
        processor.apply_chat_template(turn(PARTS), tokenize=True)
