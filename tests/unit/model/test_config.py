"""A saved model whose files name Python code, or that holds more than was saved: none of it runs."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoProcessor

from vlmkit.errors import CheckpointError
from vlmkit.manifest import MANIFEST
from vlmkit.model import VideoLM, VideoLMConfig, VideoLMProcessor, load
from vlmkit.model.pretrained import load_with_config

CODE = "from pathlib import Path\nPath({mark!r}).write_text('ran')\n"
NAMES = {
    "AutoConfig": "own.C",
    "AutoModelForCausalLM": "own.M",
    "AutoTokenizer": ["own.T", None],
    "AutoProcessor": "own.P",
}


@pytest.fixture
def saved(composed: tuple[VideoLM, VideoLMProcessor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model on disk, with code beside it; every question is answered with yes."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "model"
    for part in composed:
        part.save_pretrained(folder)
    (folder / "own.py").write_text(CODE.format(mark=str(tmp_path / "ran")))
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(CODE.format(mark=str(tmp_path / "ran")))
    return folder


def change(file: Path, **keys: Any) -> None:
    """The folder is then one that others have written, without checksums."""
    (file.parent / MANIFEST).unlink(missing_ok=True)
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(content | keys))


OPENERS = {
    "load": load,
    "load_as": lambda folder: load_with_config(folder, VideoLMConfig()),
    "model": VideoLM.from_pretrained,
    "keyword": lambda folder: VideoLM.from_pretrained(pretrained_model_name_or_path=folder, trust_remote_code=True),
    "auto model": AutoModelForCausalLM.from_pretrained,
    "processor": VideoLMProcessor.from_pretrained,
    "auto processor": AutoProcessor.from_pretrained,
}


@pytest.mark.parametrize("use", OPENERS.values(), ids=OPENERS)
@pytest.mark.parametrize(
    "file",
    [
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer_config.json",
    ],
)
def test_a_file_that_names_code(saved: Path, use: Callable[[Path], Any], file: str, tmp_path: Path) -> None:
    change(saved / file, auto_map=NAMES)
    with pytest.raises(
        CheckpointError, match=rf"{file}: expected a model of vlmkit, found the key auto_map, which names"
    ):
        use(saved)
    assert not (tmp_path / "ran").exists()


def test_code_named_in_a_part(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    change(saved / "config.json", text_config=config["text_config"] | {"auto_map": NAMES})
    with pytest.raises(CheckpointError, match="found the key auto_map"):
        load(saved)


def test_code_that_generates(saved: Path, tmp_path: Path) -> None:
    model, processor = load(saved)  # it stands there, and nothing names it
    model.generate(**processor(processor.prompt("red?")), max_new_tokens=2)
    assert not (tmp_path / "ran").exists()
    change(saved / "generation_config.json", custom_generate=str(saved))
    with pytest.raises(CheckpointError, match="found the key custom_generate"):
        load(saved)


def test_an_adapter_among_the_files(saved: Path) -> None:
    change(saved / "adapter_config.json", base_model_name_or_path="someone/other", peft_type="LORA")
    with pytest.raises(CheckpointError, match=r"expected a whole model, found an adapter's adapter_config\.json in it"):
        load(saved)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ({"model_type": "nothing"}, "text_config of the saved model .*: Unrecognized model identifier: nothing"),
        ({"model_type": "llama", "num_hidden_layers": 10**9}, "num_hidden_layers: expected at most 1,000"),
        ({"hidden_size": 8}, "expected a mapping with a model_type, found {'hidden_size': 8}"),
        ({"model_type": "llama", "rope_parameters": 3}, "text_config of the saved model"),
        (5, "expected a mapping with a model_type, found 5"),
        (["llama"], "expected a mapping with a model_type"),
    ],
)
def test_a_language_model_that_is_none(saved: Path, language: Any, said: str) -> None:
    change(saved / "config.json", text_config=language)
    with pytest.raises(CheckpointError, match=said) as caught:
        load(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "template", ["{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", 5]
)
def test_a_chat_template_that_does_not_end(saved: Path, template: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlmkit.api import chat_template

    monkeypatch.setattr(chat_template, "_BOUNDS", chat_template._BOUNDS | {"seconds": 1})
    (saved / "chat_template.jinja").unlink()
    change(saved / "tokenizer_config.json", chat_template=template)
    with pytest.raises(
        CheckpointError, match=r"tokenizer or processor: .*(does not end within 1 s|Jinja template, found 5)"
    ):
        load(saved)
