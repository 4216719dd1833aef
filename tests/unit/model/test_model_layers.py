"""A model with layers inside its LLM: any aligner with any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vlmkit.api import Turn
from vlmkit.data import FittedVideo
from vlmkit.errors import SpecError, UserError
from vlmkit.evaluation.answer_model import LoadedModel
from vlmkit.model import VideoLM, VideoLMProcessor, compose, load
from vlmkit.model.token_context import token_cells
from vlmkit.registry import registry
from vlmkit.spec.experiment import ModelSpec
from vlmkit.training.activation_checkpointing import set_activation_checkpointing

Composed = tuple[VideoLM, VideoLMProcessor]
Clips = Callable[..., FittedVideo]
LAYERS = [name for name in registry().names("layers") if not registry().get("layers", name).spec.tiny().num_prompts]
"""Those that go with any aligner; for others see test_visual_prompts.py."""
QUESTIONS = ("<video>\nred?", "hello", "<video>\nwhich way does the red circle move?")


@pytest.fixture
def make_layered(make_spec: Any) -> Callable[..., ModelSpec]:
    """The tiny model's spec with layers of this name, and an LLM of a family that they fit."""

    def make(name: str, **config: Any) -> ModelSpec:
        layers = registry().get("layers", name).spec.tiny()
        family = {"model_type": layers.families[0]} | config
        spec = make_spec(config=family | ({"head_dim": 8} if family["model_type"] == "qwen3" else {}))
        return spec.model_copy(update={"layers": layers})

    return make


@pytest.fixture(params=LAYERS)
def layered(request: Any, make_layered: Any) -> Composed:
    """A model whose text and visual tokens take clearly different ways."""
    model, processor = compose(make_layered(request.param), seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in (*model.layers.parameters(), *model.backbone.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model, processor


@pytest.fixture
def batch(layered: Composed, make_clip: Clips) -> dict[str, Tensor]:
    processor = layered[1]
    return dict(processor([processor.prompt(q) for q in QUESTIONS], [make_clip(0, wide=True), make_clip(1)]))


def rows(processor: VideoLMProcessor, make_clip: Clips) -> list[dict[str, Tensor]]:
    clips = [[make_clip(0, wide=True)], [], [make_clip(1)]]
    return [dict(processor([processor.prompt(q)], clip or None)) for q, clip in zip(QUESTIONS, clips, strict=True)]


def test_names_and_parts(layered: Composed, batch: dict[str, Tensor]) -> None:
    model = layered[0]
    assert {name.partition(".")[0] for name in model.state_dict()} == {"aligner", "backbone", "layers"}
    output = model(**batch, output_hidden_states=True)
    assert len(output.hidden_states) == 3


def test_a_batch_is_its_rows(layered: Composed, batch: dict[str, Tensor], make_clip: Clips) -> None:
    model, processor = layered
    together = model(**batch).logits
    for row, alone in enumerate(rows(processor, make_clip)):
        shown = batch["attention_mask"][row].bool()
        torch.testing.assert_close(together[row, shown], model(**alone).logits[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(layered: Composed, make_clip: Clips, side: Any) -> None:
    model, processor = layered
    samples = [[Turn("<video>\nred?", "yes")], [Turn("<video>\nwhich way does it move?", "left, or so")]]
    clip = make_clip(1)
    videos = dict(processor(["<video>"], [clip]))
    video = {name: videos[name] for name in ("pixel_values_videos", "content_box", "frame_mask")}
    ids, mask, _ = processor.encode(samples, [clip.shape] * 2, padding_side=side)
    twice = {name: torch.cat([value, value]) for name, value in video.items()}
    together = model(input_ids=ids, attention_mask=mask, **twice).logits
    for row in range(2):
        shown = mask[row].bool()
        alone = model(input_ids=ids[row, shown][None], **video).logits[0]
        torch.testing.assert_close(together[row, shown], alone, atol=1e-4, rtol=1e-4)


def test_generation_is_the_same_without_cache(layered: Composed, batch: dict[str, Tensor]) -> None:
    model = layered[0]
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "return_dict_in_generate": True}
    found = [model.generate(**batch, use_cache=cached, output_logits=True, **options) for cached in (True, False)]
    assert torch.equal(found[0].sequences, found[1].sequences)
    for cached, whole in zip(found[0].logits, found[1].logits, strict=True):
        torch.testing.assert_close(cached, whole, atol=1e-4, rtol=1e-4)
    beams = [model.generate(**batch, use_cache=cached, num_beams=3, max_new_tokens=4) for cached in (True, False)]
    assert torch.equal(*beams)


def test_steps_behind_a_cache(layered: Composed, batch: dict[str, Tensor]) -> None:
    model, next_ids = layered[0], torch.tensor([[5, 8], [6, 9], [7, 10]])
    ids = torch.cat([batch["input_ids"], next_ids], 1)
    mask = torch.cat([batch["attention_mask"], torch.ones_like(next_ids)], 1)
    whole = model(**batch | {"input_ids": ids, "attention_mask": mask}).logits[:, -2:]
    first = model(**batch, use_cache=True)
    step: dict[str, Any] = {"input_ids": next_ids, "attention_mask": mask, "past_key_values": first.past_key_values}
    if model.layers.own_positions:
        with pytest.raises(ValueError, match="count on from `next_positions`"):
            model(**step)
        step["position_ids"] = first.next_positions[:, None] + torch.arange(2)
        counted = (batch["attention_mask"].cumsum(1)[:, -1:] + torch.arange(2))[[0, 2]]
        assert (step["position_ids"][[0, 2]] < counted).all()
        assert torch.equal(step["position_ids"][1], batch["attention_mask"][1].sum() + torch.arange(2))
    torch.testing.assert_close(model(**step).logits, whole, atol=1e-4, rtol=1e-4)


def test_precomputed_tokens(layered: Composed, batch: dict[str, Tensor], make_clip: Clips) -> None:
    model, processor = layered
    videos = {key: batch.pop(key) for key in ("pixel_values_videos", "content_box", "frame_mask")}
    whole = model(**batch, **videos).logits
    tokens = model.get_video_features(**videos)
    given = {"visual_embeds": tokens.embeddings, "visual_mask": tokens.mask}
    cells = token_cells(tokens)
    torch.testing.assert_close(model(**batch, **given, visual_cells=cells).logits, whole, atol=1e-5, rtol=1e-5)
    if model.layers.own_positions:
        with pytest.raises(ValueError, match="visual_cells: expected"):
            model(**batch, **given)
    asked = LoadedModel(lambda: layered)
    encoded = [asked.encode_video(make_clip(0, wide=True)), None, asked.encode_video(make_clip(1))]
    prompts = [asked.encode_prompt(question, video) for question, video in zip(QUESTIONS, encoded, strict=True)]
    answers = asked.answer(prompts, encoded, [4, 4, 4])
    ids = model.generate(**batch, **videos, max_new_tokens=4, do_sample=False)[:, batch["input_ids"].shape[1] :]
    assert answers == [text.strip() for text in processor.tokenizer.batch_decode(ids, skip_special_tokens=True)]


def test_saving_keeps_every_bit(layered: Composed, batch: dict[str, Tensor], tmp_path: Path) -> None:
    model, processor = layered
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, _ = load(tmp_path)
    own = model.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in again.state_dict().items())
    assert own.keys() == again.state_dict().keys()
    assert torch.equal(model(**batch).logits, again(**batch).logits)
    rough = VideoLM.from_pretrained(tmp_path, dtype="bfloat16")
    assert {parameter.dtype for parameter in rough.layers.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("name", LAYERS)
def test_training_makes_the_loss_fall(make_layered: Any, make_clip: Clips, name: str) -> None:
    losses: dict[bool, list[float]] = {}
    for recompute in (False, True):
        model, processor = compose(make_layered(name), seed=3)
        clips = [make_clip(0, wide=True), make_clip(1)]
        samples = [[Turn("<video>\nred?", "yes")], [Turn("<video>\nwhich way?", "left")]]
        ids, mask, labels = processor.encode(samples, [clip.shape for clip in clips])
        videos = dict(processor(["<video>"] * 2, clips))
        inputs = {key: videos[key] for key in ("pixel_values_videos", "content_box", "frame_mask")}
        model.requires_grad_(False)
        model.layers.requires_grad_(True)
        model.train()
        set_activation_checkpointing(model.backbone, recompute, model.layers)
        optimizer = torch.optim.AdamW(model.layers.parameters(), lr=1e-2)
        losses[recompute] = []
        for _ in range(8):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels, **inputs).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses[recompute].append(loss.item())
    assert losses[True] == pytest.approx(losses[False], rel=1e-2)
    assert losses[False][-1] < 0.97 * losses[False][0]


def test_another_attention_is_refused(make_layered: Any, make_clip: Clips) -> None:
    model, processor = compose(make_layered("neo"), seed=3)
    batch = dict(processor([processor.prompt(QUESTIONS[0])], [make_clip(0)]))
    model.backbone.config._attn_implementation = "flash_attention_2"
    with pytest.raises(UserError, match=r"takes any mask \(eager or sdpa\), found 'flash_attention_2'"):
        model(**batch)


def test_an_llm_of_another_family_is_refused(make_layered: Any) -> None:
    with pytest.raises(SpecError, match=r"model\.layers: expected a backbone of the family qwen3, found 'llama'"):
        compose(make_layered("neo", model_type="llama"), meta=True)


def test_a_model_without_layers_says_nothing_of_them(make_spec: Any) -> None:
    spec = make_spec()
    assert "layers" not in spec.model_dump(mode="json")
    model, _ = compose(spec, seed=3)
    assert model.layers is None
    assert {name.partition(".")[0] for name in model.state_dict()} == {"aligner", "backbone"}
