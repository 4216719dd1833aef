"""Laying tokens out: from a flat pool of distinct tokens to one padded sequence per video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from vlmkit.api.tensors import VisualTokens
from vlmkit.api.video import TokenLayout

__all__ = ["assemble"]


def assemble(pool: Tensor, sources: Sequence[npt.NDArray[np.int64]], layouts: Sequence[TokenLayout]) -> VisualTokens:
    """Lay out the B videos of a batch with a fixed number of operator calls.

    Args:
        pool: (S, D) every distinct token once; a token that stands in many places (a row token) too.
        sources: for each video the (N_b,) indices into the pool of its tokens, in order.
        layouts: for each video where its patches stand; `layout.tokens` is N_b.
    """
    longest = max(layout.tokens for layout in layouts)
    index = np.full((len(sources), longest), len(pool), np.int64)
    for row, (source, layout) in enumerate(zip(sources, layouts, strict=True)):
        if len(source) != layout.tokens:
            raise AssertionError(f"video {row}: {len(source)} tokens, its layout says {layout.tokens}")
        index[row, : layout.tokens] = source
    mask = torch.from_numpy(index < len(pool)).to(pool.device)
    padded = torch.cat([pool, pool.new_zeros(1, pool.shape[1])]) if (index == len(pool)).any() else pool
    patches = torch.from_numpy(np.stack([layout.patches for layout in layouts])).to(pool.device)
    # An embedding look-up: unlike indexing, it has a fast backward for tokens that stand in many places.
    embeddings = F.embedding(torch.from_numpy(index).to(pool.device), padded)
    return VisualTokens(embeddings, mask, patches)
