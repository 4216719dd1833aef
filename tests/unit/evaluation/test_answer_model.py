"""A real model, tiny and random: no answer depends on what it is asked together with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.api import Prompt
from vlmkit.data import FittedVideo
from vlmkit.evaluation.answer_model import LoadedModel
from vlmkit.evaluation.generate import ModelQuestion, ask
from vlmkit.evaluation.prefetch import VideoPart
from vlmkit.model import compose
from vlmkit.spec.experiment import ModelSpec

from .conftest import MODEL

WORDS = ["what", "who", "how", "is", "it", "of", "ada", "bob", "cy", "dee"]
Item = tuple[int, ModelQuestion]


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    """A model whose embeddings are large, so that small differences of its input make other words."""
    model, processor = compose(ModelSpec.model_validate(MODEL), seed=5)
    with torch.no_grad():
        for value in model.backbone.parameters():
            value.mul_(6)
    return model, processor


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """Sixty questions of several lengths about twelve videos of several numbers of tokens."""
    drawn = random.Random(1)
    return [
        (number, ModelQuestion(Prompt("<video>\n" + " ".join(drawn.choices(WORDS, k=drawn.randrange(1, 12)))),
                               VideoPart(f"{number % 12}"), drawn.choice((4, 7))))
        for number in range(60)
    ]  # fmt: skip


def load(part: VideoPart) -> FittedVideo:
    seed = int(part.path)
    frames = 3 + seed % 6
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 48, 48, 3), np.uint8)
    pixels[frames:] = 0
    return FittedVideo(pixels, [(0, 48, 0, 48), (0, 16, 0, 48), (16, 32, 0, 48)][seed % 3], frames)


def answers(loaded: Any, items: Sequence[Item], batch_size: int) -> dict[int, str]:
    model = LoadedModel(lambda: loaded)
    batches = list(ask(items, lambda item: item[1], model, load, batch_size))
    assert sum(map(len, batches)) == len(items)
    return {item[0]: answer.text for batch in batches for item, answer in batch}


def test_answers_depend_on_nothing_but_the_question(loaded: Any, items: list[Item]) -> None:
    alone = answers(loaded, items, 1)
    assert len(set(alone.values())) > 50, "a wrong place would be seen"
    for size in (2, 7, 16, 100):
        assert answers(loaded, items, size) == alone
    shuffled = random.Random(2).sample(items, 60)
    assert answers(loaded, shuffled, 7) == alone
    assert answers(loaded, shuffled[:23], 7) | answers(loaded, shuffled[23:], 7) == alone, "as after an interruption"


def test_answers_depend_on_the_video(loaded: Any, items: list[Item]) -> None:
    alone = answers(loaded, items, 16)
    others = [(number, asked._replace(part=VideoPart(str((number + 1) % 12)))) for number, asked in items]
    assert sum(answer != alone[number] for number, answer in answers(loaded, others, 16).items()) > 50


def test_answers_are_those_of_the_model_itself(loaded: Any, items: list[Item]) -> None:
    """As a user of transformers asks it: pixels and question, one at a time."""
    model, processor = loaded
    found = answers(loaded, items[:20], 8)
    for number, asked in items[:20]:
        inputs = processor(processor.prompt(asked.prompt.user), load(asked.part))
        ids = model.generate(**inputs, max_new_tokens=asked.max_new_tokens, do_sample=False)
        new = ids[0, inputs["input_ids"].shape[1] :]
        assert found[number] == processor.tokenizer.decode(new, skip_special_tokens=True).strip()


def test_system_and_reply_are_part_of_the_question_and_not_of_the_answer(loaded: Any, items: list[Item]) -> None:
    model, processor = loaded
    number, asked = items[3]
    prompt = Prompt(asked.prompt.user, "what is it?", "it is")
    text = processor.prompt(prompt.user, prompt.system, prompt.reply)
    assert text.endswith("it is")
    inputs = processor(text, load(asked.part))
    ids = model.generate(**inputs, max_new_tokens=asked.max_new_tokens, do_sample=False)
    expected = processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert answers(loaded, [(number, asked._replace(prompt=prompt)), *items[4:9]], 4)[number] == expected
    assert expected != answers(loaded, [items[3]], 4)[number]


def test_a_video_goes_through_the_aligner_once(loaded: Any, items: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    kind = type(loaded[0])
    features = kind.get_video_features
    monkeypatch.setattr(kind, "get_video_features", lambda self, **video: seen.append(1) or features(self, **video))
    answers(loaded, items, 4)
    assert len(seen) == 12
