"""A model that starts from a checkpoint: every weight comes from there, and from nowhere else."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vlmkit.errors import CheckpointError, UserError
from vlmkit.manifest import MANIFEST
from vlmkit.model import VideoLM, VideoLMProcessor, compose, load
from vlmkit.registry import registry
from vlmkit.spec.experiment import ModelSpec

Composed = tuple[VideoLM, VideoLMProcessor]
Starter = Callable[..., Composed]


@pytest.fixture
def checkpoint(composed: Composed, tmp_path: Path) -> Path:
    """The tiny model in several files, with running statistics that differ from the initial ones."""
    model, processor = composed
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.fill_(1 / 3)
    model.save_pretrained(tmp_path / "start", max_shard_size="50KB")
    processor.save_pretrained(tmp_path / "start")
    assert len(list((tmp_path / "start").glob("model-*.safetensors"))) > 1
    return tmp_path / "start"


@pytest.fixture
def start(make_spec: Any, checkpoint: Path) -> Starter:
    """Compose from the checkpoint, with changes of the spec."""

    def run(**changes: Any) -> Composed:
        return compose(make_spec(**changes).model_copy(update={"weights": str(checkpoint)}), seed=9)

    return run


def _assert_equal(model: VideoLM, other: VideoLM) -> None:
    ours, theirs = model.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_every_weight_comes_from_the_checkpoint(
    composed: Composed, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("weights from elsewhere")

    spec = composed[0].config.spec()
    monkeypatch.setattr(type(spec.backbone), "load", refuse)
    monkeypatch.setattr(type(composed[0].aligner), "load_pretrained", refuse)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model, processor = start()
    assert torch.equal(torch.rand(3), expected)
    _assert_equal(composed[0], model)
    assert not model.training
    assert {value.device.type for value in (*model.parameters(), *model.buffers())} == {"cpu"}
    assert model.generation_config.to_dict() == composed[0].generation_config.to_dict()
    batch = processor([processor.prompt("red?")])
    assert torch.equal(model(**batch).logits, composed[0](**batch).logits)


def test_it_generates_as_a_fresh_model_does(start: Starter, make_spec: Any, checkpoint: Path) -> None:
    file = checkpoint / "generation_config.json"
    (checkpoint / MANIFEST).unlink()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"do_sample": True, "temperature": 0.3, "num_beams": 4}))
    model, _ = start()
    assert model.generation_config.to_dict() == compose(make_spec())[0].generation_config.to_dict()


def test_weights_have_the_types_of_the_spec(start: Starter, composed: Composed) -> None:
    model, _ = start(backbone={"dtype": "bfloat16"})
    assert {value.dtype for value in model.backbone.parameters()} == {torch.bfloat16}
    assert {value.dtype for value in model.aligner.parameters()} == {torch.float32}
    head = composed[0].backbone.lm_head.weight
    assert torch.equal(model.backbone.lm_head.weight, head.bfloat16())


def test_a_bfloat16_checkpoint_is_widened(composed: Composed, checkpoint: Path, start: Starter) -> None:
    model = composed[0]
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    model.save_pretrained(checkpoint)
    started, _ = start()
    assert {value.dtype for value in started.parameters()} == {torch.float32}
    state = model.state_dict()
    assert all(torch.equal(value, state[name].to(value.dtype)) for name, value in started.state_dict().items())


def test_a_new_checkpoint_does_not_need_the_old_one(start: Starter, checkpoint: Path, tmp_path: Path) -> None:
    model, processor = start()
    for part in (model, processor):
        part.save_pretrained(tmp_path / "new")
    for name in ("config.json", "processor_config.json"):
        text = (tmp_path / "new" / name).read_text()
        assert str(checkpoint) not in text
        assert "weights" not in json.loads(text)["model"]
    checkpoint.rename(tmp_path / "gone")
    _assert_equal(model, load(tmp_path / "new")[0])


def test_the_meta_device_asks_for_no_checkpoint(make_spec: Any, tmp_path: Path) -> None:
    spec = make_spec().model_copy(update={"weights": str(tmp_path / "nowhere")})
    model, _ = compose(spec, meta=True)
    assert {value.device.type for value in model.parameters()} == {"meta"}
    with pytest.raises(CheckpointError, match="nowhere: expected the folder of a saved model; there is no such folder"):
        compose(spec)


def test_what_does_not_fit_is_named_together(start: Starter, checkpoint: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        start(aligner={"fsra": False}, config={"num_hidden_layers": 3, "intermediate_size": 48})
    message = str(error.value)
    assert f"{checkpoint}: the weights do not fit the spec's model: " in message
    assert "9 missing keys: backbone.model.layers.2.input_layernorm.weight, " in message
    assert "10 unexpected keys: aligner.balance, aligner.fsra.norm_context.bias, " in message
    assert "6 mismatched keys: backbone.model.layers.0.mlp.down_proj.weight is (32, 64) there and (32, 48) " in message
    assert "2 other options of the language model: intermediate_size is 64 there and 48 in the spec, num_hid" in message


def test_a_language_model_of_the_same_shapes_that_computes_something_else(start: Starter) -> None:
    with pytest.raises(CheckpointError) as error:
        start(config={"rms_norm_eps": 1e-5, "num_attention_heads": 8, "num_key_value_heads": 4, "rope_theta": 5e5})
    message = str(error.value)
    assert "the spec's model: 4 other options of the language model: num_attention_heads is 4 there and 8 in" in message
    assert "rms_norm_eps is 1e-06 there and 1e-05 in the spec" in message
    assert "rope_theta is 10000.0 there and 500000.0 in the spec" in message


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_file(start: Starter, checkpoint: Path, damage: str, manifest: bool) -> None:
    if not manifest:
        (checkpoint / MANIFEST).unlink()
    shard = sorted(checkpoint.glob("model-*.safetensors"))[0]
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-100])
    else:
        shard.unlink()
    said = r"expected \d+ bytes, found" if manifest else "its weights are damaged or not complete"
    with pytest.raises(CheckpointError, match=said):
        start()


def test_the_tokenizer_of_the_checkpoint_stands_in(start: Starter, composed: Composed, checkpoint: Path) -> None:
    nowhere = {"tokenizer": "/nowhere/at/all", "chat_template": "vicuna-v1"}
    vocabulary = {"vocab_size": composed[0].backbone.config.vocab_size}
    with pytest.warns(UserWarning, match=r"the tokenizer of .*start takes the place of the spec's: .*/nowhere/at/all"):
        model, processor = start(backbone=nowhere, config=vocabulary)
    _assert_equal(composed[0], model)
    assert processor.tokenizer.get_vocab() == composed[1].tokenizer.get_vocab()
    assert processor.tokenizer.video_token_id == model.config.video_token_id == composed[0].config.video_token_id
    assert processor.prompt("red?").startswith("<s>A chat between a curious user")
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"/nowhere/at/all .*; and the checkpoint has none either: .*start"):
        start(backbone=nowhere, config=vocabulary)


def test_the_tokenizer_of_the_spec_comes_first(start: Starter) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        _, processor = start(backbone={"chat_template": "videopanda-v1"})
    assert processor.prompt("red?").startswith("<s>A chat between a curious human")


def test_what_a_component_builds_frozen_stays_frozen(make_spec: Any, tmp_path: Path) -> None:
    tiny = registry().get("aligner", "video-chatgpt").spec.tiny()
    spec = ModelSpec.model_validate({"aligner": tiny.model_dump(), "backbone": make_spec().backbone.model_dump()})
    model, processor = compose(spec)
    for part in (model, processor):
        part.save_pretrained(tmp_path)
    started, _ = compose(spec.model_copy(update={"weights": str(tmp_path)}))
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert not all(flags.values())
    assert {name: parameter.requires_grad for name, parameter in started.named_parameters()} == flags


def test_a_checkpoint_of_tied_weights(make_spec: Any, tmp_path: Path) -> None:
    spec = make_spec(config={"tie_word_embeddings": True})
    model, processor = compose(spec, seed=4)
    for part in (model, processor):
        part.save_pretrained(tmp_path)
    assert "backbone.lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    started, _ = compose(spec.model_copy(update={"weights": str(tmp_path)}))
    _assert_equal(model, started)
    assert started.get_input_embeddings().weight is started.get_output_embeddings().weight


def test_a_distillation_head_alone_is_no_model(checkpoint: Path, start: Starter) -> None:
    for file in checkpoint.glob("*.safetensors"):
        file.unlink()
    save_file({"distillation.out.bias": torch.zeros(2)}, checkpoint / "distillation.safetensors")
    with pytest.raises(CheckpointError, match=r"it holds no weights \(model\*\.safetensors\)"):
        start()
