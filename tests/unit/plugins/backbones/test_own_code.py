"""A folder that names Python code of its own: none of it runs, whatever is answered to transformers' question."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlmkit.errors import UserError
from vlmkit_backbones.spec import HfCausalLmSpec

CODE = """
from pathlib import Path
Path({mark!r}).write_text("ran")
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class Config(LlamaConfig):
    model_type = "foreign"
class Model(LlamaForCausalLM):
    pass
class Tok(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the code leaves; every question is answered with yes."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    return tmp_path / "ran"


@pytest.fixture
def folder(published: Path, mark: Path) -> Path:
    (published / "own.py").write_text(CODE.format(mark=str(mark)))
    return published


def change(file: Path, **keys: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


def spec(folder: Path) -> HfCausalLmSpec:
    return HfCausalLmSpec(path=str(folder), chat_template="plain")


def load(options: HfCausalLmSpec) -> Any:
    return options.load()


def draw(options: HfCausalLmSpec) -> Any:
    return options.model_copy(update={"init": "random"}).load()


def check(options: HfCausalLmSpec) -> Any:
    return options.self_contained()


def read_tokenizer(options: HfCausalLmSpec) -> Any:
    return options.load_tokenizer(offline=True)


AUTO = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoTokenizer": ["own.Tok", None]}


@pytest.mark.parametrize("use", [check, load, draw])
def test_a_model_of_its_own_code(folder: Path, mark: Path, use: Callable[[HfCausalLmSpec], Any]) -> None:
    change(folder / "config.json", model_type="foreign", auto_map=AUTO)
    with pytest.raises(UserError, match="code from a model's folder is never run; give a model that") as caught:
        use(spec(folder))
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_a_tokenizer_of_its_own_code(folder: Path, mark: Path) -> None:
    (folder / "config.json").unlink()
    change(folder / "tokenizer_config.json", tokenizer_class="Tok", auto_map=AUTO)
    with pytest.raises(UserError, match=r"no tokenizer can be read from .* code from a model's folder is never run"):
        read_tokenizer(spec(folder))
    assert not mark.exists()


@pytest.mark.parametrize("use", [check, load, draw])
def test_transformers_own_class_takes_the_place_of_code(
    folder: Path, mark: Path, use: Callable[[HfCausalLmSpec], Any]
) -> None:
    change(folder / "config.json", auto_map=AUTO)
    change(folder / "tokenizer_config.json", auto_map=AUTO)
    with pytest.warns(UserWarning, match=r"auto_map in its config\.json\) is not run; transformers' own 'llama'"):
        use(spec(folder))
    assert read_tokenizer(spec(folder)).video_token_id == 3
    assert not mark.exists()


def test_a_checkpoint_does_not_keep_the_names_of_code(folder: Path) -> None:
    change(folder / "config.json", auto_map=AUTO)
    with pytest.warns(UserWarning, match="is not run"):
        kept = spec(folder).self_contained()
    assert kept.config is not None
    assert "auto_map" not in kept.config
    assert HfCausalLmSpec.model_validate(kept.model_dump()) == kept


def test_code_in_the_spec() -> None:
    config = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1}
    options = {"init": "random", "tokenizer": {"text": ["a"]}}
    for key, value, said in (
        ("auto_map", AUTO, "auto_map names Python code, and none of a model's is run: remove it"),
        (
            "_attn_implementation",
            "someone/kernel",
            "_attn_implementation: expected the name of a kernel of transformers",
        ),
    ):
        with pytest.raises(ValueError, match=said):
            HfCausalLmSpec.model_validate(options | {"config": config | {key: value}})


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_kernels_of_the_hub(folder: Path, key: str) -> None:
    change(folder / "config.json", **{key: "someone/kernel@main"})
    with pytest.raises(UserError, match=f"{key}: expected the name of a kernel of transformers or torch, found 'some"):
        load(spec(folder))


def test_an_adapter_is_no_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/other", "peft_type": "LORA"}')
    with pytest.raises(UserError, match=r"expected a whole model, found an adapter at .*merge_and_unload"):
        load(spec(folder))


def test_weights_that_run_code_are_not_unpickled(folder: Path, mark: Path) -> None:
    import pickle

    class Touch:
        def __reduce__(self) -> Any:
            return Path.touch, (mark,)

    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"lm_head.weight": Touch()}))
    with pytest.raises(UserError, match="no weights of a language model can be read from"):
        load(spec(folder))
    assert not mark.exists()
