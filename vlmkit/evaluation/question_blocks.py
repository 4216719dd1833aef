"""Visual tokens of a video for each of several questions, of a model whose aligner reads text.

Shape letters: N visual tokens of a video, D LLM width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from vlmkit.data import FittedVideo, to_batch
from vlmkit.model.token_context import token_cells

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["QuestionBlocks", "VideoTokens", "find_blocks", "video_tokens"]


class VideoTokens(NamedTuple):
    """The tokens that an aligner makes of one video."""

    embeddings: Tensor
    """(N, D)."""
    cells: Tensor | None
    """(N, 3) int64, frame, row and column of each, where the layers of the model ask for it."""


class QuestionBlocks(NamedTuple):
    """A video, and what became of it for questions that are known."""

    video: FittedVideo
    tokens: dict[str, VideoTokens]
    """By what the aligner reads."""


def video_tokens(model: Any, processor: Any, video: FittedVideo, texts: Sequence[str] = ()) -> list[VideoTokens]:
    """Return the tokens that the aligner makes of a video: once, or once for each text that it reads."""
    inputs = to_batch([video], processor.aligner.input).model_inputs()
    if texts:
        inputs |= processor.text_batch([texts], [1]).model_inputs()
    with torch.inference_mode():
        found = model.get_video_features(**{name: value.to(model.device) for name, value in inputs.items()})
    cells = [None] * len(found.mask) if model.layers is None else token_cells(found)
    return [
        VideoTokens(embeds[mask], None if cell is None else cell[mask])
        for embeds, mask, cell in zip(found.embeddings, found.mask, cells, strict=True)
    ]


def find_blocks(model: Any, processor: Any, wanted: Sequence[tuple[QuestionBlocks, str]]) -> list[VideoTokens]:
    """Return the tokens of videos for texts. Those that are not known are made, all of a video together."""
    missing: dict[int, tuple[QuestionBlocks, dict[str, None]]] = {}
    for blocks, text in wanted:
        if text not in blocks.tokens:
            missing.setdefault(id(blocks), (blocks, {}))[1][text] = None
    made = {
        (key, text): tokens
        for key, (blocks, texts) in missing.items()
        for text, tokens in zip(texts, video_tokens(model, processor, blocks.video, [*texts]), strict=True)
    }
    return [made[id(blocks), text] if (id(blocks), text) in made else blocks.tokens[text] for blocks, text in wanted]
