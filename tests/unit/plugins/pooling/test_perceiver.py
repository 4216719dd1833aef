"""The perceiver resampler against a version with one loop per frame, head and query."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from vlmkit_pooling.spec import PerceiverSpec
from vlmkit_stab.spec import StabSpec


def norm(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    return layer_norm(x, (x.shape[-1],), layer.weight, layer.bias, 1e-5)


def slow_attention(layer: nn.Module, frame: Tensor, latents: Tensor, heads: int, dim_head: int) -> Tensor:
    latents = norm(latents, layer.norm_latents)
    source = torch.cat([norm(frame, layer.norm_media), latents])
    queries = latents @ layer.to_q.weight.T
    keys, values = (source @ layer.to_kv.weight.T).split(heads * dim_head, -1)
    out = []
    for query in queries:
        parts = []
        for head in range(heads):
            part = slice(head * dim_head, (head + 1) * dim_head)
            weights = torch.stack([query[part] @ key[part] / dim_head**0.5 for key in keys]).exp()
            parts.append((weights[:, None] * values[:, part]).sum(0) / weights.sum())
        out.append(torch.cat(parts))
    return torch.stack(out) @ layer.to_out.weight.T


def slow(module: nn.Module, x: Tensor, spec: PerceiverSpec) -> Tensor:
    out = []
    for frame in x:
        patches = frame.reshape(-1, x.shape[-1])
        latents = module.latents
        for layer in module.layers:
            latents = latents + slow_attention(layer.attention, patches, latents, spec.heads, spec.dim_head)
            first, up, _, down = layer.feed_forward
            latents = latents + gelu(norm(latents, first) @ up.weight.T) @ down.weight.T
        out.append(norm(latents, module.norm).reshape(*spec.grid(*x.shape[1:3]), -1))
    return torch.stack(out)


@pytest.mark.parametrize(
    "spec",
    [
        PerceiverSpec(latents=4, heads=2, dim_head=3, rows=True),
        PerceiverSpec(latents=5, heads=3, dim_head=2, depth=2),
    ],
    ids=str,
)
def test_equals_the_slow_version(spec: PerceiverSpec) -> None:
    torch.manual_seed(0)
    module = spec.build(6).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(3, 2, 3, 6, dtype=torch.float64)
    torch.testing.assert_close(module(x), slow(module, x, spec), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("depth", "latents", "parameters"),
    [
        (1, 64, 10_559_488),
        (1, 256, 10_756_096),
        (2, 256, 21_248_000),
        (6, 256, 63_215_616),
    ],
)
def test_parameter_counts(depth: int, latents: int, parameters: int) -> None:
    with torch.device("meta"):
        module = PerceiverSpec(depth=depth, latents=latents).build(1024)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters


@pytest.mark.parametrize(
    ("spec", "keeps_rows", "grid"),
    [
        (PerceiverSpec(), True, (16, 16)),
        (PerceiverSpec(rows=False), False, (1, 256)),
        (PerceiverSpec(latents=64), False, (1, 64)),
        (PerceiverSpec(latents=64, rows=True), True, (8, 8)),
        (PerceiverSpec(latents=5), False, (1, 5)),
    ],
    ids=str,
)
def test_rows(spec: PerceiverSpec, keeps_rows: bool, grid: tuple[int, int]) -> None:
    assert spec.keeps_rows() is keeps_rows
    assert spec.grid(32, 18) == grid


def test_rows_need_a_square_number_of_latents() -> None:
    with pytest.raises(ValidationError, match="square number of latents, found 60"):
        PerceiverSpec(latents=60, rows=True)


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [(PerceiverSpec(), 51_623_250), (PerceiverSpec(latents=64, rows=True), 51_426_642)],
    ids=str,
)
def test_parameter_counts_within_stab(spec: PerceiverSpec, parameters: int) -> None:
    with torch.device("meta"):
        module = StabSpec(downsampler=spec).build(4096)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
