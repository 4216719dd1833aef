"""Prompts, expansion of `<video>`, labels, truncation, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vlmkit.api import OpenVideo, Reader, Turn
from vlmkit.data import FittedVideo, to_batch
from vlmkit.errors import CheckpointError, UserError
from vlmkit.model import VideoLM, VideoLMProcessor, compose
from vlmkit_readers.spec import DecordSpec

Clips = Callable[..., FittedVideo]


@pytest.fixture
def processor(composed: tuple[VideoLM, VideoLMProcessor]) -> VideoLMProcessor:
    return composed[1]


def learnt(processor: VideoLMProcessor, labels: torch.Tensor) -> str:
    return str(processor.tokenizer.decode(labels[labels != -100]))


def test_prompt(processor: VideoLMProcessor) -> None:
    assert processor.prompt("<video>\nred?") == "USER: <video>\nred? ASSISTANT:"


def test_answers_with_their_end_are_learnt(processor: VideoLMProcessor, make_clip: Clips) -> None:
    clip = make_clip(wide=True)
    samples = [[Turn("<video>\nwhat colour?", "red"), Turn("which way?", "left of it")], [Turn("hello", "you")]]
    ids, mask, labels = processor.encode(samples, [clip.shape, None])
    assert learnt(processor, labels[0]) == " red</s> left of it</s>"
    assert learnt(processor, labels[1]) == " you</s>"
    kept = labels != -100
    assert torch.equal(ids[kept], labels[kept])
    assert mask.sum(1).tolist()[1] < mask.sum(1).tolist()[0] == ids.shape[1]
    assert (ids[1, mask[1] == 0] == processor.tokenizer.pad_token_id).all()


def test_video_becomes_as_many_placeholders_as_the_layout_says(processor: VideoLMProcessor, make_clip: Clips) -> None:
    for wide, tokens in ((False, 28), (True, 16)):
        ids, _, labels = processor.encode([[Turn("<video>\nred?", "yes")]], [make_clip(wide=wide).shape])
        is_placeholder = ids == processor.tokenizer.video_token_id
        assert is_placeholder.sum() == tokens == processor.aligner.layout(make_clip(wide=wide).shape).tokens
        assert (labels[is_placeholder] == -100).all()


def test_prompt_is_what_training_saw(processor: VideoLMProcessor, make_clip: Clips) -> None:
    clip = make_clip()
    prompt = processor([processor.prompt("<video>\nwhat colour?")], [clip])["input_ids"][0]
    trained, _, labels = processor.encode([[Turn("<video>\nwhat colour?", "red")]], [clip.shape])
    assert torch.equal(trained[0, : len(prompt)], prompt)
    assert (labels[0, : len(prompt)] == -100).all()
    assert (labels[0, len(prompt) :] != -100).all()


def test_padding_sides(processor: VideoLMProcessor) -> None:
    texts = ["a", "a red circle"]
    left, right = processor(texts), processor(texts, padding_side="right")
    assert left["attention_mask"][0, -1] == right["attention_mask"][0, 0] == 1
    assert left["attention_mask"][0, 0] == right["attention_mask"][0, -1] == 0


def test_pixels_are_those_of_the_data_pipeline(processor: VideoLMProcessor, make_clip: Clips) -> None:
    clip = make_clip(wide=True)
    batch = processor(["<video>"], [clip])
    expected = to_batch([clip], processor.aligner.input)
    assert torch.equal(batch["pixel_values_videos"], expected.pixels)
    assert batch["content_box"].tolist() == [[0, 28, 0, 56]]


def test_frames_are_fitted(processor: VideoLMProcessor) -> None:
    batch = processor(["<video>"], [np.zeros((3, 90, 160, 3), np.uint8)])
    assert batch["content_box"].tolist() == [[0, 56, 0, 56]]
    assert batch["frame_mask"].tolist() == [[True, True, True, False]]


def test_a_single_video_needs_no_list(
    processor: VideoLMProcessor, make_clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, fit = make_clip(), processor.fit
    monkeypatch.setattr(processor, "fit", lambda video, **_: clip if isinstance(video, str | Path) else fit(video))
    for video in ("a.mp4", Path("a.mp4"), clip, np.zeros((3, 90, 160, 3), np.uint8)):
        alone, listed = processor(text="<video>", videos=video), processor(text="<video>", videos=[video])
        assert all(torch.equal(alone[key], listed[key]) for key in listed)
    several = processor(text=["<video>", "<video>"], videos=np.zeros((2, 3, 90, 160, 3), np.uint8))
    assert len(several["pixel_values_videos"]) == 2


def test_truncation_at_the_end(processor: VideoLMProcessor, make_clip: Clips) -> None:
    sample = [[Turn("<video>\nred?", "yes " * 20)]]
    ids, mask, labels = processor.encode(sample, [make_clip().shape], max_length=50)
    whole = processor.encode(sample, [make_clip().shape])
    assert ids.shape == mask.shape == labels.shape == (1, 50)
    assert torch.equal(ids, whole.input_ids[:, :50])


def test_truncation_never_cuts_a_video(processor: VideoLMProcessor, make_clip: Clips) -> None:
    with pytest.raises(UserError, match="max_length 20 leaves no room for the 28 tokens of a video"):
        processor.encode([[Turn("<video>\nred?", "yes")]], [make_clip().shape], max_length=20)


def test_video_and_text_have_to_go_together(processor: VideoLMProcessor, make_clip: Clips) -> None:
    with pytest.raises(UserError, match="text 1 of the batch holds <video> 0 times, but one video belongs to it"):
        processor.encode([[Turn("<video> a", "b")], [Turn("a", "b")]], [make_clip().shape] * 2)
    with pytest.raises(UserError, match="1 times, but no video"):
        processor.encode([[Turn("<video> a", "b")]], [None])
    with pytest.raises(UserError, match="2 times, but one video"):
        processor.encode([[Turn("<video> <video>", "b")]], [make_clip().shape])
    with pytest.raises(UserError, match="1 of 2 texts hold <video>, but 2 videos are given"):
        processor(["<video>", "a"], [make_clip(), make_clip()])


def test_template_that_rewrites_the_past_is_refused(processor: VideoLMProcessor) -> None:
    processor.tokenizer.chat_template = "{{ messages | length }}{% for m in messages %} {{ m['content'] }}{% endfor %}"
    with pytest.raises(UserError, match="chat template cannot be used for training"):
        processor.encode([[Turn("a", "b")]], [None])


def test_vicuna_begins_once_with_the_begin_token(make_spec: Any) -> None:
    processor = compose(make_spec(backbone={"chat_template": "vicuna-v1"}))[1]
    ids, _, labels = processor.encode([[Turn("red?", "yes"), Turn("sure?", "no")]], [None])
    assert (ids == processor.tokenizer.bos_token_id).sum() == 1
    assert ids[0, 0] == processor.tokenizer.bos_token_id
    text = processor.tokenizer.decode(ids[0])
    assert text.startswith(
        "<s>A chat between a curious user and an artificial intelligence assistant. The assistant gives"
    )
    assert text.endswith("questions. USER: red? ASSISTANT: yes</s>USER: sure? ASSISTANT: no</s>")
    assert learnt(processor, labels[0]) == " yes</s> no</s>"


def test_lengths(processor: VideoLMProcessor, make_clip: Clips) -> None:
    whole = processor(["a", "a red circle"])
    lengths = whole["attention_mask"].sum(1).tolist()
    longer = processor(["a", "a red circle"], padding="max_length", max_length=lengths[1] + 3)
    assert longer["input_ids"].shape[1] == lengths[1] + 3
    assert torch.equal(longer["input_ids"][:, 3:], whole["input_ids"])
    assert (longer["input_ids"][:, :3] == processor.tokenizer.pad_token_id).all()
    assert longer["attention_mask"].sum(1).tolist() == lengths
    right = processor(["a", "a red circle"], None, "right", padding="max_length", max_length=lengths[1] + 3)
    assert torch.equal(right["input_ids"][:, :-3], processor(["a", "a red circle"], None, "right")["input_ids"])
    cut = processor(["a red circle"], truncation=True, max_length=2)
    assert torch.equal(cut["input_ids"], processor(["a red circle"])["input_ids"][:, :2])
    assert processor(["a", "b"], padding=False)["input_ids"].shape[0] == 2
    with pytest.raises(UserError, match=r"padding=False: expected texts of one length, found \[1, \d+\] tokens"):
        processor(["a", "a red circle"], padding=False)
    with pytest.raises(UserError, match="max_length 20 leaves no room for the 28 tokens of a video"):
        processor("<video>", make_clip(), truncation=True, max_length=20)


def test_what_is_no_text(processor: VideoLMProcessor, make_clip: Clips) -> None:
    with pytest.raises(UserError, match="text: expected a text or a list of texts, found <PIL"):
        processor(Image.new("RGB", (4, 4)), "<video>")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="videos, images: expected one of them"):
        processor(["<video>", "<video>"], videos=make_clip(), images=make_clip())


def test_unknown_arguments(processor: VideoLMProcessor) -> None:
    with pytest.raises(TypeError, match="imgaes"):
        processor(["a"], imgaes=[])


class _Grey(Reader):
    """A single grey frame, whatever the file."""

    def open(self, source: Any) -> OpenVideo:
        return _GreyVideo(num_frames=1, fps=1.0, width=56, height=56)


class _GreyVideo(OpenVideo):
    def frames(self, positions: Sequence[int]) -> Any:
        return np.full((len(positions), 56, 56, 3), 128, np.uint8)


def test_a_saved_processor_keeps_its_reader(make_spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, processor = compose(make_spec(), reader=DecordSpec(threads=3))
    processor.save_pretrained(tmp_path)
    saved = VideoLMProcessor.from_pretrained(tmp_path)
    assert saved.reader == {"type": "decord", "threads": 3}
    built: list[Any] = []
    monkeypatch.setattr(DecordSpec, "build", lambda spec: built.append(spec) or _Grey())
    assert (saved.fit("no-such.mp4").pixels[0] == 128).all()
    assert built == [DecordSpec(threads=3)]


def test_a_reader_that_is_gone_names_its_package(make_spec: Any, tmp_path: Path) -> None:
    _, processor = compose(make_spec(), reader=DecordSpec())
    processor.reader = {"type": "gone"}
    processor.reader_origin = {"reader/gone": {"plugin": "gone", "package": "goner", "version": "1.2"}}
    processor.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"needs the reader 'gone' of .* from the package goner 1.2"):
        VideoLMProcessor.from_pretrained(tmp_path).fit("a.mp4")
