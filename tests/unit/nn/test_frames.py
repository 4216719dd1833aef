"""From a pool of distinct tokens to padded sequences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vlmkit.api import TokenLayout
from vlmkit.nn import gather_tokens


def layout(tokens: int) -> TokenLayout:
    return TokenLayout(tokens, np.full((1, 1, 1), tokens - 1), np.zeros(0, np.int64))


def test_lays_out_pads_and_adds_gradients_up() -> None:
    pool = torch.arange(6.0).view(3, 2).requires_grad_()
    visual = gather_tokens(pool, [np.array([2, 0, 2]), np.array([1])], [layout(3), layout(1)])
    assert visual.embeddings.tolist() == [[[4, 5], [0, 1], [4, 5]], [[2, 3], [0, 0], [0, 0]]]
    assert visual.mask.tolist() == [[True, True, True], [True, False, False]]
    assert visual.patches.flatten().tolist() == [2, 0]
    visual.embeddings.sum().backward()
    assert pool.grad.tolist() == [[1, 1], [1, 1], [2, 2]]


def test_sources_have_to_be_as_many_as_the_layout_says() -> None:
    with pytest.raises(AssertionError, match="video 1: 2 tokens, its layout says 3"):
        gather_tokens(torch.zeros(3, 2), [np.array([0]), np.array([0, 1])], [layout(1), layout(3)])
