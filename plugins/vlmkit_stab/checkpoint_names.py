"""The names of tensors in the released checkpoints of Video-Panda (code jh-yi/Video-Panda), and those that EVE's share.

Every rule takes names with or without `model.`, and those of the visual tower also without its prefix.
"""

from __future__ import annotations

from vlmkit.api import PublishedFormat

__all__ = ["VIDEO_PANDA", "frame_rules", "head_rules", "llama_rules", "projector_rules"]

Rules = tuple[tuple[str, str], ...]

_AFFINE = "(weight|bias)"
_ATTENTION = {"q.0": "norm_query", "q.1": "to_query", "kv.0": "norm_context", "kv.1": "to_key_value", "proj": "to_out"}
_TOWER = r"(?:model\.)?(?:video_tower\.)?"


def frame_rules(tower: str) -> Rules:
    """Rules of the parts that work frame by frame, after the prefix that the pattern `tower` matches."""
    attentions = tuple(
        (rf"{tower}{theirs}_attention\.{layer.replace('.', '[.]')}\.{_AFFINE}", rf"aligner.{ours}.{name}.\1")
        for theirs, ours in (("local", "downsampler"), ("global", "fsra"))
        for layer, name in _ATTENTION.items()
    )
    return (
        (rf"{tower}patch_embedding\.weight", "aligner.patch_embedding.weight"),
        (rf"{tower}class_embedding", "aligner.fsra.query"),
        (rf"{tower}split_embedding", "aligner.row_token"),
        *attentions,
    )


def projector_rules(name: str) -> Rules:
    """Rules of the two-layer projector called `name`."""
    return ((rf"(?:model\.)?{name}\.([02])\.{_AFFINE}", r"aligner.projector.\1.\2"),)


def head_rules(name: str) -> Rules:
    """Rules of the distillation head called `name`. Its layers count from the last layer of the LLM to the first."""
    prefix = rf"(?:model\.)?(?:{name}\.)?"
    return (
        (rf"{prefix}norm_layer\.(\d+)\.0\.{_AFFINE}", r"distillation.norms.\1.\2"),
        (rf"{prefix}norm_layer\.(\d+)\.1\.weight", r"distillation.projections.\1.weight"),
        (rf"{prefix}input_layer\.{_AFFINE}", r"distillation.from_last.\1"),
        (rf"{prefix}output_layer\.{_AFFINE}", r"distillation.out.\1"),
    )


def llama_rules() -> Rules:
    """Rules of the language model, whose names in transformers are the published ones."""
    return (
        (r"(model\.(?:embed_tokens|norm)\.weight|lm_head\.weight)", r"backbone.\1"),
        (r"(model\.layers\.\d+\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)\.weight)", r"backbone.\1"),
        (r"(model\.layers\.\d+\.(?:input|post_attention)_layernorm\.weight)", r"backbone.\1"),
    )


_STATISTICS = "(weight|bias|running_mean|running_var|num_batches_tracked)"
_SPACE_TIME: Rules = (
    (rf"{_TOWER}temporal_cls_token", "aligner.gstra.query"),
    (rf"{_TOWER}balance", "aligner.balance"),
    (rf"{_TOWER}lmhra1\.pos_embed\.0\.{_STATISTICS}", r"aligner.lste.lmhra.norm.\1"),
    (rf"{_TOWER}lmhra1\.pos_embed\.1\.{_AFFINE}", r"aligner.lste.lmhra.reduce.\1"),
    (rf"{_TOWER}lmhra1\.pos_embed\.2\.{_AFFINE}", r"aligner.lste.lmhra.temporal.\1"),
    (rf"{_TOWER}lmhra1\.pos_embed\.3\.{_AFFINE}", r"aligner.lste.lmhra.expand.\1"),
    (rf"{_TOWER}dpe\.{_AFFINE}", r"aligner.lste.dpe.\1"),
    (rf"{_TOWER}dec\.attn\.(in_proj_(?:weight|bias)|out_proj\.(?:weight|bias))", r"aligner.gstra.attention.\1"),
    (rf"{_TOWER}dec\.ln_1\.{_AFFINE}", r"aligner.gstra.norm_query.\1"),
    (rf"{_TOWER}dec\.ln_2\.{_AFFINE}", r"aligner.gstra.norm_mlp.\1"),
    (rf"{_TOWER}dec\.ln_3\.{_AFFINE}", r"aligner.gstra.norm_context.\1"),
    (rf"{_TOWER}dec\.mlp\.c_fc\.{_AFFINE}", r"aligner.gstra.mlp.expand.\1"),
    (rf"{_TOWER}dec\.mlp\.c_proj\.{_AFFINE}", r"aligner.gstra.mlp.contract.\1"),
    (rf"{_TOWER}proj\.0\.{_AFFINE}", r"aligner.head.norm.\1"),
    (rf"{_TOWER}proj\.2\.{_AFFINE}", r"aligner.head.linear.\1"),
)

VIDEO_PANDA = PublishedFormat(
    name="video-panda",
    title="Video-Panda (jh-yi/Video-Panda): Vicuna-7B with STAB",
    spec="video-panda-7b",
    rename=(
        *frame_rules(_TOWER),
        *_SPACE_TIME,
        *projector_rules("video_projector"),
        *head_rules("video_tower_compressor"),
        *llama_rules(),
    ),
    drop=(
        (r"(?:model\.)?video_teacher\..+", "the frozen teacher, which a spec names by itself"),
        (r"(?:model\.)?video_tower_compressor\.teacher_layer\..+", "a second copy of the frozen teacher"),
        (rf"{_TOWER}lmhra2\..+", "created but never used by the published model"),
        (r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", "computed from the configuration"),
    ),
    alias=(
        (r"((?:model\.)?)vision_tower\.(.+)", r"\1video_tower.\2"),
        (r"((?:model\.)?)mm_projector\.(.+)", r"\1video_projector.\2"),
    ),
)
