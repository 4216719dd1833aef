"""The last step of every aligner: features to the LLM's width."""

from __future__ import annotations

from torch import nn

from vlmkit.api.aligner import Projector

__all__ = ["build_projector"]


def build_projector(kind: Projector, width: int, llm_width: int) -> nn.Module:
    """(…, width) -> (…, llm_width).

    `mlp2x_gelu` is LLaVA-1.5's: Linear, exact GELU, Linear. A ValueError where `identity` would change the width.
    """
    if kind == "identity":
        if width != llm_width:
            raise ValueError(f"projector 'identity' needs features of the LLM's width {llm_width}, found {width}")
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(width, llm_width)
    return nn.Sequential(nn.Linear(width, llm_width), nn.GELU(), nn.Linear(llm_width, llm_width))
