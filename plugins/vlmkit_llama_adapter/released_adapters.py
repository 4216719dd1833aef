"""Released checkpoints of LLaMA-Adapter V2: a file of what was trained, beside CLIP and LLaMA."""

from __future__ import annotations

from vlmkit.api import PublishedFormat, PublishedPart

__all__ = ["LLAMA_ADAPTER"]

_MLP = (("1", "gate"), ("2", "down"), ("3", "up"))
"""Meta's numbers of the projections of an MLP, and transformers' names."""
_LAYER = r"backbone.model.layers.\1"
_NORMS = (("attention_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm"))
"""Meta's names of the norms of a layer, and transformers'."""
_CLIP = PublishedPart(
    name="clip",
    title="CLIP ViT-L/14 (openai/clip-vit-large-patch14, in the layout of transformers)",
    rename=(
        (r"vision_model\.(.+)", r"aligner.encoder.\1"),
        (r"visual_projection\.weight", "aligner.projection.weight"),
    ),
    drop=(
        (r"(?:text_model|text_projection)\..+|logit_scale", "the side of texts"),
        (r"vision_model\.embeddings\.position_ids", "counts from 0"),
    ),
)
_LLM = PublishedPart(
    name="llm",
    title="LLaMA-7B (a folder in the layout of transformers, or Meta's consolidated.00.pth)",
    rename=(
        (r"((?:model\..+|lm_head\.weight))", r"backbone.\1"),
        (r"tok_embeddings\.weight", "backbone.model.embed_tokens.weight"),
        (r"output\.weight", "backbone.lm_head.weight"),
        (r"layers\.(\d+)\.attention\.w([qkvo])\.weight", rf"{_LAYER}.self_attn.\2_proj.weight"),
        *(
            (rf"layers\.(\d+)\.feed_forward\.w{number}\.weight", rf"{_LAYER}.mlp.{name}_proj.weight")
            for number, name in _MLP
        ),
        *((rf"layers\.(\d+)\.{name}\.weight", rf"{_LAYER}.{ours}.weight") for name, ours in _NORMS),
        (r"norm\.weight", "backbone.model.norm.weight"),
    ),
    drop=((r"(?:model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq|rope\.freqs)", "computed from the configuration"),),
    side_by_side=(r"layers\.\d+\.attention\.w[qk]\.weight",),
    language_model=True,
    earlier=True,  # its norms are trained further in released files that have been taught to follow instructions
)
LLAMA_ADAPTER = PublishedFormat(
    name="llama-adapter",
    title="LLaMA-Adapter V2 multimodal 7B (OpenGVLab/LLaMA-Adapter): prompts of CLIP's tokens in the layers of LLaMA",
    spec="llama-adapter-7b",
    rename=(
        (r"((?:clip_proj|clip_proj_norm|visual_query|visual_blocks|visual_proj|visual_proj_norm)\..+)", r"aligner.\1"),
        (r"adapter_query\.weight", "layers.adapter_query.weight"),
        (r"llama\.layers\.(\d+)\.attention\.gate", r"layers.gates.\1"),
        (r"llama\.layers\.(\d+)\.attention\.new_gate", r"layers.new_gates.\1"),
        (r"llama\.layers\.(\d+)\.attention\.w([qo])\.bias", r"layers.biases.\1.\2_proj"),
        (r"llama\.layers\.(\d+)\.attention\.lora_w([qkvo])_l1\.weight", r"layers.lora.\1.\2_proj.first.weight"),
        (r"llama\.layers\.(\d+)\.attention\.lora_w([qkvo])_l2\.weight", r"layers.lora.\1.\2_proj.second.weight"),
        *(
            rule
            for number, name in _MLP
            for rule in (
                (rf"llama\.layers\.(\d+)\.feed_forward\.w{number}\.bias", rf"layers.biases.\1.{name}_proj"),
                (
                    rf"llama\.layers\.(\d+)\.feed_forward\.lora_w{number}_l1\.weight",
                    rf"layers.lora.\1.{name}_proj.first.weight",
                ),
                (
                    rf"llama\.layers\.(\d+)\.feed_forward\.lora_w{number}_l2\.weight",
                    rf"layers.lora.\1.{name}_proj.second.weight",
                ),
            )
        ),
        *((rf"llama\.layers\.(\d+)\.{name}\.weight", rf"{_LAYER}.{ours}.weight") for name, ours in _NORMS),
        (r"llama\.norm\.weight", "backbone.model.norm.weight"),
    ),
    side_by_side=(r"llama\.layers\.\d+\.attention\.(?:wq\.bias|lora_w[qk]_l2\.weight)",),
    parts=(_CLIP, _LLM),
)
