"""Released checkpoints of VideoChat2, one for each stage of its training: each stage starts from the one before.

The third holds what it trained: the visual part, and LoRA on the language model. What it lacks is in those before.
"""

from __future__ import annotations

from vlmkit.api import PublishedFormat, PublishedLora, PublishedPart
from vlmkit_qformer.released_systems import LLM

__all__ = ["VIDEO_CHAT2"]

_IDS = ((r"qformer\.bert\.embeddings\.position_ids", "counts from 0"),)
_TEXT = r"qformer\.bert\.(?:embeddings\.(?:word|position)_embeddings|encoder\.layer\.\d+\.(?:intermediate|output))\..+"
_FIRST = (
    (r"vision_encoder\.encoder\.(.+)", r"aligner.encoder.\1"),
    (r"vision_layernorm\.(weight|bias)", r"aligner.norm.\1"),
    (r"qformer\.bert\.(.+)", r"aligner.qformer.\1"),
    (r"query_tokens", "aligner.query_tokens"),
)
"""What the first stage trains, or starts from."""
_LATER = (
    *_FIRST,
    (r"extra_query_tokens", "aligner.extra_query_tokens"),
    (r"llama_proj\.(weight|bias)", r"aligner.projector.\1"),
)
_STAGE2 = PublishedPart(
    name="stage2",
    title="VideoChat2's second stage (videochat2_7b_stage2.pth)",
    rename=_LATER,
    drop=(*_IDS, (_TEXT, "for a text, which the second stage does not read")),
    earlier=True,
)
_STAGE1 = PublishedPart(
    name="stage1",
    title="VideoChat2's first stage (umt_l16_qformer.pth)",
    rename=_FIRST,
    drop=(
        *_IDS,
        (r"vision_temp_embed", "positions of frames, which later stages do not have"),
        (r"(?:vision_proj|text_proj|itm_head)\..+|temp", "for the losses of the first stage"),
        (r"qformer\.cls\..+", "for the captions of the first stage"),
    ),
    earlier=True,
)
VIDEO_CHAT2 = PublishedFormat(
    name="video-chat2",
    title="VideoChat2 (OpenGVLab/Ask-Anything, video_chat2): Vicuna-7B with LoRA, UMT-L and a Q-Former with a text",
    spec="video-chat2-7b",
    rename=_LATER,
    drop=_IDS,
    lora=PublishedLora(
        names=r"llama_model\.base_model\.model\.(model\.layers\.\d+\..+)\.lora_(?P<factor>A|B)(?:\.default)?\.weight",
        weight=r"backbone.\1.weight",
        scale=32 / 16,
    ),
    parts=(_STAGE2, _STAGE1, LLM),
)
