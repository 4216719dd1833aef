"""Released checkpoints of LLaMA-VID, Video-LLaMA and VideoChat, with the others that they are made of.

Names of the whole model (`visual_encoder.…`, `Qformer.bert.…`) are taken from the released file too, where it has them.
"""

from __future__ import annotations

from vlmkit.api import PublishedFormat, PublishedPart

__all__ = ["LLAMA_VID", "LLM", "VIDEO_CHAT", "VIDEO_LLAMA"]

_IDS = ((r"(?:video_)?Qformer\.bert\.embeddings\.position_ids", "counts from 0"),)
_TEXT = r"Qformer\.bert\.(?:embeddings\.(?:word|position)_embeddings|encoder\.layer\.\d+\.(?:intermediate|output))\..+"
_EVA = PublishedPart(
    name="eva",
    title="EVA-CLIP's ViT-g (eva_vit_g.pth, salesforce/LAVIS)",
    rename=((r"((?:cls_token|pos_embed)|(?:patch_embed|blocks)\..+)", r"aligner.encoder.\1"),),
    drop=(
        (r"blocks\.39\..+", "the last block, which BLIP-2 leaves out"),
        (r"(?:norm|fc_norm|head)\..+", "behind the last block"),
    ),
)
_LANGUAGE = (
    (r"(model\.(?:embed_tokens|layers|norm)\..+)", r"backbone.\1"),
    (r"lm_head\.weight", "backbone.lm_head.weight"),
)
_COMPUTED = ((r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", "computed from the configuration"),)
LLM = PublishedPart(
    name="llm",
    title="the language model (Vicuna-7B, in the layout of transformers)",
    rename=_LANGUAGE,
    drop=_COMPUTED,
    language_model=True,
)
_FROZEN = (
    (r"query_tokens", "aligner.query_tokens"),
    (r"Qformer\.bert\.(.+)", r"aligner.qformer.\1"),
    (r"ln_vision\.(weight|bias)", r"aligner.norm.\1"),
)
"""The parts of BLIP-2."""
_SHARED = (
    *_FROZEN,
    (r"visual_encoder\.(.+)", r"aligner.encoder.\1"),
    (r"llama_proj\.(weight|bias)", r"aligner.projector.\1"),
)


def _blip2(*drop: tuple[str, str]) -> PublishedPart:
    return PublishedPart(
        name="blip2",
        title="BLIP-2's Q-Former, its queries and ln_vision (blip2_pretrained_flant5xxl.pth, salesforce/LAVIS)",
        rename=_FROZEN,
        drop=(
            *drop,
            *_IDS,
            (_TEXT, "for a text beside the queries, of which there is none"),
            (r"Qformer\.cls\..+", "for BLIP-2's own training"),
            (r"t5_proj\..+", "to BLIP-2's own language model"),
        ),
    )


_ATTENTION = r"(?:model\.)?vlm_att_"
_INSTRUCT_BLIP = PublishedPart(
    name="blip",
    title="InstructBLIP's Q-Former, its queries and ln_vision (instruct_blip_vicuna7b_trimmed.pth, salesforce/LAVIS)",
    rename=_FROZEN,
    drop=(
        *_IDS,
        (r"Qformer\.cls\..+", "for BLIP-2's own training"),
        (r"(?:llm|t5)_proj\..+", "to InstructBLIP's own language model"),
    ),
)
LLAMA_VID = PublishedFormat(
    name="llama-vid",
    title="LLaMA-VID (dvlab-research/LLaMA-VID): Vicuna-7B with EVA's tower and two tokens per frame",
    spec="llama-vid-7b",
    rename=(
        (r"model\.vision_tower\.vision_tower\.(.+)", r"aligner.encoder.\1"),
        (_ATTENTION + "query", "aligner.query_tokens"),
        (_ATTENTION + r"ln\.(.+)", r"aligner.norm.\1"),
        (_ATTENTION + r"encoder\.bert\.(.+)", r"aligner.qformer.\1"),
        (_ATTENTION + r"projector\.(.+)", r"aligner.query_projector.\1"),
        (_ATTENTION + r"key_projector\.(.+)", r"aligner.key_projector.\1"),
        (_ATTENTION + r"val_projector\.(.+)", r"aligner.value_projector.\1"),
        (r"(?:model\.)?mm_projector\.(.+)", r"aligner.projector.\1"),
        *_LANGUAGE,
    ),
    drop=((r"(?:model\.)?vlm_att_encoder\.bert\.embeddings\.position_ids", "counts from 0"), *_COMPUTED),
    parts=(_EVA, _INSTRUCT_BLIP, LLM),
)
VIDEO_LLAMA = PublishedFormat(
    name="video-llama",
    title="Video-LLaMA (DAMO-NLP-SG/Video-LLaMA): Vicuna-7B with BLIP-2's tower and a Q-Former over frames",
    spec="video-llama-7b",
    rename=(
        *_SHARED,
        (r"video_query_tokens", "aligner.video_query_tokens"),
        (r"video_frame_position_embedding\.weight", "aligner.frame_positions.weight"),
        (r"video_Qformer\.bert\.(.+)", r"aligner.video_qformer.\1"),
    ),
    drop=(*_IDS, (r"audio_.+", "the audio branch, which vlmkit does not have")),
    parts=(_EVA, _blip2(), LLM),
)
VIDEO_CHAT = PublishedFormat(
    name="video-chat",
    title="VideoChat (OpenGVLab/Ask-Anything, video_chat): Vicuna-7B with BLIP-2's tower and a video token",
    spec="video-chat-7b",
    rename=(
        (r"extra_query_tokens", "aligner.extra_query_tokens"),
        (r"visual_encoder\.gmhra_cls_token", "aligner.gmhra.token"),
        (r"visual_encoder\.gmhra\.(.+)", r"aligner.gmhra.blocks.\1"),
        *_SHARED,
    ),
    drop=_IDS,
    parts=(_EVA, _blip2((r"ln_vision\..+", "trained further, as the released file has it")), LLM),
)
