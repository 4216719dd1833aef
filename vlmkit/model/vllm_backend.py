"""The model as vLLM's Transformers modeling backend runs it, and the entry point by which vLLM knows it.

vLLM builds what `AutoModel` names, puts its own attention and its own head on it, and computes the embeddings of videos
apart from the text (https://docs.vllm.ai/en/latest/models/supported_models.html, "Writing custom models"). What is
fulfilled and what is not: docs/design/vllm.md. Shape letters: B sequences, S positions, V videos, T frames, H W pixels,
N tokens of a video, D LLM width.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from vlmkit.errors import UserError
from vlmkit.model.config import VideoLMConfig
from vlmkit.model.videolm import VideoLM

__all__ = ["VideoLMModel", "register"]

_HEAD = "lm_head"
"""What vLLM calls the head, and under which name it looks for its weights."""
_REMEDY = "`vlmkit serve` runs every model"
_BACKEND = "vllm.model_executor.models.transformers:TransformersMultiModalForCausalLM"


class VideoLMModel(VideoLM):
    """`VideoLM` without the head of its LLM: text and embedded videos in, hidden states out.

    Names of the weights are those of `VideoLM`.
    """

    def __init__(self, config: VideoLMConfig) -> None:
        """Build the parts as the config's spec says, with the attention that is set on `config.text_config`.

        A UserError where the LLM is none that vLLM can run.
        """
        attention = getattr(config.text_config, "_attn_implementation", None)
        super().__init__(config)
        if self.layers is not None:
            raise UserError(f"vLLM cannot run a model with layers inside its LLM; {_REMEDY}")
        family = type(self.backbone)
        if not family.is_backend_compatible():
            raise UserError(
                f"vLLM cannot run {family.__name__}: transformers does not let others bring its attention; {_REMEDY}"
            )
        if getattr(self.backbone, _HEAD, None) is not self.backbone.get_output_embeddings():
            raise UserError(f"vLLM cannot run {family.__name__}: expected its head under the name {_HEAD}; {_REMEDY}")
        setattr(self.backbone, _HEAD, nn.Identity())
        if attention is not None:
            self.backbone.config._attn_implementation = attention
        self.set_input_embeddings(self.get_input_embeddings())

    @property
    def language_model(self) -> PreTrainedModel:
        """The LLM without its head."""
        return self.backbone.get_decoder()

    def get_decoder(self) -> nn.Module:
        """As in transformers."""
        return self.language_model

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the LLM's embedding table. Placeholders, whose id may lie beyond it, are looked up as token 0; their
        embeddings are those of a video."""
        super().set_input_embeddings(value)
        value.register_forward_pre_hook(self._hide_placeholders)

    def _hide_placeholders(self, table: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        input_ids, *rest = args
        return input_ids.masked_fill(input_ids == self.config.video_token_id, 0), *rest

    def forward(  # type: ignore[override]  # a base model: no labels, no logits
        self,
        input_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return what the LLM gives without its head, (B, S, D) hidden states first.

        Args:
            input_ids: (B, S), of text alone.
            position_ids: (B, S).
            inputs_embeds: (B, S, D) instead, those of videos at their placeholders.
            kwargs: passed down to the attention.
        """
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        return self.language_model(inputs_embeds=inputs_embeds, position_ids=position_ids, **kwargs)

    def get_video_features(  # type: ignore[override]  # as engines take it, split by videos
        self,
        pixel_values_videos: Tensor,
        content_box: Tensor | Sequence[Tensor] | None = None,
        frame_mask: Tensor | Sequence[Tensor] | None = None,
        return_dict: bool = True,
    ) -> BaseModelOutputWithPooling | tuple[Any, ...]:
        """Return in `pooler_output` V tensors (N, D), the embeddings of each video.

        Args:
            pixel_values_videos: (V, T, 3, H, W).
            content_box: (V, 4), or V of (4,), as `VideoBatch`; by default the whole canvas.
            frame_mask: (V, T), or V of (T,), as `VideoBatch`; by default True.
            return_dict: False: a tuple with the same.
        """
        tokens = super().get_video_features(pixel_values_videos, _stacked(content_box), _stacked(frame_mask))
        each = tuple(row[mask] for row, mask in zip(tokens.embeddings, tokens.mask, strict=True))
        output = BaseModelOutputWithPooling(pooler_output=each)
        return output if return_dict else output.to_tuple()


def register() -> None:
    """Tell vLLM of the model. It calls this in each of its processes, by the entry point group `vllm.general_plugins`.

    In such a process `AutoModel` makes a `VideoLMModel`.
    """
    models = import_module("vllm").ModelRegistry  # no dependency: vLLM is there, since it calls this
    AutoModel.register(VideoLMConfig, VideoLMModel, exist_ok=True)
    if VideoLM.__name__ not in models.get_supported_archs():
        models.register_model(VideoLM.__name__, _BACKEND)


def _stacked(values: Tensor | Sequence[Tensor] | None) -> Tensor | None:
    return values if values is None or isinstance(values, Tensor) else torch.stack(tuple(values))
