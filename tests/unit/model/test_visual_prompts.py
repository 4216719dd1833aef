"""A model whose aligner gives no tokens but prompts, which layers inside the LLM read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from vlmkit.api import Sample, Turn
from vlmkit.chat.chat_model import ChatModel, ChatRequest
from vlmkit.data import FittedVideo
from vlmkit.errors import UserError
from vlmkit.evaluation.answer_model import LoadedModel
from vlmkit.model import VideoLM, VideoLMProcessor, compose, load
from vlmkit.model.placeholders import drop_empty
from vlmkit.model.tokens import Rendered
from vlmkit.model.visual_prompts import arrange_prompts
from vlmkit.spec.experiment import ModelSpec
from vlmkit.training.activation_checkpointing import set_activation_checkpointing
from vlmkit.training.collate import Collator, LoadedSample

from .conftest import BACKBONE

Composed = tuple[VideoLM, VideoLMProcessor]
QUESTIONS = ("<video>\nred or <video>?", "hello", "<video>\nwhich way?")
ALIGNER = {
    "type": "llama-adapter", "input": {"size": 28}, "joint_width": 24, "width": 32, "queries": 3, "blocks": 2,
    "heads": 4,
    "encoder": {"type": "clip-vision", "select": -1, "final_norm": True, "width": 32, "layers": 2, "heads": 4,
                "mlp": 64, "image_size": 28},
}  # fmt: skip
LAYERS = {"type": "llama-adapter", "prompts": 3, "layers": 1}
SPEC = {"aligner": ALIGNER, "backbone": BACKBONE, "layers": LAYERS}
CLIPS = [np.random.default_rng(seed).integers(0, 255, (1, 28, 28, 3), np.uint8) for seed in range(3)]


@pytest.fixture(scope="module")
def prompted() -> Composed:
    """A model whose answers depend on its prompts."""
    model, processor = compose(ModelSpec.model_validate(SPEC), seed=3)
    assert model.layers is not None
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in (*model.layers.parameters(), *model.backbone.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model, processor


@pytest.fixture
def batch(prompted: Composed) -> dict[str, Tensor]:
    processor = prompted[1]
    return dict(processor([processor.prompt(question) for question in QUESTIONS], CLIPS))


def test_a_text_is_that_without_its_video(prompted: Composed, batch: dict[str, Tensor]) -> None:
    processor = prompted[1]
    assert batch["video_rows"].tolist() == [0, 0, 2]
    texts = processor([processor.prompt(text) for text in ("red or ?", "hello", "which way?")])
    assert torch.equal(batch["input_ids"], texts["input_ids"])
    shape = processor.fit(CLIPS[0]).shape
    assert processor.count_tokens(shape) == 0
    shown, plain = (
        processor.encode([[Turn(text, "red"), Turn("and now?", "blue")]], [shapes])
        for text, shapes in (("which one?\n<video>", [shape]), ("which one?", None))
    )
    assert all(torch.equal(*pair) for pair in zip(shown, plain, strict=True))


def test_an_answer_moves_with_its_text() -> None:
    rendered = Rendered("<video>\na<video>b\n<video>", [(9, 17), (24, 26)], ("x", "y"))
    found, counts = drop_empty(rendered, [0, 2, 0])
    assert (found.text, counts, found.read) == ("a<video>b", [2], ("x", "y"))
    assert [found.text[first:last] for first, last in found.answers] == ["<video>b", ""]
    assert drop_empty(rendered, [1, 1, 1]) == (rendered, [1, 1, 1])


def test_a_batch_is_its_rows(prompted: Composed, batch: dict[str, Tensor]) -> None:
    model, processor = prompted
    output = model(**batch)
    assert output.visual_prompts.shape == (1, 3, 6, 32)
    assert output.prompts_mask.sum(1).tolist() == [6, 0, 3]
    blind = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    for row, own in ((0, CLIPS[:2]), (1, None), (2, CLIPS[2:])):
        shown = batch["attention_mask"][row].bool()
        alone = model(**processor([processor.prompt(QUESTIONS[row])], own)).logits[0]
        torch.testing.assert_close(output.logits[row, shown], alone, atol=1e-4, rtol=1e-4)
        is_blind = torch.allclose(output.logits[row, shown], blind[row, shown], atol=1e-3)
        assert is_blind == (own is None)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(prompted: Composed, side: Any) -> None:
    model, processor = prompted
    samples = [[Turn("<video>\nred?", "yes")], [Turn("<video>\nwhich way does it move?", "left, or so")]]
    clips = [processor.fit(clip) for clip in CLIPS[:2]]
    ids, mask, _ = processor.encode(samples, [clip.shape for clip in clips], padding_side=side)
    pixels = processor(["<video>"] * 2, clips)["pixel_values_videos"]
    together = model(input_ids=ids, attention_mask=mask, pixel_values_videos=pixels).logits
    for row in range(2):
        shown = mask[row].bool()
        alone = model(input_ids=ids[row, shown][None], pixel_values_videos=pixels[row, None]).logits[0]
        torch.testing.assert_close(together[row, shown], alone, atol=1e-4, rtol=1e-4)


def test_every_generated_token_reads_the_prompts(prompted: Composed, batch: dict[str, Tensor]) -> None:
    model = prompted[0]
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "return_dict_in_generate": True}
    found = [model.generate(**batch, use_cache=cached, output_logits=True, **options) for cached in (True, False)]
    assert torch.equal(found[0].sequences, found[1].sequences)
    for cached, whole in zip(found[0].logits, found[1].logits, strict=True):
        torch.testing.assert_close(cached, whole, atol=1e-4, rtol=1e-4)
    first = model(**batch, use_cache=True)
    step = {"input_ids": torch.tensor([[5], [6], [7]]), "past_key_values": first.past_key_values}
    step["attention_mask"] = torch.cat([batch["attention_mask"], torch.ones(3, 1, dtype=torch.int64)], 1)
    whole = model(**batch | {"input_ids": torch.cat([batch["input_ids"], step["input_ids"]], 1),
                             "attention_mask": step["attention_mask"]}).logits[:, -1:]  # fmt: skip
    behind = model(**step, visual_prompts=first.visual_prompts, prompts_mask=first.prompts_mask).logits
    torch.testing.assert_close(behind, whole, atol=1e-4, rtol=1e-4)


def test_beams_and_several_answers_see_their_own_videos(prompted: Composed, batch: dict[str, Tensor]) -> None:
    model, processor = prompted
    options = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 4, "min_new_tokens": 4}
    together = model.generate(**batch, **options)
    for row, own in ((0, CLIPS[:2]), (1, None), (2, CLIPS[2:])):
        inputs = processor([processor.prompt(QUESTIONS[row])], own)
        alone = model.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :]
        assert torch.equal(together[2 * row : 2 * row + 2, batch["input_ids"].shape[1] :], alone)
    output = model(**batch)
    text = {name: batch[name] for name in ("input_ids", "attention_mask")}
    prompts = {"visual_prompts": output.visual_prompts, "prompts_mask": output.prompts_mask}
    assert torch.equal(model.generate(**text, **prompts, **options), together)


def test_evaluation_and_chat(prompted: Composed, batch: dict[str, Tensor], tmp_path: Path) -> None:
    model, processor = prompted
    asked = LoadedModel(lambda: prompted)
    encoded = [asked.encode_video(processor.fit(clip)) for clip in CLIPS]
    assert encoded[0].size == 3 * 32 * 4
    shown = [encoded[:2], None, encoded[2]]
    prompts = [asked.encode_prompt(question, each) for question, each in zip(QUESTIONS, shown, strict=True)]
    answers = asked.answer(prompts, shown, [4, 4, 4])
    ids = model.generate(**batch, max_new_tokens=4, do_sample=False)[:, batch["input_ids"].shape[1] :]
    assert answers == [text.strip() for text in processor.tokenizer.batch_decode(ids, skip_special_tokens=True)]
    rows = [asked.encode_prompt(QUESTIONS[2], shown[2], ["red", "left of it"])]
    likelihoods = asked.score(rows, shown[2:])[0]
    other = asked.score(rows, [encoded[0]])[0]
    assert [found.tokens for found in likelihoods] == [found.tokens for found in other]
    assert likelihoods[0].logprob != pytest.approx(other[0].logprob, abs=1e-3)
    chat = ChatModel(model, processor, tmp_path)
    requests = [
        ChatRequest([{"role": "user", "content": question}], each, max_new_tokens=4)
        for question, each in zip(QUESTIONS, shown, strict=True)
    ]
    assert [reply.text for reply in chat.reply(requests)] == answers


def test_saving_keeps_every_bit(prompted: Composed, batch: dict[str, Tensor], tmp_path: Path) -> None:
    model, processor = prompted
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, other = load(tmp_path)
    assert torch.equal(again(**other([other.prompt(q) for q in QUESTIONS], CLIPS)).logits, model(**batch).logits)
    rough = VideoLM.from_pretrained(tmp_path, dtype="bfloat16")
    assert rough.generate(**batch, max_new_tokens=2).shape[0] == 3


def test_training_makes_the_loss_fall() -> None:
    losses: dict[bool, list[float]] = {}
    for recompute in (False, True):
        model: Any
        model, processor = compose(ModelSpec.model_validate(SPEC), seed=3)
        clips = [{"aligner": processor.fit(clip)} for clip in CLIPS]
        talks = [
            (Turn("<video>\nred?", "yes"), Turn("and <video>?", "no")),
            (Turn("hello", "you"),),
            (Turn("<video>\nwhich way?", "left"),),
        ]
        views = [clips[:2], [], clips[2:]]
        samples = [
            LoadedSample(str(number), Sample(id=str(number), turns=talk, video=tuple("ab"[: len(own)])), own)
            for number, (talk, own) in enumerate(zip(talks, views, strict=True))
        ]
        found = Collator(processor, processor.aligner.input, None, 64)(samples)
        assert found.text["video_rows"].tolist() == [0, 0, 2]
        assert found.video is not None
        model.requires_grad_(False)
        trained = [*model.layers.parameters(), *model.aligner.parameters()]
        for parameter in trained:
            parameter.requires_grad_(True)
        model.train()
        set_activation_checkpointing(model.backbone, recompute, model.layers)
        optimizer = torch.optim.AdamW(trained, lr=2e-2)
        losses[recompute] = []
        for step in range(8):
            loss = model(**found.text, **found.video.model_inputs()).loss
            loss.backward()
            if step == 1:  # the gates are open then
                gradient = model.aligner.visual_query.weight.grad
                assert gradient is not None
                assert gradient.any()
            optimizer.step()
            optimizer.zero_grad()
            losses[recompute].append(loss.item())
    assert losses[True] == pytest.approx(losses[False], rel=1e-2)
    assert losses[False][-1] < 0.97 * losses[False][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": None}, "gives 3 prompts of each video, but no layers inside the language model read them; add"),
        ({"layers": {"type": "eve-v2"}}, "gives 3 prompts of each video, but layers 'eve-v2' read none; take"),
        ({"layers": LAYERS | {"prompts": 4}}, "gives 3 prompts of each video, but layers 'llama-adapter' read 4; take"),
        ({"aligner": {"type": "stab"}}, "gives no prompts of each video, but layers 'llama-adapter' read 3; take"),
    ],
)
def test_prompts_that_nobody_reads_or_gives(change: Any, message: str) -> None:
    with pytest.raises(ValidationError) as found:
        ModelSpec.model_validate(SPEC | change)
    assert message in str(found.value)


def test_rows_that_are_none() -> None:
    prompts = torch.randn(2, 3, 4, 8)
    with pytest.raises(ValueError, match="expected the row of each of 3 videos, since there are 2 rows, found None"):
        arrange_prompts(prompts, None, 2)
    for rows in ([0, 1], [1, 0, 1], [0, 1, 2]):
        with pytest.raises(ValueError, match="expected 3 of the rows 0 to 1, ascending"):
            arrange_prompts(prompts, torch.tensor(rows), 2)
    found, mask = arrange_prompts(prompts, torch.tensor([1, 1, 1]), 2)
    assert torch.equal(found[:, 1], prompts.flatten(1, 2))
    assert mask.sum(1).tolist() == [0, 12]


def test_engines_are_told(prompted: Composed) -> None:
    video = FittedVideo(CLIPS[0], (0, 28, 0, 28), 1)
    with pytest.raises(UserError, match="gives prompts, which inference engines do not carry"):
        prompted[1](["<video>"], [video], return_mm_token_type_ids=True)
