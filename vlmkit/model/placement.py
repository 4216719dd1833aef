"""Where visual tokens stand among the text.

Shape letters: B sequences, S positions, V videos, N visual tokens of a video, D LLM width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vlmkit.api.tensors import VisualTokens

__all__ = ["find_positions", "place"]


def find_positions(input_ids: Tensor, video_token_id: int, mask: Tensor) -> Tensor:
    """(V, N, 2) int64: row and column of each visual token among (B, S) `input_ids`, -1 where `mask` (V, N) is False.

    The k-th video of the batch belongs to the k-th row that has placeholders. A ValueError where the counts differ.
    """
    is_placeholder = input_ids == video_token_id
    counts, tokens = is_placeholder.sum(1), mask.sum(1)
    rows = counts.nonzero().squeeze(1)
    if rows.numel() != tokens.numel() or not torch.equal(counts[rows], tokens):
        raise ValueError(
            f"{tokens.numel()} videos give {tokens.tolist()} visual tokens, but the rows {rows.tolist()} of input_ids "
            f"hold {counts[rows].tolist()} placeholders <video>; make both with the processor of this model, and give "
            "each row that has placeholders one video, in the order of the rows"
        )
    positions = mask.new_full((*mask.shape, 2), -1, dtype=torch.int64)
    positions[mask] = is_placeholder.nonzero()
    return positions


def place(text: Tensor, visual: VisualTokens, positions: Tensor) -> Tensor:
    """(B, S, D) text embeddings with the visual tokens at their positions."""
    rows, columns = positions[visual.mask].unbind(1)
    return text.index_put((rows, columns), visual.embeddings[visual.mask].to(text.dtype))
