"""Several videos and pictures in one conversation, in any turn, and words of the aligner around their tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vlmkit.api import PluginError, TokenLayout, Turn
from vlmkit.chat.chat_model import ChatModel, ChatRequest
from vlmkit.data import FittedVideo
from vlmkit.evaluation.answer_model import LoadedModel
from vlmkit.model import VideoLM, VideoLMProcessor
from vlmkit.model.generation_inputs import find_rows, repeat_videos
from vlmkit_stab.spec import StabSpec

Composed = tuple[VideoLM, VideoLMProcessor]
Clips = Callable[..., FittedVideo]
QUESTIONS = ("<video>\nred or <video>?", "hello", "<video>\nwhich way?")


@pytest.fixture
def clips(make_clip: Clips) -> list[FittedVideo]:
    return [make_clip(0, wide=True), make_clip(1), make_clip(2, wide=True)]


@pytest.fixture
def batch(composed: Composed, clips: list[FittedVideo]) -> dict[str, Tensor]:
    """A row with two videos, one with none, one with one."""
    processor = composed[1]
    return dict(processor([processor.prompt(question) for question in QUESTIONS], clips))


def test_each_video_stands_where_its_placeholder_does(composed: Composed, batch: dict[str, Tensor]) -> None:
    model, processor = composed
    output = model(**batch, output_hidden_states=True)
    assert output.visual.mask.sum(1).tolist() == [16, 28, 16]
    rows, columns = output.positions[output.visual.mask].unbind(1)
    assert rows.tolist() == [0] * 44 + [2] * 16
    assert torch.equal(output.hidden_states[0][rows, columns], output.visual.embeddings[output.visual.mask])
    words = processor.tokenizer.decode(batch["input_ids"][0, columns[15] + 1 : columns[16]])
    assert words.strip() == "red or"


def test_a_row_with_several_videos_is_the_same_alone(
    composed: Composed, batch: dict[str, Tensor], clips: list[FittedVideo]
) -> None:
    model, processor = composed
    alone = model(**processor([processor.prompt(QUESTIONS[0])], clips[:2])).logits[0]
    together = model(**batch).logits[0, batch["attention_mask"][0].bool()]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_training_and_prompts_agree_in_every_turn(composed: Composed, clips: list[FittedVideo]) -> None:
    _, processor = composed
    turns = [Turn("<video>\nred?", "yes"), Turn("and <video> or <video>?", "left of it")]
    ids, _, labels = processor.encode([turns], [clips])
    messages = [
        {"role": "user", "content": [{"type": "video", "video": clips[0]}, {"type": "text", "text": "red?"}]},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "and <video> or <video>?"},
    ]
    options: dict[str, Any] = {"tokenize": True, "add_generation_prompt": True}
    messages[2]["content"] = [{"type": "text", "text": "and"}, {"type": "video", "video": clips[1]}]
    asked = processor.apply_chat_template(messages, **options)[0]
    expected, _, _ = processor.encode([[turns[0], Turn("and\n<video>", "x")]], [clips[:2]])
    assert torch.equal(asked, expected[0, : len(asked)])
    assert processor.tokenizer.decode(labels[labels != -100]) == " yes</s> left of it</s>"
    assert int((ids == processor.video_token_id).sum()) == 16 + 28 + 16


def test_pictures_are_videos_of_one_frame(composed: Composed) -> None:
    _, processor = composed
    pictures = [Image.new("RGB", (56, 56), color) for color in ("red", "blue")]
    batch = processor([processor.prompt("<video> or <video>?")], images=pictures)
    assert batch["frame_mask"].sum(1).tolist() == [1, 1]
    assert not torch.equal(*batch["pixel_values_videos"])


def test_a_row_is_repeated_with_all_of_its_videos() -> None:
    ids = torch.tensor([[9, 9, 1, 9], [1, 1, 1, 1], [9, 9, 1, 1]])
    rows = find_rows(ids, 9, torch.tensor([2, 1, 2]))
    assert rows.tolist() == [0, 0, 2]
    order, copies = repeat_videos(rows, 2)
    assert (order.tolist(), copies.tolist()) == ([0, 1, 0, 1, 2, 2], [0, 0, 1, 1, 4, 5])


@pytest.mark.parametrize("embedded", [False, True])
def test_beams_and_several_answers_see_their_own_videos(
    composed: Composed, batch: dict[str, Tensor], embedded: bool
) -> None:
    model, _ = composed
    with torch.no_grad():
        for value in model.backbone.parameters():
            value.mul_(6)  # another video makes other words
    if embedded:
        pixels = {name: batch.pop(name) for name in ("pixel_values_videos", "content_box", "frame_mask")}
        visual = model.get_video_features(**pixels)
        batch |= {"visual_embeds": visual.embeddings, "visual_mask": visual.mask}
    one = model.generate(**batch, max_new_tokens=6, do_sample=False)
    found = model.generate(
        **batch, max_new_tokens=6, do_sample=True, top_k=1, num_return_sequences=2, output_scores=True
    )
    assert torch.equal(found[::2], one)
    assert torch.equal(found[1::2], one)


def _wrap(self: StabSpec, times: Sequence[float]) -> str:
    marks = [f"[{time:.1f}]<video>" for time in times]
    return f"from {' '.join(marks)} to the end"


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """STAB with a text around the tokens of each frame, which are a quarter of all."""
    layout = StabSpec.layout

    def divided(self: StabSpec, video: Any) -> TokenLayout:
        found = layout(self, video)
        return replace(found, parts=np.full(video.num_frames_present, found.tokens // video.num_frames_present))

    monkeypatch.setattr(StabSpec, "wrap", _wrap)
    monkeypatch.setattr(StabSpec, "layout", divided)


@pytest.mark.usefixtures("in_parts")
def test_words_between_the_parts_of_a_video(composed: Composed, make_clip: Clips) -> None:
    model, processor = composed
    clip = replace(make_clip(), seconds=(0.0, 0.5, 1.0, 2.0))
    ids, _, labels = processor.encode([[Turn("<video>\nred?", "yes"), Turn("why?", "left")]], [clip])
    assert processor.tokenizer.decode(labels[labels != -100]) == " yes</s> left</s>"
    one = "<video>" * 7
    expected = f"USER: from [0.0]{one} [0.5]{one} [1.0]{one} [2.0]{one} to the end\nred? ASSISTANT: yes</s>"
    plain = processor.tokenizer(expected, add_special_tokens=False)["input_ids"]
    assert ids[0, : len(plain)].tolist() == plain
    batch = processor([processor.prompt("<video>\nred?")], [clip])
    assert batch["input_ids"][0].tolist() == plain[: batch["input_ids"].shape[1]]
    output = model(**batch, output_hidden_states=True)
    embedded = output.hidden_states[0][0, batch["input_ids"][0] == processor.video_token_id]
    assert torch.equal(embedded, output.visual.embeddings[0])


@pytest.mark.usefixtures("in_parts")
def test_an_engine_is_told_of_the_words_around_a_video(composed: Composed, make_clip: Clips) -> None:
    _, processor = composed
    frames = np.zeros((4, 56, 56, 3), np.uint8)
    known = {"fps": 2.0, "frames_indices": [0, 2, 4, 6], "total_num_frames": 4}
    output = processor(
        "a <video> b", [frames], return_text_replacement_offsets=True, video_metadata=[known], do_sample_frames=False
    )
    [[offset]] = output["text_replacement_offsets"]
    one = "<video>" * 7
    assert offset["replacement"] == f"from [0.0]{one} [1.0]{one} [2.0]{one} [3.0]{one} to the end"
    assert int((output["mm_token_type_ids"] == 2).sum()) == 28


def test_words_and_layout_that_do_not_agree(
    composed: Composed, make_clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StabSpec, "wrap", _wrap)
    with pytest.raises(PluginError, match=r"stab.*wrap gives text with 4 <video>, expected 1, one for each part"):
        composed[1].encode([[Turn("<video>", "yes")]], [make_clip()])


def test_questions_and_conversations_about_several_videos(composed: Composed, clips: list[FittedVideo]) -> None:
    model, processor = composed
    with torch.no_grad():
        for value in model.backbone.parameters():
            value.mul_(6)  # another video makes other words
    question = "<video>\nred or <video>?"
    inputs = processor([processor.prompt(question)], clips[:2])
    ids = model.generate(**inputs, max_new_tokens=8, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    expected = processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
    chat, loaded = ChatModel(model, processor, Path("chat")), LoadedModel(lambda: composed)
    one, two, three = map(chat.encode, clips)
    prompts = [loaded.encode_prompt("<video>\nwhich way?", three), loaded.encode_prompt(question, [one, two])]
    assert loaded.answer(prompts, [three, [one, two]], [8, 8])[1] == expected
    request = ChatRequest([{"role": "user", "content": question}], [one, two], 8)
    other = ChatRequest([{"role": "user", "content": "<video>\nwhich way?"}], three, 8)
    assert chat.reply([other, request])[1].text == expected
    assert chat.reply([replace(request, video=[two, one])])[0].text != expected
