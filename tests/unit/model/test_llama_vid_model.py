"""A model with LLaMA-VID's aligner: a conversation's questions, training, answers, and what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.api import Sample, Turn
from vlmkit.chat.chat_model import ChatModel, ChatRequest
from vlmkit.data import FittedVideo
from vlmkit.model import VideoLM, VideoLMProcessor, compose, load
from vlmkit.registry import registry
from vlmkit.spec.experiment import ModelSpec
from vlmkit.training.collate import Collator, LoadedSample
from vlmkit.training.loss import ModelWithLoss, StepTotals

QUESTIONS = ("what is shown?", "which way does it move?")
TURNS = (Turn(f"<video>\n{QUESTIONS[0]}", "red"), Turn(QUESTIONS[1], "left"))


@pytest.fixture
def composed(make_spec: Any) -> tuple[VideoLM, VideoLMProcessor]:
    """Tiny, and its answers depend on their input."""
    aligner = registry().get("aligner", "llama-vid").spec.tiny()
    parts = {"aligner": aligner.model_dump(), "backbone": make_spec().backbone.model_dump()}
    model, processor = compose(ModelSpec.model_validate(parts), seed=3)
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(4)
    return model, processor


@pytest.fixture
def clip() -> FittedVideo:
    """Three frames of noise."""
    pixels = np.random.default_rng(0).integers(0, 255, (3, 28, 28, 3), np.uint8)
    return FittedVideo(pixels, (0, 28, 0, 28), 3)


def test_each_question_of_a_conversation_has_tokens(
    composed: tuple[VideoLM, VideoLMProcessor], clip: FittedVideo
) -> None:
    model, processor = composed
    loaded = LoadedSample("0", Sample("0", TURNS), [{"aligner": clip}])
    batch = Collator(processor, processor.aligner.input, None, 4096)([loaded])
    assert batch.video is not None
    assert batch.questions is not None
    seen: list[int] = []
    encoder = model.aligner.get_submodule("encoder")
    encoder.register_forward_hook(lambda module, inputs, features: seen.append(len(features)))
    ModelWithLoss(model, None)(batch, StepTotals(batch.tokens, 0, 1)).language.backward()
    assert seen == [len(clip.pixels)]
    for name in ("qformer.embeddings.word_embeddings.weight", "query_projector.weight", "encoder.cls_token"):
        gradient = model.aligner.get_parameter(name).grad
        assert gradient is not None, name
        assert gradient.any(), name
    inputs = batch.text | batch.video.model_inputs() | batch.questions.model_inputs()
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True)
        for question, places in zip(QUESTIONS, output.positions, strict=True):
            own = processor([processor.prompt(f"<video>\n{question}")], [clip], questions=question)
            given = {key: own[key] for key in own if key not in ("input_ids", "attention_mask")}
            block = output.hidden_states[0][places[:, 0], places[:, 1]]
            torch.testing.assert_close(block, model.get_video_features(**given).embeddings[0])


def test_answers_with_batch_mates_and_after_loading(
    composed: tuple[VideoLM, VideoLMProcessor], clip: FittedVideo, tmp_path: Path
) -> None:
    model, processor = composed
    for part in composed:
        part.save_pretrained(tmp_path / "saved")
    again, read = load(tmp_path / "saved")
    chats = [ChatModel(model, processor, tmp_path), ChatModel(again, read, tmp_path)]
    said = [[{"role": "user", "content": f"<video>\n{question}"}] for question in QUESTIONS]
    answers = []
    for chat in chats:
        requests = [ChatRequest(messages, chat.encode(clip), 8) for messages in said]
        together = [reply.text for reply in chat.reply(requests)]
        assert together == [chat.reply([request])[0].text for request in requests]
        answers.append(together)
    assert answers[0] == answers[1]
    assert answers[0][0] != answers[0][1]
