"""The inputs of `generate`: rows repeated for beams or several answers, with all of their videos; then step by step.

Shape letters: B rows, S positions, V videos, N visual tokens of a video.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin
from transformers.modeling_outputs import ModelOutput

from vlmkit.api.tensors import VideoBatch

__all__ = ["GeneratesFromVideos", "find_rows", "repeat_videos"]

_OF_VIDEOS = ("pixel_values_videos", "content_box", "frame_mask", "visual_embeds", "visual_mask", "visual_cells")
"""Arguments of a forward pass whose first axis counts videos."""
_OF_TEXTS = ("text_ids", "text_mask", "video_of_text")
"""Those whose first axis counts the texts of an aligner that reads such: blocks of tokens. Their videos are not
repeated."""


class GeneratesFromVideos(GenerationMixin):
    """The part of the model that prepares the inputs of `generate`."""

    config: Any
    _spec: Any

    def _expand_inputs_for_generation(
        self, expand_size: int = 1, is_encoder_decoder: bool = False, input_ids: Any = None, **model_kwargs: Any
    ) -> tuple[Any, dict[str, Any]]:
        """As in transformers, for beams and several answers; a row may have several videos, or none."""
        given = [name for name in (*_OF_VIDEOS, *_OF_TEXTS) if model_kwargs.get(name) is not None]
        videos = {name: model_kwargs.pop(name) for name in given}
        rows, prompts = (model_kwargs.pop(name, None) for name in ("video_rows", "visual_prompts"))
        if expand_size > 1 and videos:
            order, copies = repeat_videos(self._rows(rows, videos, input_ids), expand_size)
            repeated = [name for name in given if name in _OF_TEXTS or "text_ids" not in videos]
            videos |= {name: videos[name][order.to(videos[name].device)] for name in repeated}
            rows = None if rows is None else copies
        if rows is not None:
            videos["video_rows"] = rows
        if prompts is not None:
            videos["visual_prompts"] = prompts.repeat_interleave(expand_size, 1)
        ids, others = super()._expand_inputs_for_generation(expand_size, is_encoder_decoder, input_ids, **model_kwargs)
        return ids, others | videos

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *args: Any, is_first_iteration: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """As in transformers; visual tokens are given once where the cache keeps what became of them."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, *args, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            inputs |= {"visual_embeds": None, "visual_mask": None, "visual_cells": None}
        return inputs

    def _update_model_kwargs_for_generation(
        self, outputs: ModelOutput, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """As in transformers; positions go on from where `layers` say, and all that follows reads the same prompts."""
        updated: dict[str, Any] = super()._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)
        if (following := outputs.get("next_positions")) is not None:
            updated["position_ids"] = torch.cat([updated["position_ids"][:, :-1], following[:, None]], 1)
        if outputs.get("visual_prompts") is not None:
            updated |= {name: outputs[name] for name in ("visual_prompts", "prompts_mask") if name in outputs}
        return updated

    def _rows(self, rows: Tensor | None, videos: dict[str, Tensor], input_ids: Tensor) -> Tensor:
        """Return (V,) int64: the row of each video, or of each block of tokens. `rows` are those that were given."""
        if rows is not None:
            return rows
        tokens = self._count_tokens(videos).to(input_ids.device)
        if self._spec.aligner.num_prompts and len(tokens) == len(input_ids):
            return torch.arange(len(tokens), device=tokens.device)
        return find_rows(input_ids, self.config.video_token_id, tokens)

    def _count_tokens(self, videos: dict[str, Tensor]) -> Tensor:
        """Return (V,) int64, the visual tokens of videos as `forward` takes them; (Q,) where they have texts."""
        if (embeds := videos.get("visual_embeds")) is not None:
            mask = videos.get("visual_mask")
            return torch.full((len(embeds),), embeds.shape[1]) if mask is None else mask.sum(1)
        pixels, box, frames = (videos.get(name) for name in _OF_VIDEOS[:3])
        shapes = [] if pixels is None else VideoBatch.from_model_inputs(pixels, box, frames).shapes()
        if (video_of_text := videos.get("video_of_text")) is not None:
            shapes = [shapes[index] for index in video_of_text.tolist()]
        return torch.tensor([self._spec.aligner.layout(shape).tokens for shape in shapes])


def find_rows(input_ids: Tensor, video_token_id: int, tokens: Tensor) -> Tensor:
    """Return (V,) int64: the row in which the placeholders of each video stand.

    Args:
        input_ids: (B, S).
        video_token_id: the id of `<video>`.
        tokens: (V,) int64, the visual tokens of each video.
    """
    row_ends = (input_ids == video_token_id).sum(1).cumsum(0)
    return torch.searchsorted(row_ends, tokens.cumsum(0) - tokens, right=True)


def repeat_videos(rows: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """Return (V * times,) int64, the order of the videos where each row is repeated with all of its videos, one copy
    behind the other, and (V * times,) int64, their rows.

    Args:
        rows: (V,) int64, ascending: the row of each video.
        times: how often each row stands there.
    """
    copies = torch.arange(times, device=rows.device)
    found, order = torch.sort((rows[:, None] * times + copies).flatten(), stable=True)
    return order // times, found
