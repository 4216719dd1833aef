"""Layers that several aligners share."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vlmkit.nn import build_projector


def test_projectors() -> None:
    assert [p.shape for p in build_projector("linear", 4, 6).parameters()] == [(6, 4), (6,)]
    mlp = build_projector("mlp2x_gelu", 4, 6)
    x = torch.randn(3, 4)
    expected = nn.functional.linear(nn.functional.gelu(mlp[0](x)), mlp[2].weight, mlp[2].bias)
    assert torch.equal(mlp(x), expected)
    assert build_projector("identity", 4, 4)(x) is x
    with pytest.raises(ValueError, match="width 6, found 4"):
        build_projector("identity", 4, 6)
