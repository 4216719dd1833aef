"""A tiny published language model, as transformers saves one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from vlmkit_backbones.spec import HfCausalLmSpec

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


@pytest.fixture(scope="session")
def _published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=300, tie_word_embeddings=False, **SIZES)).save_pretrained(path)
    options: dict[str, Any] = {"init": "random", "config": {"model_type": "llama"}, "chat_template": "plain"}
    text = {"text": ["what colour is it? red"], "vocab_size": 300}
    HfCausalLmSpec.model_validate(options | {"tokenizer": text}).load_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def published(_published: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage: one layer of 16 channels, 300 tokens."""
    return Path(shutil.copytree(_published, tmp_path / "llm"))
