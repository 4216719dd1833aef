"""The output of the model's forward pass.

Shape letters: B sequences, S positions, V videos of the batch, N visual tokens of a video, L LLM layers, D LLM width,
K layers that read prompts, M prompts of a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.modeling_outputs import ModelOutput

from vlmkit.api.tensors import VisualTokens

__all__ = ["VideoLMOutput"]


@dataclass
class VideoLMOutput(ModelOutput):
    """The output of a forward pass."""

    loss: Tensor | None = None
    """() float32: cross-entropy of the language, where there are labels."""
    logits: Tensor | None = None
    """(B, S, vocabulary); with labels only the K positions at which any row has something to predict."""
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    """L + 1 of (B, S, D), the embeddings first, the last after the final norm."""
    visual: VisualTokens | None = None
    """The visual tokens of the V videos; without `patches` where they came as `visual_embeds`."""
    positions: Tensor | None = None
    """(V, N, 2) int64: row and column of each visual token among B and S, -1 where there is none."""
    next_positions: Tensor | None = None
    """(B,) int64: the position of what follows each row, where `layers` count by themselves and there are videos."""
    visual_prompts: Tensor | None = None
    """(K, B, M, D): what the layers read beside each row, if the aligner gives prompts; later passes need it."""
    prompts_mask: Tensor | None = None
    """(B, M) bool: False where a row has fewer prompts than another."""
