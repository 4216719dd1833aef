"""Published weights that are damaged, lack something, or do not belong to their config.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vlmkit.errors import Unavailable, UserError
from vlmkit_backbones.spec import HfCausalLmSpec

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"  # noqa: E501
Change = Callable[[dict[str, Tensor]], object]


def load(folder: Path) -> object:
    return HfCausalLmSpec(path=str(folder)).load()


def rewrite(folder: Path, change: Change) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("name", ["lm_head.weight", "model.norm.weight", "model.layers.0.mlp.up_proj.weight"])
def test_a_tensor_that_is_not_there_is_not_drawn(published: Path, name: str) -> None:
    rewrite(published, lambda state: state.pop(name))
    with pytest.raises(UserError, match=rf"model\.backbone\.path: .*: it lacks 1 tensor \({name}\); fetch the weights"):
        load(published)


def test_a_tied_head_is_not_missing(published: Path) -> None:
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    rewrite(published, lambda state: state.pop("lm_head.weight"))
    model = HfCausalLmSpec(path=str(published)).load()
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_a_table_of_another_size(published: Path) -> None:
    rewrite(published, lambda state: state.update({"lm_head.weight": torch.zeros(7, 16)}))
    said = r"1 tensor \(lm_head\.weight is \(7, 16\) in the file, \(300, 16\) by its config\.json\)"
    with pytest.raises(UserError, match=said):
        load(published)


def test_what_the_model_has_no_place_for_is_left_out_with_a_warning(published: Path) -> None:
    rewrite(
        published, lambda state: state.update({"vision.weight": torch.zeros(2), "model.layers.1.x": torch.zeros(2)})
    )
    with pytest.warns(UserWarning, match=r"have 2 tensors \(model\.layers\.1\.x, vision\.weight\) that a model of its"):
        load(published)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(published: Path, number: float) -> None:
    rewrite(published, lambda state: state["model.norm.weight"].__setitem__(3, number))
    with pytest.raises(UserError, match=r"1 tensor \(model\.norm\.weight\) hold numbers that are not finite"):
        load(published)


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 64, b"\xff" * 64])
def test_a_file_of_weights_that_is_none(published: Path, content: bytes) -> None:
    (published / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"no weights of a language model can be read from .*llm: .*; correct the path"):
        load(published)


def test_a_file_that_was_cut_off(published: Path) -> None:
    file = published / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="no weights of a language model can be read from"):
        load(published)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs(published: Path, name: str) -> None:
    (published / name).write_bytes(POINTER)
    options = HfCausalLmSpec(path=str(published))
    with pytest.raises(
        UserError, match=rf"llm: {name}: .* found a pointer of Git LFS .*; run `git lfs pull` in its folder"
    ):
        _ = options.load() if name.startswith("model") else options.load_tokenizer()


def test_an_index_that_names_what_is_not_there(published: Path) -> None:
    (published / "model.safetensors").unlink()
    for index in ({"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}, {}, {"weight_map": 3}):
        (published / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(UserError, match="no weights of a language model can be read from"):
            load(published)


@pytest.mark.parametrize("path", ["./llm", "../llm", "~/llm", "/llm", "a/b/llm", "llm\\7b"])
def test_a_path_waits_for_no_network(path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.http_get", lambda *a, **k: pytest.fail("the network was asked"))
    options = HfCausalLmSpec(path=path, config={"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1})
    for read in (options.load, options.load_tokenizer):
        with pytest.raises(Unavailable, match=r"can be read from .* \(no such folder here\); correct the path"):
            read()


def test_a_folder_beside_others_is_only_looked_up_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    asked: list[bool] = []

    def offline(*args: object, local_files_only: bool, **kwargs: object) -> object:
        asked.append(local_files_only)
        raise OSError("not in the cache")

    monkeypatch.setattr("vlmkit_backbones._tokenizer.AutoTokenizer.from_pretrained", offline)
    config = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1}
    for path in ("models/llama", "someone/llama"):
        with pytest.raises(Unavailable, match="not in the cache"):
            HfCausalLmSpec(path=path, config=config).load_tokenizer()
    assert asked == [True, False]


def test_the_home_folder(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(published.parent))
    options = HfCausalLmSpec(path="~/llm")
    assert options.width == 16
    assert options.load().config.hidden_size == 16
    assert options.load_tokenizer().video_token_id == 3
