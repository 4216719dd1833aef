"""The model: an aligner and a causal language model behind transformers' interface.

Shape letters: B sequences, S positions, V videos of the batch, T frames, H W pixels, N visual tokens of a video,
L LLM layers, D LLM width, K layers that read prompts, M prompts of a sequence.
"""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel

from vlmkit.api.modules import Aligner, Layers
from vlmkit.api.tensor_checks import check_language, check_values
from vlmkit.api.tensors import TextBatch, VideoBatch, VisualTokens
from vlmkit.errors import CheckpointError
from vlmkit.guard import guarded
from vlmkit.manifest import check_saved, updating_manifest
from vlmkit.model.aligners import build_aligner, build_layers, refuse_offloaded, restore_buffers
from vlmkit.model.config import VideoLMConfig, refuse_code
from vlmkit.model.generation_inputs import GeneratesFromVideos
from vlmkit.model.model_output import VideoLMOutput
from vlmkit.model.precision import asked_dtypes, buffer_dtype, cast, part_dtypes
from vlmkit.model.token_context import apply_layers, count_positions, token_cells
from vlmkit.model.tokens import (
    as_visual_tokens,
    find_placeholders,
    insert_visual_tokens,
    language_loss,
    positions_with_targets,
)
from vlmkit.model.visual_prompts import arrange_prompts

__all__ = ["VideoLM"]


class VideoLM(PreTrainedModel, GeneratesFromVideos, GenerationMixin):
    """A video-language model: `aligner` turns videos into tokens, `backbone` reads them among the text.

    Names of the weights begin with `aligner.`, `backbone.` or, where the spec has them, `layers.`. The components
    initialize themselves.
    """

    config_class = VideoLMConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ("video", "image", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _skip_keys_device_placement = ("past_key_values",)

    aligner: Aligner
    backbone: PreTrainedModel
    layers: Layers | None

    def __init__(self, config: VideoLMConfig, aligner: Aligner | None = None, backbone: Any = None) -> None:
        """Take these parts; those that are missing are built, with fresh weights, as the config's spec says."""
        super().__init__(config)
        self._spec = spec = config.spec()
        self._features_checked = False
        self.aligner = aligner if aligner is not None else build_aligner(spec)
        self.backbone = backbone if backbone is not None else spec.backbone.build()
        if config.text_config is not None:
            self._follow(config.text_config)
        self.layers = build_layers(spec, self.backbone)
        for part, dtype in config.part_dtypes.items():
            cast(getattr(self, part), dtype)
        config.text_config = self.backbone.config
        config.tie_word_embeddings = getattr(self.backbone.config, "tie_word_embeddings", False)
        self.post_init()
        # A part whose modules use each other's weights stays on one device, and as it is where weights are quantized.
        self._no_split_modules.add(type(self.aligner).__name__)
        if getattr(config, "quantization_config", None) is not None:
            self._keep_in_fp32_modules.add("aligner")

    def _follow(self, language: PreTrainedConfig) -> None:
        """Give the backbone, which is built as the spec says, the rows and the attention that a configuration says."""
        if language.vocab_size != self.backbone.config.vocab_size:
            self.backbone.resize_token_embeddings(language.vocab_size, mean_resizing=False)
        if language._attn_implementation not in (None, self.backbone.config._attn_implementation):
            self.backbone.set_attn_implementation(language._attn_implementation)

    def _init_weights(self, module: nn.Module) -> None:
        """Do nothing: the aligner's constructor has done it, the backbone has its own rule."""

    def get_input_embeddings(self) -> nn.Module:
        """Return the LLM's embedding table."""
        return self.backbone.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        """Return the LLM's head."""
        return self.backbone.get_output_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the LLM's embedding table."""
        self.backbone.set_input_embeddings(value)

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the LLM's head."""
        self.backbone.set_output_embeddings(value)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        pixel_values_videos: Tensor | None = None,
        content_box: Tensor | None = None,
        frame_mask: Tensor | None = None,
        visual_embeds: Tensor | None = None,
        visual_mask: Tensor | None = None,
        visual_cells: Tensor | None = None,
        text_ids: Tensor | None = None,
        text_mask: Tensor | None = None,
        video_of_text: Tensor | None = None,
        video_rows: Tensor | None = None,
        visual_prompts: Tensor | None = None,
        prompts_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Any = None,
        num_items_in_batch: Tensor | int | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> VideoLMOutput:
        """Run one pass over text and videos.

        Args:
            input_ids: (B, S); a row holds as many placeholders `<video>` as its videos have tokens.
            attention_mask: (B, S), 0 where a row is padded, left or right.
            position_ids: (B, S); by default counted over what the mask shows. `layers` may count in another way where
                there are visual tokens; behind a cache they then have to be given.
            pixel_values_videos: (V, T, 3, H, W), the videos in the order of the rows and of their placeholders.
            content_box: (V, 4) as `VideoBatch`; by default the whole canvas.
            frame_mask: (V, T) as `VideoBatch`; by default True.
            visual_embeds: (V, N, D) instead of `pixel_values_videos`: what `get_video_features` gave for them before.
            visual_mask: (V, N) bool, True where a token stands; by default everywhere. For `visual_embeds`.
            visual_cells: (V, N, 3) int64, frame, row and column of each token as `token_cells` gives them, for
                `visual_embeds` where `layers` ask for it.
            text_ids: (Q, L), text_mask: (Q, L), video_of_text: (Q,), as `TextBatch`, for an aligner that reads text: Q
                then takes the place of V, also among the placeholders.
            video_rows: (V,) int64, ascending, where the aligner gives prompts: the row that each video belongs to; by
                default one video for each row.
            visual_prompts: (K, B, M, D) instead of `pixel_values_videos`, and in every pass behind a cache: what layers
                read beside each row, as the output of the pass with the videos has it.
            prompts_mask: (B, M) bool, beside `visual_prompts`; by default True.
            inputs_embeds: (B, S, D) instead of `input_ids`; without videos only.
            labels: (B, S), -100 where there is no loss.
            past_key_values: the cache of what came before.
            num_items_in_batch: by how many targets the loss is divided; by default by those of this batch.
            logits_to_keep: as in transformers: the last so many positions (0: all), or (K,) positions. Not with labels.
            kwargs: passed to the backbone: `use_cache`, `output_hidden_states`, …
        """
        visual = positions = following = None
        if inputs_embeds is not None and (pixel_values_videos is not None or visual_embeds is not None):
            raise ValueError("expected input_ids, among which videos get their places, found videos with inputs_embeds")
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("expected input_ids or inputs_embeds, found neither")
            # Placeholders are overwritten below; their id may lie beyond the table.
            inputs_embeds = self.get_input_embeddings()(
                input_ids.masked_fill(input_ids == self.config.video_token_id, 0)
            )
            if visual_embeds is not None:
                visual = as_visual_tokens(visual_embeds, visual_mask)
            elif pixel_values_videos is not None:
                visual = self.get_video_features(
                    pixel_values_videos, content_box, frame_mask, text_ids, text_mask, video_of_text
                )
                visual_cells = token_cells(visual) if self.layers is not None else None
            if visual is not None:
                positions = find_placeholders(input_ids, self.config.video_token_id, visual.mask)
                inputs_embeds = insert_visual_tokens(inputs_embeds, visual, positions)
                if visual.prompts is not None:
                    visual_prompts, prompts_mask = arrange_prompts(visual.prompts, video_rows, len(input_ids))
        if labels is not None:
            logits_to_keep = positions_with_targets(labels)
            kwargs.setdefault("use_cache", False)
        kwargs |= {"attention_mask": attention_mask, "position_ids": position_ids, "past_key_values": past_key_values}
        kwargs |= {"inputs_embeds": inputs_embeds, "logits_to_keep": logits_to_keep}
        if self.layers is not None:
            kernel = self.backbone.config._attn_implementation
            prompts = (visual_prompts, prompts_mask)
            following = apply_layers(self.layers, kwargs, visual_cells, positions, kernel, prompts)
        elif position_ids is None and attention_mask is not None and attention_mask.ndim == 2:
            kwargs["position_ids"] = count_positions(attention_mask, inputs_embeds.shape[1])
        output = self._run_backbone(**kwargs)
        loss = None
        if labels is not None:
            loss = language_loss(output.logits, labels[:, logits_to_keep + 1], num_items_in_batch)
        cache, hidden_states = output.get("past_key_values"), output.get("hidden_states")
        found = (loss, output.logits, cache, hidden_states, visual, positions, following)
        return VideoLMOutput(*found, visual_prompts, prompts_mask)

    def get_video_features(
        self,
        pixel_values_videos: Tensor,
        content_box: Tensor | None = None,
        frame_mask: Tensor | None = None,
        text_ids: Tensor | None = None,
        text_mask: Tensor | None = None,
        video_of_text: Tensor | None = None,
    ) -> VisualTokens:
        """Return the visual tokens of videos; arguments as in `forward`."""
        dtype = next((value.dtype for value in self.aligner.parameters()), pixel_values_videos.dtype)
        video = VideoBatch.from_model_inputs(pixel_values_videos, content_box, frame_mask).to(dtype=dtype)
        texts = () if text_ids is None else (TextBatch.from_model_inputs(text_ids, text_mask, video_of_text),)
        tokens: VisualTokens = self.aligner(video, *texts)
        if not (self._features_checked or tokens.embeddings.is_meta or torch.compiler.is_compiling()):
            with guarded(self._spec.aligner, "forward"):
                check_values(self._spec.aligner, tokens, video, *texts)
            self._features_checked = True
        return tokens

    def _run_backbone(self, **inputs: Any) -> Any:
        """Return the output of the LLM, checked against what its spec promises."""
        inputs |= {"return_dict": True}
        if torch.compiler.is_compiling():
            return self.backbone(**inputs)
        with guarded(self._spec.backbone, "forward"):
            output = self.backbone(**inputs)
            return check_language(self._spec.backbone, output, inputs.get("output_hidden_states", False))

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Module:
        """As in transformers."""
        table: nn.Module = self.backbone.resize_token_embeddings(*args, **kwargs)
        self.suppress_placeholder()
        return table

    def suppress_placeholder(self) -> None:
        """Make `generate` never give `<video>`, where the table has a row for it."""
        video = self.config.video_token_id
        others = [index for index in self.generation_config.suppress_tokens or () if index != video]
        own = [video] if video is not None and video < self.backbone.config.vocab_size else []
        self.generation_config.suppress_tokens = [*others, *own] or None

    @classmethod
    def from_pretrained(
        cls, *args: Any, dtype: Any = None, torch_dtype: Any = None, config: Any = None, **kwargs: Any
    ) -> Any:
        """As in transformers; by default every part has the dtype in which it was saved. Code that comes with a folder
        is never run.

        Raises:
            CheckpointError: a file is not what the folder's manifest (`checksums.json`) says, or weights are missing
                and `output_loading_info` is not asked for.
            UserError: `device_map` offloads the aligner.
        """
        folder = args[0] if args else kwargs.get("pretrained_model_name_or_path")
        refuse_code(folder)
        check_saved(folder, subfolder=kwargs.get("subfolder"))
        wanted = kwargs.pop("output_loading_info", False)
        if asked := asked_dtypes(dtype if dtype is not None else torch_dtype):
            if not isinstance(config, PreTrainedConfig):
                config, _ = VideoLMConfig.from_pretrained(config or folder, return_unused_kwargs=True, **kwargs)
            config = deepcopy(config)
            config.part_dtypes = config.part_dtypes | asked
            config.dtype = getattr(torch, config.buffer_dtype)  # Auto classes put the one that is asked for there
        options = {"use_safetensors": True} | kwargs | {"trust_remote_code": False, "output_loading_info": True}
        model, report = super().from_pretrained(*args, config=config, **options)
        if not wanted and (missing := sorted(report["missing_keys"])):
            raise CheckpointError(
                f"{folder}: the weights lack {len(missing)} tensors, which would be drawn at random; write or copy the "
                f"folder anew: {', '.join(missing[:5])}{', …' * (len(missing) > 5)}"
            )
        refuse_offloaded(model)
        restore_buffers(model.aligner, model.config.spec())
        return (model, report) if wanted else model

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """As in transformers, safetensors only; the config then tells the dtype of each part and of the buffers.

        The folder gets a manifest of checksums, which loading compares.
        """
        self.config.part_dtypes = part_dtypes(self)
        self.config.buffer_dtype = buffer_dtype(self)
        with updating_manifest(Path(save_directory)) if kwargs.get("is_main_process", True) else nullcontext():
            super().save_pretrained(save_directory, **kwargs)
