"""Options with which users of transformers load a model: types, kernels, devices, and tables of another size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM

from vlmkit.data import FittedVideo
from vlmkit.errors import CheckpointError, UserError
from vlmkit.manifest import MANIFEST
from vlmkit.model import VideoLM, VideoLMProcessor, compose, load

Composed = tuple[VideoLM, VideoLMProcessor]
Clips = Callable[..., FittedVideo]


def save(model: VideoLM, processor: VideoLMProcessor, folder: Path) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def saved(composed: Composed, tmp_path: Path) -> Path:
    """The tiny model on disk, of the spec's own choice of attention."""
    return save(*composed, tmp_path / "model")


@pytest.fixture
def batch(composed: Composed, make_clip: Clips) -> dict[str, torch.Tensor]:
    """A question about a clip."""
    processor = composed[1]
    return dict(processor([processor.prompt("<video>\nred?")], [make_clip()]))


@pytest.mark.parametrize(
    "auto", [AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM]
)
def test_auto_classes(composed: Composed, saved: Path, batch: dict[str, torch.Tensor], auto: Any) -> None:
    model = auto.from_pretrained(saved)
    assert type(model) is VideoLM
    assert torch.equal(model(**batch).logits, composed[0](**batch).logits)


def dtypes(model: VideoLM) -> dict[str, set[torch.dtype]]:
    parts = {"aligner": model.aligner, "backbone": model.backbone}
    return {name: {value.dtype for value in part.parameters()} for name, part in parts.items()}


@pytest.mark.parametrize("opener", [VideoLM, AutoModel])
@pytest.mark.parametrize(
    ("options", "aligner", "backbone"),
    [
        ({}, torch.float32, torch.bfloat16),
        ({"dtype": None}, torch.float32, torch.bfloat16),
        ({"dtype": "auto"}, torch.float32, torch.bfloat16),
        ({"torch_dtype": "auto"}, torch.float32, torch.bfloat16),
        ({"dtype": "float32"}, torch.float32, torch.float32),
        ({"dtype": torch.float16}, torch.float16, torch.float16),
        ({"torch_dtype": torch.float16}, torch.float16, torch.float16),
        ({"torch_dtype": "bfloat16"}, torch.bfloat16, torch.bfloat16),
        ({"dtype": {"text_config": "float32"}}, torch.float32, torch.float32),
        ({"dtype": {"": torch.bfloat16}}, torch.bfloat16, torch.bfloat16),
        ({"dtype": {"": "float16", "text_config": "float32"}}, torch.float16, torch.float32),
    ],
)
def test_types(make_spec: Any, tmp_path: Path, opener: Any, options: Any, aligner: Any, backbone: Any) -> None:
    model, processor = compose(make_spec(backbone={"dtype": "bfloat16"}))
    statistics = {name: value for name, value in model.named_buffers() if value.is_floating_point()}
    loaded = opener.from_pretrained(save(model, processor, tmp_path), **options)
    assert dtypes(loaded) == {"aligner": {aligner}, "backbone": {backbone}}
    assert {name: loaded.get_buffer(name).dtype for name in statistics} == {n: b.dtype for n, b in statistics.items()}
    wanted = model.get_input_embeddings().weight.to(backbone)
    assert torch.equal(loaded.get_input_embeddings().weight, wanted)


@pytest.mark.parametrize("dtype", ["float99", "int8", torch.int8, 3, {"vision_config": "float32"}])
def test_types_that_are_none(saved: Path, dtype: Any) -> None:
    with pytest.raises(UserError, match=r"^dtype: expected"):
        VideoLM.from_pretrained(saved, dtype=dtype)


@pytest.mark.parametrize("opener", [VideoLM, AutoModel])
@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("of_spec", ["eager", None])
def test_the_kernel_that_is_asked_for_reaches_the_language_model(
    make_spec: Any, make_clip: Clips, tmp_path: Path, opener: Any, kernel: str, of_spec: str | None
) -> None:
    model, processor = compose(make_spec(backbone={"attn_implementation": of_spec}), seed=3)
    loaded = opener.from_pretrained(save(model, processor, tmp_path), attn_implementation=kernel)
    assert loaded.config._attn_implementation == kernel
    assert {part.self_attn.config._attn_implementation for part in loaded.backbone.model.layers} == {kernel}
    batch = processor([processor.prompt("<video>\nred?")], [make_clip()])
    with torch.no_grad():  # flex_attention has no backward pass on a CPU
        torch.testing.assert_close(loaded(**batch).logits, model(**batch).logits, atol=1e-5, rtol=1e-4)
    assert load(tmp_path)[0].backbone.config._attn_implementation == (of_spec or "sdpa")


def test_the_kernel_of_the_language_model_alone(saved: Path) -> None:
    loaded = VideoLM.from_pretrained(saved, attn_implementation={"text_config": "eager"})
    assert loaded.backbone.config._attn_implementation == "eager"


def test_the_kernel_can_be_changed_later(saved: Path, batch: dict[str, torch.Tensor]) -> None:
    loaded = VideoLM.from_pretrained(saved)
    before = loaded(**batch).logits
    loaded.set_attn_implementation("eager")
    assert loaded.backbone.config._attn_implementation == "eager"
    torch.testing.assert_close(loaded(**batch).logits, before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("places", ["auto", "cpu", {"": "cpu"}, {"aligner": "cpu", "backbone": "cpu"}])
def test_devices(saved: Path, batch: dict[str, torch.Tensor], places: Any, dtype: Any) -> None:
    plain = VideoLM.from_pretrained(saved, dtype=dtype)
    mapped = VideoLM.from_pretrained(saved, dtype=dtype, device_map=places)
    assert torch.equal(mapped(**batch).logits, plain(**batch).logits)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("layers", [("",), (".model.layers.1",)])
def test_a_language_model_on_the_disk(
    saved: Path, tmp_path: Path, batch: dict[str, torch.Tensor], layers: tuple[str, ...], dtype: Any
) -> None:
    places = {"aligner": "cpu", "backbone": "cpu"} | {f"backbone{name}": "disk" for name in layers}
    if layers != ("",):
        del places["backbone"]
        places |= {f"backbone.{name}": "cpu" for name in ("model.embed_tokens", "model.layers.0", "model.norm",
                                                          "model.rotary_emb", "lm_head")}  # fmt: skip
    plain = VideoLM.from_pretrained(saved, dtype=dtype)
    mapped = VideoLM.from_pretrained(saved, dtype=dtype, device_map=places, offload_folder=tmp_path / "offloaded")
    assert any(value.is_meta for value in mapped.backbone.parameters())
    assert torch.equal(mapped(**batch).logits, plain(**batch).logits)
    options: dict[str, Any] = {"max_new_tokens": 3}
    assert torch.equal(mapped.generate(**batch, **options), plain.generate(**batch, **options))


@pytest.mark.parametrize("places", [{"": "disk"}, {"aligner": "disk", "backbone": "cpu"}])
def test_an_aligner_on_the_disk(saved: Path, tmp_path: Path, places: Any) -> None:
    with pytest.raises(UserError, match=r"^device_map: expected the aligner's weights on the device"):
        VideoLM.from_pretrained(saved, device_map=places, offload_folder=tmp_path / "offloaded")


def test_no_device_map_splits_the_aligner(saved: Path) -> None:
    model = VideoLM.from_pretrained(saved)
    assert {type(model.aligner).__name__, "LlamaDecoderLayer"} <= model._no_split_modules


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("options", [{}, {"pad_to_multiple_of": 64}, {"mean_resizing": False}])
def test_a_table_of_another_size_is_saved_and_loaded(
    make_spec: Any, make_clip: Clips, tmp_path: Path, tied: bool, options: dict[str, Any]
) -> None:
    model, processor = compose(make_spec(config={"tie_word_embeddings": tied}), seed=3)
    before = model.get_input_embeddings().weight.detach().clone()
    processor.tokenizer.add_tokens(["<time>", "<scene>"])
    model.resize_token_embeddings(len(processor.tokenizer), **options)
    rows = model.get_input_embeddings().weight.shape[0]
    assert rows >= len(processor.tokenizer) == len(before) + 2
    assert model.get_input_embeddings().weight[len(before) :].std() < 3 * before.std()
    loaded, read = load(save(model, processor, tmp_path))
    assert loaded.config.vocab_size == loaded.config.text_config.vocab_size == loaded.backbone.config.vocab_size == rows
    assert torch.equal(loaded.get_input_embeddings().weight[: len(before)], before)
    batch = read([read.prompt("<video>\nred <scene>?")], [make_clip()])
    assert (batch["input_ids"] == len(before) + 1).any()
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    assert loaded.generation_config.suppress_tokens == [processor.tokenizer.video_token_id]


def test_a_placeholder_beyond_the_table_is_not_generated_once_it_is_within(make_spec: Any, tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer"
    compose(make_spec())[1].tokenizer.save_pretrained(tokenizer)
    model, processor = compose(make_spec())
    video = processor.tokenizer.video_token_id
    model.resize_token_embeddings(video)
    assert model.generation_config.suppress_tokens is None
    model.resize_token_embeddings(video + 1)
    assert model.generation_config.suppress_tokens == [video]


def test_a_package_of_quantized_weights_that_is_missing_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.loads((saved / "config.json").read_text())
    quantized = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    (saved / "config.json").write_text(json.dumps(config | quantized))
    (saved / MANIFEST).unlink()
    monkeypatch.setattr("transformers.quantizers.quantizer_bnb_8bit.is_bitsandbytes_available", lambda: False)
    with pytest.raises(CheckpointError, match=r"its weights need a package that is missing here: .*bitsandbytes"):
        load(saved)
