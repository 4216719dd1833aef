"""Pipelines of transformers, which load a model by themselves and make batches by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import pipeline
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.any_to_any import AnyToAnyPipeline
from transformers.utils import is_torchvision_available

from vlmkit.model import VideoLM, VideoLMProcessor
from vlmkit.model.any_to_any import AnyToAny

Composed = tuple[VideoLM, VideoLMProcessor]
TASKS = ("image-text-to-text", "any-to-any")
QUESTIONS = ("red?", "which way does the red circle move? left, or so?", "what colour?")


@pytest.fixture
def saved(composed: Composed, tmp_path: Path) -> Path:
    """The tiny model on disk."""
    for part in composed:
        part.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def chat(question: str, seed: int) -> list[dict[str, Any]]:
    """One turn about noise: four frames, or for an even seed a single picture."""
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 56, 56, 3), np.uint8)
    part = {"type": "video", "video": pixels} if seed % 2 else {"type": "image", "image": Image.fromarray(pixels[0])}
    return [{"role": "user", "content": [part, {"type": "text", "text": question}]}]


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_those_of_the_model_itself_alone_and_in_a_batch(saved: Path, composed: Composed, task: str) -> None:
    model, processor = composed
    pipe = pipeline(task, model=str(saved))
    assert "right" not in (pipe.tokenizer.padding_side, pipe.processor.tokenizer.padding_side)
    chats = [chat(question, seed) for seed, question in enumerate(QUESTIONS)]
    options: dict[str, Any] = {"max_new_tokens": 4, "return_full_text": False}
    alone = [pipe(text=one, **options)[0]["generated_text"] for one in chats]
    expected = []
    for one in chats:
        inputs = processor.apply_chat_template(one, tokenize=True, return_dict=True, add_generation_prompt=True)
        new = model.generate(**inputs, max_new_tokens=4)[0, inputs["input_ids"].shape[1] :]
        expected.append(processor.tokenizer.decode(new, skip_special_tokens=True))
    assert alone == expected
    assert len(set(alone)) > 1
    assert [answers[0]["generated_text"] for answers in pipe(text=chats, batch_size=3, **options)] == alone


def test_any_to_any_asks_other_models_for_torchvision(composed: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(AnyToAnyPipeline, "__init__", lambda self, *args, **kwargs: asked.append(args))
    model, processor = composed
    AnyToAny(model, task="any-to-any", processor=processor, tokenizer=processor.tokenizer)
    assert asked == []
    AnyToAny(model.backbone, task="any-to-any")
    assert asked == [(model.backbone,)]


def test_other_pipelines_are_transformers_own() -> None:
    tasks = PIPELINE_REGISTRY.supported_tasks
    own = {task for task, entry in tasks.items() if "vlmkit" in str(entry["impl"])}
    assert own == (set() if is_torchvision_available() else {"any-to-any"})
