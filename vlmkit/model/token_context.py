"""The token context of a pass: which positions are visual, and the frame and cell that each of them shows.

Shape letters: B sequences, S positions of this pass, `past` cached positions, V videos, T frames, h w token grid, N
visual tokens of a video.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vlmkit.api.modules import Layers
from vlmkit.api.tensors import TokenContext, VisualTokens
from vlmkit.errors import UserError, shown

__all__ = ["apply_layers", "count_positions", "token_cells"]

_TAKES_MASKS = ("eager", "sdpa")
"""Implementations of attention that add a given mask (B, 1, S, past + S) to the scores, of whatever shape."""
_MOST_FRAMES = 2**32
"""More than any video has: frames of the k-th video are numbered from k times this."""


def count_positions(attention_mask: Tensor, length: int) -> Tensor:
    """Return (B, S) position ids that count unmasked tokens, so that padding on either side changes nothing."""
    return (attention_mask.long().cumsum(1) - 1).clamp(min=0)[:, -length:]


def token_cells(tokens: VisualTokens) -> Tensor:
    """Return (V, N, 3) int64: frame, row and column of each token, the first frame where it stands for several; -1 for
    tokens that stand for no cell."""
    videos, count = tokens.mask.shape
    patches = tokens.patches.flatten(1)
    if not (none := patches.shape[1]):
        return patches.new_full((videos, count, 3), -1)
    _, _, height, width = tokens.patches.shape
    numbers = torch.arange(none, device=patches.device).expand_as(patches)
    # Cells without a token go to a place behind the N.
    first = patches.new_full((videos, count + 1), none)
    first = first.scatter_reduce(1, patches.where(patches >= 0, count), numbers, "amin")[:, :count]
    cells = torch.stack([first // (height * width), first // width % height, first % width], -1)
    return cells.masked_fill((first == none)[..., None], -1)


def apply_layers(
    layers: Layers,
    inputs: dict[str, Any],
    cells: Tensor | None,
    positions: Tensor | None,
    kernel: str | None,
    prompts: tuple[Tensor | None, Tensor | None] = (None, None),
) -> Tensor | None:
    """Give a pass of the LLM what `layers` want: their mask and positions, and the token context.

    Args:
        layers: of the model.
        inputs: keyword arguments of the LLM, which are changed: `inputs_embeds`, `attention_mask`, `position_ids`,
            `past_key_values`.
        cells: (V, N, 3) of `token_cells`; None where there are no visual tokens, or nobody knows their cells.
        positions: (V, N, 2) of `find_placeholders`; None where there are no visual tokens.
        kernel: the LLM's implementation of attention.
        prompts: those of each row and which of them are there, as `TokenContext` has them.

    Returns:
        (B,) the position of what follows each row, where `layers` count by themselves and there are visual tokens.

    Raises:
        ValueError: what `layers` count by is not given.
        UserError: their mask is none that this implementation of attention takes.
    """
    cache, mask, position_ids = inputs["past_key_values"], inputs["attention_mask"], inputs["position_ids"]
    past = int(cache.get_seq_length()) if cache is not None else 0
    if layers.own_positions:
        if past and position_ids is None:
            raise ValueError(
                "position_ids: expected those of the tokens behind the cache, since their number does not tell the "
                "next position; count on from `next_positions` of the output that the cache came with"
            )
        if positions is not None and cells is None:
            raise ValueError("visual_cells: expected (V, N, 3) with visual_embeds, the frame, row and column of each")
    if isinstance(mask, Tensor) and mask.ndim == 2 and position_ids is None:
        position_ids = count_positions(mask, inputs["inputs_embeds"].shape[1])
    context = TokenContext(mask, position_ids, past, prompts=prompts[0], prompts_mask=prompts[1])
    if context.prompts is not None and context.prompts_mask is None:
        context.prompts_mask = torch.ones(context.prompts.shape[1:3], dtype=torch.bool, device=context.prompts.device)
    if positions is not None and positions.shape[1]:
        _place(context, inputs["inputs_embeds"], cells, positions)
    mask, position_ids = layers.attention(context)
    if isinstance(mask, Tensor) and mask.ndim == 4:
        if kernel not in _TAKES_MASKS:
            raise UserError(
                f"model.layers: expected an attention that takes any mask ({' or '.join(_TAKES_MASKS)}), found "
                f"{shown(kernel)}; set `attn_implementation` of the backbone"
            )
        dtype = inputs["inputs_embeds"].dtype
        mask = torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
    inputs |= {"attention_mask": mask, "position_ids": position_ids, "token_context": context}
    if position_ids is None or context.visual is None or not layers.own_positions:
        return None
    return position_ids.amax(1) + 1


def _place(context: TokenContext, embeddings: Tensor, cells: Tensor | None, positions: Tensor) -> None:
    """Write into the context what stands where."""
    videos, count, _ = positions.shape
    if cells is None:
        cells = positions.new_full((videos, count, 3), -1)
    there = positions[..., 0] >= 0
    rows, columns = positions[there].unbind(1)
    cells = cells.to(positions.device)
    numbers = torch.arange(videos, device=positions.device)[:, None] * _MOST_FRAMES
    frames = _fill(torch.where(cells[..., 0] >= 0, cells[..., 0] + numbers, -1))
    batch, length = embeddings.shape[:2]
    context.visual = torch.zeros(batch, length, dtype=torch.bool, device=embeddings.device)
    context.frames = positions.new_full((batch, length), -1)
    context.cells = positions.new_zeros((batch, length, 2))
    context.visual[rows, columns] = True
    context.frames[rows, columns] = frames[there]
    context.cells[rows, columns] = cells[there][:, 1:].clamp(min=0)


def _fill(frames: Tensor) -> Tensor:
    """Give (V, N) tokens without a cell, -1, the frame of the cells that stand both before and behind them: tokens that
    end a row of the picture are part of it."""
    before = frames.cummax(1).values
    behind = frames.masked_fill(frames < 0, torch.iinfo(frames.dtype).max).flip(1).cummin(1).values.flip(1)
    return torch.where((frames < 0) & (before == behind), before, frames)
