"""The model's forward, loss and generation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vlmkit.api import Turn
from vlmkit.data import FittedVideo
from vlmkit.model import VideoLM, VideoLMProcessor, compose

Composed = tuple[VideoLM, VideoLMProcessor]
Clips = Callable[..., FittedVideo]


@pytest.fixture
def batch(composed: Composed, make_clip: Clips) -> dict[str, Tensor]:
    """A short question with a wide clip, a text alone, a longer question with a square clip; padded left."""
    processor = composed[1]
    questions = ["<video>\nred?", "hello", "<video>\nwhich way does the red circle move?"]
    return dict(processor([processor.prompt(q) for q in questions], [make_clip(0, wide=True), make_clip(1)]))


def row_of(batch: dict[str, Tensor], row: int, video: int | None) -> dict[str, Tensor]:
    shown = batch["attention_mask"][row].bool()
    alone = {
        "input_ids": batch["input_ids"][row, shown][None],
        "attention_mask": batch["attention_mask"][row, shown][None],
    }
    if video is not None:
        alone |= {key: batch[key][video : video + 1] for key in ("pixel_values_videos", "content_box", "frame_mask")}
    return alone


def test_visual_tokens_stand_at_their_placeholders(composed: Composed, batch: dict[str, Tensor]) -> None:
    model, processor = composed
    output = model(**batch, output_hidden_states=True)
    assert output.visual.mask.sum(1).tolist() == [16, 28]
    rows, columns = output.positions[output.visual.mask].unbind(1)
    assert (batch["input_ids"][rows, columns] == processor.tokenizer.video_token_id).all()
    assert torch.equal(output.hidden_states[0][rows, columns], output.visual.embeddings[output.visual.mask])
    assert rows.unique().tolist() == [0, 2]
    assert (output.positions[~output.visual.mask] == -1).all()
    assert len(output.hidden_states) == 3
    assert torch.equal(model.get_output_embeddings()(output.hidden_states[-1]), output.logits)


def test_text_between_videos_is_embedded_as_ever(composed: Composed, batch: dict[str, Tensor]) -> None:
    model, processor = composed
    embeddings = model(**batch, output_hidden_states=True).hidden_states[0]
    is_text = batch["input_ids"] != processor.tokenizer.video_token_id
    assert torch.equal(embeddings[is_text], model.get_input_embeddings()(batch["input_ids"][is_text]))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(composed: Composed, make_clip: Clips, side: Any) -> None:
    model, processor = composed
    samples = [[Turn("<video>\nred?", "yes")], [Turn("hello", "you")], [Turn("<video>\nwhich way?", "left, or so")]]
    clips = [make_clip(0, wide=True), make_clip(1)]
    ids, mask, _ = processor.encode(samples, [clips[0].shape, None, clips[1].shape], padding_side=side)
    videos = processor(["<video>"] * 2, clips)
    batch = {"input_ids": ids, "attention_mask": mask} | {
        k: videos[k] for k in ("pixel_values_videos", "content_box", "frame_mask")
    }
    logits = model(**batch).logits
    for row, video in [(0, 0), (1, None), (2, 1)]:
        alone = model(**row_of(batch, row, video)).logits[0]
        torch.testing.assert_close(logits[row, mask[row].bool()], alone, atol=1e-5, rtol=1e-4)


def test_padding_changes_nothing_where_positions_are_learnt(make_spec: Any) -> None:
    gpt2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4}
    model, processor = compose(make_spec(backbone={"config": gpt2}))
    batch = dict(processor(["hello", "which way does the red circle move?"]))
    shown = batch["attention_mask"][0].bool()
    assert not shown[0], "padded left"
    alone = model(**row_of(batch, 0, None)).logits[0]
    torch.testing.assert_close(model(**batch).logits[0, shown], alone, atol=1e-5, rtol=1e-4)


def test_a_step_with_a_cache_stands_behind_what_came_before(composed: Composed, batch: dict[str, Tensor]) -> None:
    model, next_ids = composed[0], torch.tensor([[5], [6], [7]])
    ids = torch.cat([batch["input_ids"], next_ids], 1)
    mask = torch.cat([batch["attention_mask"], torch.ones_like(next_ids)], 1)
    whole = model(**batch | {"input_ids": ids, "attention_mask": mask}).logits[:, -1:]
    cache = model(**batch, use_cache=True).past_key_values
    step = model(input_ids=next_ids, attention_mask=mask, past_key_values=cache).logits
    torch.testing.assert_close(step, whole, atol=1e-5, rtol=1e-4)


def test_batch_without_video(composed: Composed) -> None:
    model, processor = composed
    output = model(**processor(["hello", "you"]))
    assert output.visual is None
    assert output.positions is None


def test_too_few_placeholders(composed: Composed, batch: dict[str, Tensor]) -> None:
    column = (batch["input_ids"][2] == composed[1].tokenizer.video_token_id).nonzero()[0]
    batch["input_ids"][2, column] = 5
    with pytest.raises(ValueError, match=r"2 videos give \[16, 28\] .* rows \[0, 2\] .* hold \[16, 27\] placeholders"):
        composed[0](**batch)


def test_a_video_too_many(composed: Composed, batch: dict[str, Tensor]) -> None:
    batch |= {
        key: torch.cat([batch[key], batch[key][:1]]) for key in ("pixel_values_videos", "content_box", "frame_mask")
    }
    with pytest.raises(ValueError, match="3 videos give"):
        composed[0](**batch)


def labelled(batch: dict[str, Tensor]) -> Tensor:
    """Learn the last two tokens of row 0 and the last four of row 2."""
    labels = torch.full_like(batch["input_ids"], -100)
    labels[0, -2:], labels[2, -4:] = batch["input_ids"][0, -2:], batch["input_ids"][2, -4:]
    return labels


def test_loss_is_the_mean_over_targets(composed: Composed, batch: dict[str, Tensor]) -> None:
    model, labels = composed[0], labelled(batch)
    logits = model(**batch).logits
    expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    output = model(**batch, labels=labels)
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert output.logits.shape[1] == 4, "only where something is predicted"
    assert model(**batch, labels=labels, num_items_in_batch=12).loss.item() == pytest.approx(
        expected.item() / 2, rel=1e-5
    )


def test_loss_without_targets_is_zero(composed: Composed, batch: dict[str, Tensor]) -> None:
    model = composed[0]
    loss = model(**batch, labels=torch.full_like(batch["input_ids"], -100)).loss
    loss.backward()
    assert loss.item() == 0
    assert not any(value.grad.any() for value in model.parameters() if value.grad is not None)


def test_gradients_reach_both_parts(composed: Composed, batch: dict[str, Tensor]) -> None:
    model = composed[0]
    model(**batch, labels=labelled(batch)).loss.backward()
    trained = {name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    assert {name for name, _ in model.backbone.named_parameters(prefix="backbone")} <= trained
    assert {
        name for name, _ in model.aligner.patch_embedding.named_parameters(prefix="aligner.patch_embedding")
    } <= trained


def test_generation_equals_one_by_one(composed: Composed, batch: dict[str, Tensor]) -> None:
    model = composed[0]
    length = batch["input_ids"].shape[1]
    together = model.generate(**batch, max_new_tokens=6, do_sample=False, eos_token_id=None)[:, length:]
    assert together.shape == (3, 6)
    for row, video in [(0, 0), (1, None), (2, 1)]:
        alone = row_of(batch, row, video)
        answer = model.generate(**alone, max_new_tokens=6, do_sample=False, eos_token_id=None)
        assert answer[0, alone["input_ids"].shape[1] :].tolist() == together[row].tolist()


def test_generation_with_and_without_cache_and_by_hand(composed: Composed, batch: dict[str, Tensor]) -> None:
    model = composed[0]
    alone = row_of(batch, 2, 1)
    options: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None}
    cached = model.generate(**alone, **options)
    assert torch.equal(cached, model.generate(**alone, use_cache=False, **options))
    by_hand = dict(alone)
    for _ in range(4):
        logits = model(**by_hand).logits[:, -1]
        logits[:, model.config.video_token_id] = -torch.inf
        by_hand["input_ids"] = torch.cat([by_hand["input_ids"], logits.argmax(-1, keepdim=True)], 1)
        by_hand["attention_mask"] = torch.ones_like(by_hand["input_ids"])
    assert torch.equal(cached, by_hand["input_ids"])


def test_beams_and_several_answers(composed: Composed, batch: dict[str, Tensor]) -> None:
    answers = composed[0].generate(**batch, max_new_tokens=3, num_beams=2, num_return_sequences=2, do_sample=False)
    assert answers.shape[0] == 6


def test_placeholder_beyond_the_embedding_table(make_spec: Any, make_clip: Clips) -> None:
    model, processor = compose(make_spec())
    assert model.get_input_embeddings().num_embeddings == 300
    batch = processor(["<video>!"], [make_clip()])
    model.config.video_token_id = 32000
    batch["input_ids"][batch["input_ids"] == processor.tokenizer.video_token_id] = 32000
    assert model(**batch).visual.mask.sum() == 28


def test_gradient_checkpointing_gives_the_same_gradients(composed: Composed, batch: dict[str, Tensor]) -> None:
    model, labels = composed[0].train(), labelled(batch)
    gradients = []
    for enable in (False, True):
        if enable:
            model.activation_checkpointing_enable()
            assert model.backbone.model.layers[0].gradient_checkpointing
        model.zero_grad()
        torch.manual_seed(0)
        model(**batch, labels=labels).loss.backward()
        gradients.append(model.backbone.model.layers[0].mlp.up_proj.weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_bfloat16_backbone(make_spec: Any, make_clip: Clips) -> None:
    model, processor = compose(make_spec(backbone={"dtype": "bfloat16"}))
    assert next(model.aligner.parameters()).dtype == torch.float32
    assert model.backbone.dtype == torch.bfloat16
    batch = processor(["<video>?"], [make_clip()])
    output = model(
        **batch, labels=batch["input_ids"].masked_fill(batch["input_ids"] == model.config.video_token_id, -100)
    )
    assert output.logits.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32
    assert output.loss.isfinite()


def test_videos_beside_embeddings_are_refused(composed: Composed, batch: dict[str, Tensor]) -> None:
    model = composed[0]
    table = model.get_input_embeddings()
    with pytest.raises(ValueError, match="found videos with inputs_embeds"), torch.no_grad():
        model(inputs_embeds=table(batch.pop("input_ids")), **batch)
