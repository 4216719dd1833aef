"""Saving and loading: bit-equal, through the Auto classes, and what can be wrong with a checkpoint."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor
from transformers.utils import logging as transformers_logging

import vlmkit
from vlmkit.data import FittedVideo
from vlmkit.errors import CheckpointError
from vlmkit.manifest import MANIFEST
from vlmkit.model import VideoLM, VideoLMProcessor, compose, load
from vlmkit.model.pretrained import config_differences
from vlmkit.registry import Registry, registry

Clips = Callable[..., FittedVideo]


@pytest.fixture
def saved(composed: tuple[VideoLM, VideoLMProcessor], tmp_path: Path) -> Path:
    """The tiny model on disk, with weights and running statistics that differ from the initial ones."""
    model, processor = composed
    torch.manual_seed(0)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value), alpha=0.1)
    return save(model, processor, tmp_path / "model")


def save(model: VideoLM, processor: VideoLMProcessor, folder: Path) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def assert_same(model: VideoLM, other: VideoLM) -> None:
    ours, theirs = model.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype, name
        assert torch.equal(value, theirs[name]), name
    assert {value.device.type for value in (*other.parameters(), *other.buffers())} == {"cpu"}


def test_round_trip(composed: tuple[VideoLM, VideoLMProcessor], saved: Path, make_clip: Clips) -> None:
    model, processor = composed
    loaded, read = load(saved)
    assert_same(model, loaded)
    assert not list(saved.glob("*.bin"))
    batch = processor([processor.prompt("<video>\nred?")], [make_clip()])
    same = read([read.prompt("<video>\nred?")], [make_clip()])
    assert all(torch.equal(batch[key], same[key]) for key in batch)
    assert torch.equal(model(**batch).logits, loaded(**batch).logits)
    options: dict[str, Any] = {"max_new_tokens": 4}
    assert torch.equal(model.generate(**batch, **options), loaded.generate(**batch, **options))


def test_the_kernel_of_the_attention_is_kept(make_spec: Any, tmp_path: Path) -> None:
    model, _ = compose(make_spec(backbone={"attn_implementation": "eager"}))
    model.save_pretrained(tmp_path)
    assert VideoLM.from_pretrained(tmp_path).backbone.config._attn_implementation == "eager"


def test_auto_classes(composed: tuple[VideoLM, VideoLMProcessor], saved: Path) -> None:
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText):
        assert_same(composed[0], auto.from_pretrained(saved))
    processor = AutoProcessor.from_pretrained(saved)
    assert isinstance(processor, VideoLMProcessor)
    assert processor.prompt("red?") == composed[1].prompt("red?")
    assert processor.aligner == composed[1].aligner


@pytest.mark.parametrize(
    "change", [{"config": {"tie_word_embeddings": True}}, {"backbone": {"dtype": "bfloat16"}}], ids=["tied", "bfloat16"]
)
def test_tied_and_mixed_weights(make_spec: Any, tmp_path: Path, change: dict[str, Any]) -> None:
    model, processor = compose(make_spec(**change), seed=4)
    loaded = load(save(model, processor, tmp_path))[0]
    assert_same(model, loaded)
    tied = loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight
    assert tied == ("config" in change)


def test_weights_keep_the_type_in_which_they_were_trained(make_spec: Any, tmp_path: Path) -> None:
    model, processor = compose(make_spec(backbone={"dtype": "bfloat16"}), seed=4)
    model.float()
    folder = save(model, processor, tmp_path)
    assert_same(model, load(folder)[0])
    assert {value.dtype for value in VideoLM.from_pretrained(folder, dtype=torch.bfloat16).parameters()} == {
        torch.bfloat16
    }


@pytest.mark.parametrize("buffers", [torch.float32, torch.bfloat16])
def test_running_statistics_keep_their_type_beside_a_bfloat16_aligner(
    composed: tuple[VideoLM, VideoLMProcessor], tmp_path: Path, buffers: torch.dtype
) -> None:
    model, processor = composed
    statistics = {name: b for name, b in model.aligner.named_buffers() if b.is_floating_point()}
    for value in statistics.values():
        value.data = value.add(1 / 3).to(buffers)
    for parameter in model.aligner.parameters():
        parameter.data = parameter.data.bfloat16()
    loaded = load(save(model, processor, tmp_path))[0]
    assert statistics
    assert {loaded.aligner.get_buffer(name).dtype for name in statistics} == {buffers}
    assert_same(model, loaded)
    assert_same(model, load(save(loaded, processor, tmp_path / "again"))[0])


def test_buffers_that_are_not_saved_are_computed_again(
    composed: tuple[VideoLM, VideoLMProcessor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = composed
    build = type(processor.aligner).build

    def with_buffer(self: Any, llm_width: int) -> Any:
        aligner = build(self, llm_width)
        aligner.register_buffer("scale", torch.tensor([3.0, 4.0]), persistent=False)
        return aligner

    monkeypatch.setattr(type(processor.aligner), "build", with_buffer)
    loaded, _ = load(save(model, processor, tmp_path))
    assert loaded.aligner.scale.tolist() == [3.0, 4.0]
    assert_same(model, loaded)


def test_missing_plugin_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmkit.model.config.registry", lambda: Registry([]))
    with pytest.raises(
        CheckpointError, match=r"aligner 'stab' of the plugin 'stab' from the package vlmkit .*pip install"
    ):
        load(saved)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such folder"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("file", ["config.json", "processor_config.json", "model.safetensors"])
def test_missing_file(saved: Path, file: str) -> None:
    (saved / file).unlink()
    with pytest.raises(CheckpointError, match=file.replace("model", r"\*")):
        load(saved)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_pipe_among_the_files(saved: Path, file: str) -> None:
    (saved / file).unlink()
    os.mkfifo(saved / file)
    with pytest.raises(CheckpointError, match=rf"{re.escape(file)}: expected a file, found a pipe or device"):
        load(saved)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f'{{"a": {"9" * 5000}}}', "too many digits"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", r"found \[\]"),
    ],
)
@pytest.mark.parametrize("file", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_json_that_is_none(saved: Path, file: str, content: str, said: str) -> None:
    (saved / file).write_text(content)
    with pytest.raises(CheckpointError, match=f"{re.escape(file)}: expected a JSON object.*{said}"):
        load(saved)


def test_model_of_others(saved: Path) -> None:
    (saved / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(CheckpointError, match="expected model_type 'vlmkit', found 'llama'"):
        load(saved)


def test_spec_that_no_longer_fits(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    config["model"]["aligner"]["widht"] = 3
    (saved / "config.json").write_text(json.dumps(config))
    (saved / MANIFEST).unlink()
    with pytest.raises(CheckpointError, match=r"model\.aligner\.widht: unknown key"):
        load(saved)


def test_missing_weight(saved: Path) -> None:
    weights = load_file(saved / "model.safetensors")
    del weights["backbone.model.norm.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    (saved / MANIFEST).unlink()
    with pytest.raises(CheckpointError, match=r"1 missing keys: backbone\.model\.norm\.weight"):
        load(saved)
    for opener in (VideoLM, AutoModelForCausalLM):
        with pytest.raises(CheckpointError, match=r"the weights lack 1 tensors.*: backbone\.model\.norm\.weight$"):
            opener.from_pretrained(saved)
    assert VideoLM.from_pretrained(saved, output_loading_info=True)[1]["missing_keys"] == {"backbone.model.norm.weight"}


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("damage", ["missing", "torn", "empty"])
@pytest.mark.parametrize(
    "name",
    ["config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
     "model.safetensors", "generation_config.json"],
)  # fmt: skip
def test_damage_is_a_clear_error(saved: Path, name: str, damage: str, manifest: bool) -> None:
    file = saved / name
    if not manifest:
        (saved / MANIFEST).unlink()
    whole = file.read_bytes()
    file.unlink() if damage == "missing" else file.write_bytes(whole[: len(whole) // 2] if damage == "torn" else b"")
    with pytest.raises(CheckpointError, match=f"{re.escape(str(saved))}.*: "):
        load(saved)


@pytest.mark.parametrize("name", ["eos_token", "pad_token", "video_token"])
def test_a_tokenizer_without_a_token_that_every_conversation_needs_is_refused(saved: Path, name: str) -> None:
    config = json.loads((saved / "tokenizer_config.json").read_text())
    config["extra_special_tokens"] = config.pop("model_specific_special_tokens", {}) or config["extra_special_tokens"]
    for part in (config, config["extra_special_tokens"]):
        if isinstance(part, dict):
            part.pop(name, None)
    (saved / "tokenizer_config.json").write_text(json.dumps(config))
    (saved / MANIFEST).unlink()
    with pytest.raises(CheckpointError, match=f"tokenizer or processor: the tokenizer has no {name}: expected"):
        load(saved)


def test_no_bar_is_drawn(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.enable_progress_bar()
    try:
        load(saved)
        assert transformers_logging.is_progress_bar_enabled()
    finally:
        if not enabled:
            transformers_logging.disable_progress_bar()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["bos_token_id", "eos_token_id", "pad_token_id", "suppress_tokens"])
@pytest.mark.parametrize("value", ["x", {}, ["x"], 1e30, float("nan"), 10**30, True])
def test_how_a_model_generates_is_looked_at(saved: Path, name: str, value: Any) -> None:
    config = json.loads((saved / "generation_config.json").read_text())
    (saved / "generation_config.json").write_text(json.dumps(config | {name: value}))
    with pytest.raises(CheckpointError):
        load(saved)


def test_several_tokens_can_end_an_answer(saved: Path) -> None:
    config = json.loads((saved / "generation_config.json").read_text())
    (saved / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": [2, 3]}))
    (saved / MANIFEST).unlink()
    assert load(saved)[0].generation_config.eos_token_id == [2, 3]


def test_another_version_of_a_plugin_is_a_warning(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry().get("aligner", "stab").plugin, "version", "9.9")
    said = rf"made with aligner 'stab' of vlmkit {re.escape(vlmkit.__version__)}, here of vlmkit 9.9; downsampler 'lsd'"
    with pytest.warns(UserWarning, match=said):
        load(saved)


def test_options_that_another_version_refuses_blame_it(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.loads((saved / "config.json").read_text())
    config["model"]["aligner"]["widht"] = 16
    config["components"]["aligner/stab"] |= {"package": "halve", "version": "0.1.0"}
    (saved / "config.json").write_text(json.dumps(config))
    (saved / MANIFEST).unlink()
    here = re.escape(vlmkit.__version__)
    with pytest.raises(
        CheckpointError, match=rf"aligner 'stab' of halve 0\.1\.0, here of vlmkit {here}; install what .*widht"
    ):
        load(saved)


def test_an_option_that_another_version_called_otherwise_is_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.loads((saved / "config.json").read_text())
    aligner = config["model"]["aligner"]
    aligner["breadth"] = aligner.pop("width")
    (saved / "config.json").write_text(json.dumps(config))
    (saved / MANIFEST).unlink()
    monkeypatch.setattr(registry().get("aligner", "stab").spec, "renamed", {"breadth": "width"})
    with pytest.warns(FutureWarning, match=r"`breadth` of aligner 'stab' \(vlmkit .*\) is deprecated .*; use `width`"):
        model = load(saved)[0]
    assert model.config.spec().aligner.width == aligner["breadth"]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"rope_theta": 1e4}, []),
        ({"rope_theta": 5e5}, ["rope_theta is 500000.0 there and 10000.0 in the spec"]),
        ({"rope_parameters": {"rope_theta": 5e5}}, ["rope_theta is 500000.0 there and 10000.0 in the spec"]),
        ({"rope_parameters": 3, "hidden_size": 16}, []),
        ({"rope_parameters": None, "hidden_size": [16]}, ["hidden_size is [16] there and 16 in the spec"]),
    ],
)
def test_options_of_language_models_that_differ(there: dict[str, Any], expected: list[str]) -> None:
    assert config_differences(there, {"hidden_size": 16, "rope_parameters": {"rope_theta": 1e4}}) == expected
