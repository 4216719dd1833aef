"""Configurations of any content: sizes that nothing can hold, and values that transformers stumbles over."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoConfig, AutoModelForCausalLM

from vlmkit.errors import UserError, shown
from vlmkit_backbones import _module
from vlmkit_backbones.spec import HfCausalLmSpec

LLAMA = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 300,
}


def spec(**config: Any) -> HfCausalLmSpec:
    return HfCausalLmSpec.model_validate({"init": "random", "config": LLAMA | config, "tokenizer": {"text": ["a"]}})


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("num_hidden_layers", 10**9),
        ("n_layer", 10**9),
        ("num_layers", 1001),
        ("hidden_size", 10**11),
        ("vocab_size", 10**12),
        ("intermediate_size", 10**12),
        ("num_attention_heads", 10**12),
    ],
)
def test_sizes_that_no_model_has(key: str, number: int) -> None:
    with pytest.raises(ValidationError, match="less than or equal to") as caught:
        spec(**{key: number})
    assert [error["loc"] for error in caught.value.errors()] == [("config", key)]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"decoder_layers": 10**9}, "decoder_layers: expected at most 1,000, found 1000000000"),
        ({"num_labels": 10**9}, "num_labels: expected at most 262,144, found 1000000000"),
        ({"depth": 1e9}, "depth: expected at most 1,000, found 1000000000.0"),
        ({"max_position_embeddings": 10**12}, "max_position_embeddings: expected at most 2,147,483,647, found 10"),
        ({"text_config": {"num_hidden_layers": 10**9}}, r"text_config\.num_hidden_layers: expected at most 1,000"),
        ({"rope_parameters": {"factor": 10**400}}, r"rope_parameters\.factor: .* found <a number of about 39. digits>"),
    ],
)
def test_numbers_under_other_names(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(**config)


def test_real_numbers_are_within_the_bounds() -> None:
    """Those of the largest that are published."""
    config = {"hidden_size": 16384, "intermediate_size": 53248, "num_hidden_layers": 126, "vocab_size": 256206}
    rope = {"rope_theta": 1e9, "rope_type": "default"}
    many = {"max_position_embeddings": 10_485_760, "rope_parameters": rope, "max_window_layers": 80, "block_size": 8192}
    assert spec(**config, **many).layers == 126


def test_building_stops_where_the_numbers_multiply() -> None:
    options = spec(hidden_size=2**16, intermediate_size=2**20, num_hidden_layers=1000, num_attention_heads=2**10)
    begin = time.monotonic()
    with torch.device("meta"), pytest.raises(UserError, match="expected at most 10,000,000,000,000 parameters"):
        options.build()
    with pytest.raises(UserError, match="expected at most 10,000,000,000,000 parameters"):
        options.build()
    assert time.monotonic() - begin < 10


def test_building_stops_at_too_many_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_module, "_MAX_MODULES", 20)
    with pytest.raises(UserError, match="expected at most 20 modules"):
        spec(num_hidden_layers=4).build()
    monkeypatch.undo()
    assert spec(num_hidden_layers=4).build().config.num_hidden_layers == 4


def test_a_model_larger_than_the_memory_is_not_drawn() -> None:
    with pytest.raises(UserError, match=r"a model of [\d,]+ GiB does not fit into this machine's memory of [\d,]+ GiB"):
        spec(hidden_size=2**16, num_attention_heads=2**10, num_key_value_heads=2**10, num_hidden_layers=100).build()


def test_the_trial_leaves_the_drawn_weights_as_they_are() -> None:
    torch.manual_seed(3)
    drawn = spec().build().state_dict()
    after = torch.rand(3)
    torch.manual_seed(3)
    expected = AutoModelForCausalLM.from_config(AutoConfig.for_model(**LLAMA)).state_dict()
    assert all(torch.equal(value, drawn[name]) for name, value in expected.items())
    assert torch.equal(torch.rand(3), after)


ODD: list[tuple[str, Any]] = [
    ("dtype", "x"),
    ("hidden_act", 3),
    ("id2label", 1),
    ("layer_types", ["nothing"]),
    ("pad_token_id", [1]),
    ("per_layer_config", 3),
    ("rope_parameters", 3),
    ("tie_word_embeddings", {}),
]
ONLY_IN_A_FOLDER: list[tuple[str, Any]] = [
    ("auto_map", 3),
    ("model_type", ["llama"]),
    ("_attn_implementation", {"": "x"}),
]


@pytest.mark.parametrize(("key", "value"), [*ODD, *ONLY_IN_A_FOLDER])
def test_values_that_transformers_stumbles_over(published: Path, key: str, value: Any) -> None:
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {key: value}))
    options = HfCausalLmSpec(path=str(published))
    for use in (options.load, options.self_contained):
        with pytest.raises(UserError, match=rf"no configuration can be read from {published} .*; ") as caught:
            use()
        assert "\n" not in str(caught.value)
        assert key in str(caught.value)


@pytest.mark.parametrize(("key", "value"), ODD)
def test_the_same_in_a_spec(key: str, value: Any) -> None:
    said = rf"model\.backbone\.config: transformers cannot build this 'llama': {key}: {re.escape(shown(value))}: "
    with pytest.raises(UserError, match=said):
        spec(**{key: value}).build()


@pytest.mark.parametrize(("key", "value"), [("torch_dtype", {}), ("architectures", 5)])
def test_values_that_transformers_does_not_look_at(key: str, value: Any) -> None:
    assert spec(**{key: value}).build()(torch.zeros(1, 2, dtype=torch.long)).logits.isfinite().all()


def test_a_tokenizer_of_a_size_that_none_has() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1048576"):
        HfCausalLmSpec.model_validate(
            {"init": "random", "config": LLAMA, "tokenizer": {"text": ["a"], "vocab_size": 10**9}}
        )
