"""Visual tokens of videos, kept for all questions about them; of a model whose aligner reads text, for each question.

Shape letters: N visual tokens of a video, D LLM width, V videos, B rows, K layers that read prompts, P prompts of a
video, M prompts of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence

from vlmkit.data import FittedVideo, to_batch
from vlmkit.model.token_context import token_cells
from vlmkit.model.visual_prompts import join_prompts

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["QuestionBlocks", "VideoTokens", "find_blocks", "join_tokens", "video_tokens"]


class VideoTokens(NamedTuple):
    """The tokens that an aligner makes of one video."""

    embeddings: Tensor
    """(N, D)."""
    cells: Tensor | None
    """(N, 3) int64, frame, row and column of each, where the layers of the model ask for it."""
    prompts: Tensor | None = None
    """(K, P, D), where the aligner gives prompts."""

    @property
    def features(self) -> Tensor:
        """(K * P + N, D): prompts before tokens."""
        return self.embeddings if self.prompts is None else torch.cat([self.prompts.flatten(0, 1), self.embeddings])


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
    prompts = [None] * len(found.mask) if found.prompts is None else found.prompts.unbind(1)
    return [
        VideoTokens(embeds[mask], None if cell is None else cell[mask], own)
        for embeds, mask, cell, own in zip(found.embeddings, found.mask, cells, prompts, strict=True)
    ]


def join_tokens(found: Sequence[VideoTokens], rows: Sequence[int], batch: int) -> dict[str, Tensor]:
    """Return what `VideoLM` takes instead of pixels: the tokens and prompts of V videos, `visual_embeds` and others.

    Args:
        found: of each video.
        rows: the row that each belongs to, ascending.
        batch: B.
    """
    lengths_V = torch.tensor([len(each.embeddings) for each in found])
    embeds_VND = pad_sequence([each.embeddings for each in found], batch_first=True)
    inputs = {"visual_embeds": embeds_VND, "visual_mask": torch.arange(embeds_VND.shape[1]) < lengths_V[:, None]}
    if cells := [each.cells for each in found if each.cells is not None]:
        inputs["visual_cells"] = pad_sequence(cells, batch_first=True, padding_value=-1)
    if prompts := [each.prompts for each in found if each.prompts is not None]:
        inputs["visual_prompts"], inputs["prompts_mask"] = join_prompts(prompts, rows, batch)
    return inputs


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
