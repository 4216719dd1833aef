"""From a pool of distinct tokens to padded sequences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vlmkit.api import TokenLayout
from vlmkit.nn import build_projector
from vlmkit.nn.assemble import assemble


def layout(tokens: int) -> TokenLayout:
    return TokenLayout(tokens, np.full((1, 1, 1), tokens - 1), np.zeros(0, np.int64))


def test_lays_out_pads_and_adds_gradients_up() -> None:
    pool = torch.arange(6.0).view(3, 2).requires_grad_()
    visual = assemble(pool, [np.array([2, 0, 2]), np.array([1])], [layout(3), layout(1)])
    assert visual.embeddings.tolist() == [[[4, 5], [0, 1], [4, 5]], [[2, 3], [0, 0], [0, 0]]]
    assert visual.mask.tolist() == [[True, True, True], [True, False, False]]
    assert visual.patches.flatten().tolist() == [2, 0]
    visual.embeddings.sum().backward()
    assert pool.grad.tolist() == [[1, 1], [1, 1], [2, 2]]


def test_sources_have_to_be_as_many_as_the_layout_says() -> None:
    with pytest.raises(AssertionError, match="video 1: 2 tokens, its layout says 3"):
        assemble(torch.zeros(3, 2), [np.array([0]), np.array([0, 1])], [layout(1), layout(3)])


def test_projectors() -> None:
    assert [p.shape for p in build_projector("linear", 4, 6).parameters()] == [(6, 4), (6,)]
    mlp = build_projector("mlp2x_gelu", 4, 6)
    x = torch.randn(3, 4)
    expected = nn.functional.linear(nn.functional.gelu(mlp[0](x)), mlp[2].weight, mlp[2].bias)
    assert torch.equal(mlp(x), expected)
    assert build_projector("identity", 4, 4)(x) is x
    with pytest.raises(ValueError, match="width 6, found 4"):
        build_projector("identity", 4, 6)
