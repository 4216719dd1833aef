"""Words of an aligner that are one token each: its tokenizer gets them, and the LLM's table rows for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.data import FittedVideo
from vlmkit.model import VideoLM, VideoLMProcessor, compose, load
from vlmkit.model.tokens import add_special_tokens
from vlmkit.spec.experiment import ModelSpec

NEO = {"type": "neo", "width": 16, "patch": 4,
       "input": {"frames": 4, "multiple": 8, "min_pixels": 64, "max_pixels": 1024}}  # fmt: skip


@pytest.fixture
def neo_spec(make_spec: Any) -> Any:
    """The spec of a model whose aligner writes `<img>` and `</img>`, with options of its LLM."""

    def make(**config: Any) -> ModelSpec:
        return ModelSpec.model_validate({"aligner": NEO, "backbone": make_spec(config=config).backbone.model_dump()})

    return make


@pytest.fixture
def clip() -> FittedVideo:
    return FittedVideo(np.zeros((2, 16, 16, 3), np.uint8), (0, 16, 0, 16), 2, (0.0, 1.0))


def check(model: VideoLM, processor: VideoLMProcessor, clip: FittedVideo) -> list[int]:
    """The ids of a prompt, in which each frame stands between marks, the last two of the tokenizer."""
    marks = processor.tokenizer.convert_tokens_to_ids(["<img>", "</img>"])
    assert marks == [len(processor.tokenizer) - 2, len(processor.tokenizer) - 1]
    batch = processor([processor.prompt("<video>\nred?")], [clip])
    ids: list[int] = batch["input_ids"][0].tolist()
    assert [ids.count(mark) for mark in marks] == [2, 2]
    assert model(**batch).logits.isfinite().all()
    return ids


def test_they_are_one_token_each(neo_spec: Any, clip: FittedVideo, tmp_path: Path) -> None:
    model, processor = compose(neo_spec(), seed=3)
    ids = check(model, processor, clip)
    assert len(model.get_input_embeddings().weight) == max(ids) + 1 == 302
    for part in (model, processor):
        part.save_pretrained(tmp_path)
    again, read = load(tmp_path)
    assert check(again, read, clip) == ids
    assert torch.equal(again.get_input_embeddings().weight, model.get_input_embeddings().weight)
    resumed, _ = compose(neo_spec().model_copy(update={"weights": str(tmp_path)}))
    assert torch.equal(resumed.get_input_embeddings().weight, model.get_input_embeddings().weight)
    assert len(compose(neo_spec(), meta=True)[0].get_input_embeddings().weight) == max(ids) + 1


def test_a_table_with_rows_to_spare_stays(neo_spec: Any, clip: FittedVideo) -> None:
    model, processor = compose(neo_spec(vocab_size=400), seed=3)
    check(model, processor, clip)
    assert model.get_input_embeddings().weight.shape == (400, 32)
    assert model.config.text_config.vocab_size == 400


def test_others_get_none(composed: tuple[VideoLM, VideoLMProcessor]) -> None:
    model, processor = composed
    tokenizer = processor.tokenizer
    assert len(model.get_input_embeddings().weight) == len(tokenizer)
    assert "<img>" not in tokenizer.get_vocab()
    assert add_special_tokens(tokenizer, ()) == 0
    assert add_special_tokens(tokenizer, ("<a>",)) == add_special_tokens(tokenizer, ("<a>",)) == len(tokenizer)
