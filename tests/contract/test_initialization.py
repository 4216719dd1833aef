"""Weights start as the papers say, and the kit finds those that do not."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from vlmkit.registry import registry
from vlmkit.testing.initialization import (
    Initialization,
    Normal,
    Uniform,
    check_initialization,
    check_initialized,
)
from vlmkit.testing.layers_checks import small_backbone

Table = dict[str, Initialization]

WIDTH = 32
"""Channels of the tiny Q-Formers and encoders; the hidden layer of an MLP is twice as wide."""
BERT: Table = {"*LayerNorm*": "torch", "*.dense.bias": 0.0, "*.self.*.bias": 0.0, "*": Normal(0.02)}


def below(part: str, table: Table) -> Table:
    return {f"{part}.{pattern}": start for pattern, start in table.items()}


GMHRA: Table = {
    "token": 0.0, "*.ln_*": "torch", "*.dpe.weight": Uniform(1 / math.sqrt(27)), "*.bias": 0.0, "*_bias": 0.0,
    "*.attn.in_proj_weight": Uniform(math.sqrt(6 / (4 * WIDTH))),
    "*.mlp.c_fc.weight": Uniform(math.sqrt(6 / (3 * WIDTH))), "*": 0.0,
}  # fmt: skip
BLIP2: Table = {"query_tokens": Normal(0.02), "norm.*": "torch", **below("qformer", BERT), "projector.*": "torch"}
ALIGNERS: dict[str, Table] = {
    "eve-v2": {"*_embedding": Normal(1.0), "patch_embedding.*": "torch"},
    "llama-adapter": {"projection.weight": Normal(1 / math.sqrt(WIDTH)), "*": "torch"},
    "llama-vid": {"*_projector.*": "torch", **BLIP2},
    "neo": {"*": "torch"},
    "video-chat": {"extra_query_tokens": 0.0, **below("gmhra", GMHRA), **BLIP2},
    "video-chat2": {"extra_query_tokens": 0.0, **BLIP2},
    "video-llama": {"frame_positions.weight": Normal(1.0), "video_query_tokens": Normal(0.02),
                    **below("video_qformer", BERT), **BLIP2},
}  # fmt: skip
"""Encoders, which start from their own checkpoints in all of these, have their own tests."""


@pytest.mark.parametrize("name", ALIGNERS)
def test_aligners(name: str) -> None:
    torch.manual_seed(0)
    aligner = registry().get("aligner", name).spec.tiny().build(48)
    if hasattr(aligner, "encoder"):
        del aligner.encoder
    check_initialization(aligner, ALIGNERS[name])


def test_llama_adapter_layers_change_nothing_at_first() -> None:
    spec = registry().get("layers", "llama-adapter").spec.tiny()
    table: Table = {
        "adapter_query.weight": Normal(1.0),
        "gates.*": 0.0,
        "new_gates.*": 1.0,
        "biases.*": 0.0,
        "lora.*.first.*": "torch",
        "lora.*.second.*": 0.0,
    }
    check_initialization(spec.build(small_backbone(spec)), table)


def test_eve_v2_layers_are_copies() -> None:
    spec = registry().get("layers", "eve-v2").spec.tiny()
    backbone = small_backbone(spec)
    check_initialization(
        spec.build(backbone),
        {f"visual.{name}": parameter for name, parameter in backbone.model.layers.named_parameters()},
    )


def test_neo_layers_are_drawn_before_and_turn_like_the_llm_behind() -> None:
    spec = registry().get("layers", "neo").spec.tiny()
    backbone = small_backbone(spec)
    table: Table = {
        "*norm*.weight": 1.0,
        "before.*": Normal(0.02),
        "spatial.0.*": Normal(0.02),
        "*.k_proj_hw.weight": 0.0,
    }
    for index, layer in enumerate(backbone.model.layers):
        first, _, third, _ = layer.self_attn.q_proj.weight.unflatten(0, (4, 4, -1)).unbind(1)
        half = torch.cat([first, third], 1)
        table[f"spatial.{index + spec.before}.q_proj_hw.weight"] = torch.cat([half, half], 1).flatten(0, 1)
    check_initialization(spec.build(backbone), table)


class _Parts(nn.Module):
    """A linear layer, zeros, and one drawn more widely than BERT does."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.gate = nn.Linear(64, 64), nn.Parameter(torch.zeros(2))
        self.query = nn.Parameter(torch.randn(1, 64, 8) * 0.03)


RIGHT: Table = {"linear.*": "torch", "gate": 0.0, "query": Normal(0.03)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": Normal(0.02)}, "query: expected Normal(std=0.02), found mean"),
        ({"query": Uniform(0.03 * math.sqrt(3))}, "query: expected Uniform("),
        ({"linear.*": Normal(1 / 8 / math.sqrt(3) * 1.1)}, "linear.weight: expected Normal("),
        ({"gate": 1.0}, "gate: expected 1 everywhere, found mean 0,"),
        ({"gate": torch.full((2,), 0.5)}, "gate: differs by up to 0.5 from what it starts from"),
        ({"gate": torch.zeros(3)}, "gate: expected the shape (3,), found (2,)"),
        ({"gates": 0.0}, "gates: no parameter has such a name"),
        ({"gate": "torch"}, "gate: torch's own start of a _Parts is not known here"),
    ],
)
def test_finds_weights_that_start_otherwise(change: Table, said: str) -> None:
    torch.manual_seed(0)
    parts = _Parts()
    check_initialization(parts, RIGHT)
    with pytest.raises(AssertionError) as found:
        check_initialization(parts, RIGHT | change)
    assert said in str(found.value)


def test_finds_weights_of_which_nothing_is_said() -> None:
    with pytest.raises(AssertionError, match="gate: nothing is expected of it"):
        check_initialization(_Parts(), {"linear.*": "torch", "query": Normal(0.03)})


def test_finds_weights_that_are_never_initialized() -> None:
    def build(*sizes: int) -> nn.Module:
        parts: Any = _Parts()
        parts.left = nn.Parameter(torch.empty(sizes))
        return parts

    check_initialized(_Parts)
    with pytest.raises(AssertionError, match=r"never initialized: \['left'\]"):
        check_initialized(lambda: build(4, 4))
    assert not torch.are_deterministic_algorithms_enabled()
