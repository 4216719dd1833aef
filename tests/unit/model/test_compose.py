"""Composition from a spec: determinism, the meta device, single components."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import vlmkit
from vlmkit.errors import SpecError, UserError
from vlmkit.model import VideoLM, compose
from vlmkit.spec.experiment import ModelSpec


def test_weights_are_decided_by_the_seed(make_spec: Any) -> None:
    first, again, other = (compose(make_spec(), seed=seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["backbone.lm_head.weight"], other["backbone.lm_head.weight"])


def test_random_state_is_left_alone(make_spec: Any) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    compose(make_spec(), seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_another_aligner_leaves_the_backbone_as_it_is(make_spec: Any) -> None:
    one = compose(make_spec(), seed=1)[0].backbone.state_dict()
    other = compose(make_spec(aligner={"fsra": False}), seed=1)[0].backbone.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_composing_does_not_touch_the_components_weights(make_spec: Any) -> None:
    spec = make_spec()
    model = compose(spec, seed=1)[0]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        aligner = spec.aligner.build(spec.backbone.width)
    assert all(torch.equal(value, model.aligner.state_dict()[name]) for name, value in aligner.state_dict().items())


def test_full_size_on_the_meta_device_without_a_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    local_only: list[bool] = []

    def offline(*args: Any, local_files_only: bool, **kwargs: Any) -> Any:
        local_only.append(local_files_only)
        raise OSError("offline")

    monkeypatch.setattr("vlmkit_backbones._tokenizer.AutoTokenizer.from_pretrained", offline)
    config = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
              "intermediate_size": 11008, "vocab_size": 32000}  # fmt: skip
    backbone = {"type": "hf-causal-lm", "path": "lmsys/vicuna-7b-v1.5", "config": config, "dtype": "bfloat16"}
    spec = ModelSpec.model_validate({"aligner": "stab", "backbone": backbone})
    model, processor = compose(spec, meta=True)
    assert _count(model.aligner) == 45_066_578
    assert _count(model.backbone) == 6_738_415_616
    assert {value.device.type for value in model.parameters()} == {"meta"}
    assert processor.tokenizer is None
    assert processor.aligner.layout(processor.aligner.input.shape(16, 9)).tokens == 1232
    with pytest.raises(UserError, match=r"no tokenizer can be read from lmsys/vicuna-7b-v1\.5"):
        compose(spec)
    assert local_only == [True, False]


def _count(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_generation_stops_at_the_end_token_and_makes_no_placeholder(make_spec: Any) -> None:
    model, processor = compose(make_spec())
    assert isinstance(model, VideoLM)
    assert model.generation_config.eos_token_id == processor.tokenizer.eos_token_id
    assert model.generation_config.suppress_tokens == [processor.tokenizer.video_token_id]


def test_an_aligner_that_does_not_fit_the_llm_is_refused(make_spec: Any) -> None:
    with pytest.raises(SpecError, match=r"model\.aligner: projector 'identity' needs features of the LLM's width"):
        compose(make_spec(aligner={"projector": "identity"}), meta=True)


def test_build() -> None:
    aligner = vlmkit.build("aligner", {"type": "stab", "width": 16, "projector": "identity"}, llm_width=16)
    tokens = aligner.eval()(vlmkit.VideoBatch.full(torch.zeros(1, 4, 3, 56, 56)))
    assert tokens.embeddings.shape == (1, 28, 16)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("alinger", "stab", "no kind 'alinger'; did you mean 'aligner'"),
        ("aligner", "stub", "did you mean 'stab'"),
        ("aligner", {"type": "stab", "widht": 16}, "aligner.widht: unknown key widht; did you mean 'width'"),
        ("aligner", {"type": "stab", "downsampler": {"type": "lsd", "x": 1}}, r"aligner\.downsampler\.x: unknown key"),
    ],
)
def test_build_says_what_is_wrong(kind: str, options: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        vlmkit.build(kind, options, llm_width=16)
