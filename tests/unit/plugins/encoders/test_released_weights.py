"""Published weights: layouts, files, and every way in which they can fail to fit."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel

from vlmkit.api import CheckpointError, DataError, EncoderSpec
from vlmkit_encoders.spec import ClipVisionSpec, DinoV2Spec, LanguageBindImageSpec, LanguageBindVideoSpec

TINY = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "image_size": 28}
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 28,
    "patch_size": 14,
}


def clip() -> Tensor:
    return torch.randn(1, 3, 3, 28, 28, generator=torch.Generator().manual_seed(1))


def features(spec: EncoderSpec) -> Tensor:
    encoder = spec.build()
    encoder.load_pretrained()
    with torch.no_grad():
        return encoder(clip())


def languagebind() -> tuple[dict[str, Tensor], Tensor]:
    """A tiny video tower's published state dict, and its features."""
    torch.manual_seed(3)
    encoder = LanguageBindVideoSpec.model_validate({**TINY, "frames": 4}).build()
    with torch.no_grad():
        return dict(encoder.state_dict()), encoder(clip())


def config(**vision: Any) -> str:
    published = {**VISION, "hidden_act": "gelu", "num_frames": 4, "add_time_attn": True, **vision}
    return json.dumps({"model_type": "LanguageBindVideo", "text_config": {}, "vision_config": published})


def test_clip_tower_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = CLIPVisionModel(CLIPVisionConfig(**VISION)).eval()
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(clip().flatten(0, 1), output_hidden_states=True).hidden_states[-2]
    torch.testing.assert_close(features(ClipVisionSpec(path=str(tmp_path)))[0], expected, atol=1e-5, rtol=1e-5)


def test_vision_tower_of_a_whole_clip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    text = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 9,
    }
    model = CLIPModel(CLIPConfig(vision_config={**VISION, "hidden_act": "gelu"}, text_config=text)).eval()
    model.save_pretrained(tmp_path)
    spec = ClipVisionSpec(path=str(tmp_path))
    assert (spec.width, spec.activation) == (32, "gelu")
    with torch.no_grad():
        expected = model.vision_model(clip().flatten(0, 1), output_hidden_states=True).hidden_states[-2]
    torch.testing.assert_close(features(spec)[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", ["bin", "safetensors", "sharded-bin", "sharded-safetensors"])
def test_languagebind_folder(tmp_path: Path, layout: str) -> None:
    state, expected = languagebind()
    published = {f"vision_model.{name}": tensor for name, tensor in state.items()}
    published |= {"vision_model.embeddings.position_ids": torch.arange(5)[None], "logit_scale": torch.ones(())}
    published |= {"text_model.embeddings.token_embedding.weight": torch.ones(2, 2)}
    names = sorted(published)
    parts = [names] if "sharded" not in layout else [names[::2], names[1::2]]
    stem, end = ("pytorch_model", "bin") if "bin" in layout else ("model", "safetensors")
    files = [f"{stem}.{end}" if len(parts) == 1 else f"{stem}-{number}.{end}" for number in range(len(parts))]
    for file, part in zip(files, parts, strict=True):
        shard = {name: published[name] for name in part}
        torch.save(shard, tmp_path / file) if end == "bin" else save_file(shard, tmp_path / file)
    if len(parts) > 1:
        index = {"weight_map": {name: file for file, part in zip(files, parts, strict=True) for name in part}}
        (tmp_path / f"{stem}.{end}.index.json").write_text(json.dumps(index))
    (tmp_path / "config.json").write_text(config())
    assert torch.equal(features(LanguageBindVideoSpec(path=str(tmp_path))), expected)


def test_half_precision_weights_become_the_modules_dtype(tmp_path: Path) -> None:
    state, expected = languagebind()
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in state.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(config())
    found = features(LanguageBindVideoSpec(path=str(tmp_path)))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.1, rtol=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file(languagebind()[0], tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(config())
    return tmp_path


def test_what_is_not_set_comes_from_the_config_and_stays(folder: Path) -> None:
    spec = LanguageBindVideoSpec(path=str(folder))
    assert {name: getattr(spec, name) for name in TINY} == TINY
    assert (spec.frames, spec.activation, spec.temporal) == (4, "gelu", True)
    resolved = spec.model_dump(mode="json")
    assert LanguageBindVideoSpec.model_validate({**resolved, "path": None}).frames == 4


def test_a_path_may_begin_in_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    path = f"~/{folder.name}"
    spec = LanguageBindVideoSpec.model_validate({"path": path})
    assert (spec.path, spec.width) == (path, TINY["width"]), "the resolved spec keeps the path as it was written"
    assert torch.equal(features(spec), features(LanguageBindVideoSpec(path=str(folder))))
    away = LanguageBindVideoSpec.model_validate({**TINY, "path": "~nobody-here/tower"})
    with pytest.raises(DataError, match="`~nobody-here` is no home folder here"):
        features(away)


def test_what_the_config_leaves_out_is_its_class_default(folder: Path) -> None:
    published = json.loads(config())["vision_config"]
    del published["hidden_act"], published["num_frames"]
    (folder / "config.json").write_text(json.dumps(published))
    spec = LanguageBindVideoSpec(path=str(folder))
    assert (spec.activation, spec.frames) == ("quick_gelu", 1)
    knowing = {"path": str(folder), "activation": "gelu", "frames": 4}
    assert torch.equal(features(LanguageBindVideoSpec.model_validate(knowing)), languagebind()[1])


def test_contradictions_are_named_together(folder: Path) -> None:
    encoder = LanguageBindVideoSpec.model_validate(
        {"path": str(folder), "activation": "quick_gelu", "frames": 8}
    ).build()
    with pytest.raises(CheckpointError) as caught:
        encoder.load_pretrained()
    message = str(caught.value)
    assert "activation: the config says 'gelu' (hidden_act), the spec 'quick_gelu'" in message
    assert "frames: the config says 4 (num_frames), the spec 8" in message
    assert message.endswith("set activation: gelu, frames: 4")


def test_video_weights_do_not_pass_as_image_weights(folder: Path) -> None:
    encoder = LanguageBindImageSpec(path=str(folder)).build()
    with pytest.raises(CheckpointError, match=r"unexpected: encoder\.layers\.0\.temporal"):
        encoder.load_pretrained()


def test_missing_tensors_and_wrong_shapes_are_named(folder: Path) -> None:
    state, _ = languagebind()
    del state["pre_layrnorm.bias"]
    state["post_layernorm.bias"] = torch.zeros(31)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        features(LanguageBindVideoSpec(path=str(folder)))
    assert "missing: pre_layrnorm.bias (32,)" in str(caught.value)
    assert "post_layernorm.bias: expected (32,), found (31,)" in str(caught.value)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("touched-by-a-pickle"),)


def test_a_pickle_that_wants_more_is_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").unlink()
    torch.save({"weights": _Evil()}, folder / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(
        CheckpointError, match=r"pytorch_model\.bin: refused: its pickle asks for (pathlib|posix|builtins|getattr)"
    ):
        features(LanguageBindVideoSpec(path=str(folder)))
    assert not Path("touched-by-a-pickle").exists()


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_missing_files_are_named(folder: Path, file: str) -> None:
    spec = LanguageBindVideoSpec(path=str(folder))
    (folder / file).unlink()
    with pytest.raises(CheckpointError, match=file.replace(".", r"\.")):
        features(spec)


def test_missing_shard_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"names the shard model-1\.safetensors, which is missing"):
        features(LanguageBindVideoSpec(path=str(folder)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected a JSON object; "),
        ("[]", "expected a JSON object, found \\[\\]; fetch"),
        ("[" * 100_000, "expected a JSON object; "),
        ('{"vision_config": []}', "expected a mapping as vision_config, found \\[]; fetch"),
        ('{"vision_config": null}', "expected a mapping as vision_config, found None; fetch"),
    ],
)
def test_config_that_is_none(folder: Path, content: str, message: str) -> None:
    module = LanguageBindVideoSpec(path=str(folder)).build()
    (folder / "config.json").write_text(content)
    with pytest.raises(ValidationError, match=rf"config\.json: {message}"):
        LanguageBindVideoSpec(path=str(folder))
    with pytest.raises(CheckpointError, match=message):  # as that of a hub id, which is first read here
        module.load_pretrained()


@pytest.mark.parametrize(
    "index", [[], {}, {"weight_map": []}, {"weight_map": {"a": 1}}, {"weight_map": {"a": "../../../etc/passwd"}}]
)
def test_index_that_is_none(folder: Path, index: Any) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"\.bin\.index\.json: expected .*, found .*; fetch it again"):
        features(LanguageBindVideoSpec(path=str(folder)))


@pytest.mark.parametrize("content", ["hello", "<!DOCTYPE html>"])
@pytest.mark.parametrize("spec", [LanguageBindVideoSpec, DinoV2Spec])
def test_weights_that_are_text(folder: Path, spec: type[EncoderSpec], content: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_text(content)
    with pytest.raises(CheckpointError, match=rf"\.bin: .*not readable as .*begins with b'{content[:4]}.*; fetch it"):
        features(spec.model_validate({"path": str(folder)}))


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize("spec", [LanguageBindVideoSpec, DinoV2Spec])
def test_weights_that_are_a_pointer(folder: Path, spec: type[EncoderSpec], name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_text(POINTER)
    with pytest.raises(
        CheckpointError, match=rf"{name}: expected weights, found a pointer of Git LFS .*`git lfs pull`"
    ):
        features(spec.model_validate({"path": str(folder)}))


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite(tmp_path: Path, number: float) -> None:
    state, _ = languagebind()
    state["pre_layrnorm.weight"] = torch.full_like(state["pre_layrnorm.weight"], number)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(config())
    with pytest.raises(
        CheckpointError, match=r"pre_layrnorm\.weight holds numbers that are not finite; fetch them again"
    ):
        features(LanguageBindVideoSpec(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("key", "number"), [("layers", 10**9), ("width", 10**11), ("image_size", 10**9), ("mlp", 10**12)]
)
def test_sizes_that_no_encoder_has(key: str, number: int) -> None:
    for spec in (ClipVisionSpec, DinoV2Spec):
        with pytest.raises(ValidationError, match=rf"{key}\n +Input should be less than or equal to"):
            spec.model_validate({**TINY, key: number})


def test_code_in_the_folder_is_not_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**content, "auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}})
    )
    features(LanguageBindVideoSpec(path=str(folder)))
    assert not (tmp_path / "ran").exists()


def test_a_folder_beside_others_is_only_looked_up_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    asked: list[bool] = []

    def offline(repo: str, name: str, local_files_only: bool) -> str:
        asked.append(local_files_only)
        raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    for path in ("models/clip", "someone/clip"):
        with pytest.raises(CheckpointError, match="not in the cache"):
            features(ClipVisionSpec.model_validate({**TINY, "path": path}))
    assert asked == [True, False]


@pytest.mark.parametrize("size", ['"wide"', "[]", "1.5"])
def test_sizes_that_are_no_numbers(folder: Path, size: str) -> None:
    (folder / "config.json").write_text(f'{{"hidden_size": {size}, "mlp_ratio": {size}}}')
    with pytest.raises(ValidationError, match="width"):
        DinoV2Spec(path=str(folder))


@pytest.mark.parametrize("path", ["/no/such/folder", "./no/such", "~/no", "no/such/folder"])
def test_folder_that_is_not_there(path: str) -> None:
    with pytest.raises(
        CheckpointError, match=r"no weights of an encoder can be read from .* \(no such folder here\); correct the path"
    ):
        features(ClipVisionSpec.model_validate({**TINY, "path": path}))


def test_hub_id_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(repo: str, name: str, local_files_only: bool) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("outgoing traffic is disabled")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(CheckpointError) as caught:
        features(ClipVisionSpec.model_validate({**TINY, "path": "openai/clip-vit-large-patch14"}))
    for part in ("openai/clip-vit-large-patch14", "config.json", "local folder", "disabled", "go online once"):
        assert part in str(caught.value)


@pytest.mark.parametrize("end", ["bin", "safetensors"])
def test_hub_id_from_the_cache_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    import huggingface_hub

    state, expected = languagebind()
    if end == "bin":
        torch.save(state, tmp_path / "pytorch_model.bin")
    else:
        save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(config())

    def cache(repo: str, name: str, local_files_only: bool) -> str:
        if repo != "LanguageBind/tiny" or not (tmp_path / name).is_file():
            raise huggingface_hub.errors.LocalEntryNotFoundError("outgoing traffic is disabled")
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", cache)
    spec = LanguageBindVideoSpec.model_validate({**TINY, "frames": 4, "path": "LanguageBind/tiny"})
    assert torch.equal(features(spec), expected)
    (tmp_path / "config.json").write_text(config(hidden_act=None))
    with pytest.raises(CheckpointError, match="activation: the config says 'quick_gelu'"):
        features(spec)


def test_without_a_path_nothing_is_loaded() -> None:
    encoder = ClipVisionSpec.model_validate(TINY).build()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.load_pretrained()
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
