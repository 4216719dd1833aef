"""Folded single-query attention against the obvious one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.nn import QueryPool, SingleQueryAttention, WindowPool
from vlmkit.nn.attention import attend, fold_norm

WIDTH, HEADS = 24, 4


def obvious(layer: SingleQueryAttention, query: Tensor, context: Tensor) -> Tensor:
    """Project every token to keys and values."""
    q = layer.to_query(layer.norm_query(query)).view(-1, 1, HEADS, WIDTH // HEADS)
    k, v = layer.to_key_value(layer.norm_context(context)).unflatten(-1, (2, HEADS, -1)).unbind(2)
    weights = ((q * k).sum(-1) * WIDTH**-0.5).softmax(1)
    return query + layer.to_out((weights[..., None] * v).sum(1).flatten(1))


def awake(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer.double()


def gradients(layer: nn.Module, output: Tensor, *inputs: Tensor) -> list[Tensor]:
    cotangent = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return list(torch.autograd.grad((output * cotangent).sum(), [*layer.parameters(), *inputs]))


@pytest.mark.parametrize("shared", [True, False])
def test_equals_the_obvious_attention_forward_and_backward(shared: bool) -> None:
    layer = awake(SingleQueryAttention(WIDTH, HEADS))
    query = torch.randn(*(() if shared else (5,)), WIDTH, dtype=torch.float64, requires_grad=True)
    context = (torch.randn(5, 7, WIDTH, dtype=torch.float64) * 2 + 1).requires_grad_()
    ours, theirs = layer.read(query, context), obvious(layer, query, context)
    assert torch.allclose(ours, theirs, atol=1e-12)
    for left, right in zip(
        gradients(layer, ours, query, context), gradients(layer, theirs, query, context), strict=True
    ):
        assert torch.allclose(left, right, atol=1e-10)


def test_biases_are_exact() -> None:
    """Against torch's own attention, whose keys and values have biases."""
    reference = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).double()
    nn.init.normal_(reference.in_proj_bias)
    norm = nn.LayerNorm(WIDTH).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    query, context = (torch.randn(3, n, WIDTH, dtype=torch.float64) for n in (1, 6))
    expected, _ = reference(query, norm(context), norm(context))

    weights, biases = reference.in_proj_weight.chunk(3), reference.in_proj_bias.chunk(3)
    projected = F.linear(query[:, 0], weights[0], biases[0])
    folded = fold_norm(norm, weights[1], weights[2], biases[2])
    read = attend(projected, F.layer_norm(context, (WIDTH,)), folded, HEADS, (WIDTH // HEADS) ** -0.5)
    assert torch.allclose(reference.out_proj(read), expected[:, 0], atol=1e-12)


def test_query_pool_reads_a_frame() -> None:
    layer = awake(QueryPool(WIDTH, HEADS))
    frames = torch.randn(3, 6, WIDTH, dtype=torch.float64)
    assert torch.allclose(layer(frames), obvious(layer, layer.query[None], frames), atol=1e-12)


def test_window_pool_reads_windows_in_rows() -> None:
    layer = awake(WindowPool(WIDTH, HEADS))
    x = torch.randn(2, 6, 4, WIDTH, dtype=torch.float64)
    pooled = layer(x)
    assert pooled.shape == (2, 3, 2, WIDTH)
    for frame, row, column in ((0, 0, 0), (0, 2, 1), (1, 1, 0)):
        window = x[frame, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(1, 4, WIDTH)
        assert torch.allclose(pooled[frame, row, column], obvious(layer, window.mean(1), window)[0], atol=1e-12)
