"""Video-Panda's Spatio-Temporal Alignment Block (arXiv:2412.18609): the aligner `stab`, the downsampler `lsd` that it
shares with EVE, and the names of tensors in the released checkpoints (code jh-yi/Video-Panda).

Every renaming rule takes names with or without `model.`, and those of the visual tower also without its prefix.
"""

import re
from collections.abc import Mapping, Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec, PublishedFormat

__all__ = ["VLMKIT_API", "shared_drops", "shared_rules", "vlmkit_components", "vlmkit_published"]

VLMKIT_API = 1

Rules = tuple[tuple[str, str], ...]

_AFFINE = "(weight|bias)"
_STATISTICS = "(weight|bias|running_mean|running_var|num_batches_tracked)"
_TOWER = r"(?:model\.)?(?:video_tower\.)?"
_ATTENTION = {"q.0": "norm_query", "q.1": "to_query", "kv.0": "norm_context", "kv.1": "to_key_value", "proj": "to_out"}
_SPACE_TIME = {
    "lmhra1.pos_embed.1": "lste.lmhra.reduce",
    "lmhra1.pos_embed.2": "lste.lmhra.temporal",
    "lmhra1.pos_embed.3": "lste.lmhra.expand",
    "dpe": "lste.dpe",
    "dec.attn.out_proj": "gstra.attention.out_proj",
    "dec.ln_1": "gstra.norm_query",
    "dec.ln_2": "gstra.norm_mlp",
    "dec.ln_3": "gstra.norm_context",
    "dec.mlp.c_fc": "gstra.mlp.expand",
    "dec.mlp.c_proj": "gstra.mlp.contract",
    "proj.0": "head.norm",
    "proj.2": "head.linear",
}
"""Published and own names of the layers that EVE does not have."""


def _layer_rules(prefix: str, names: Mapping[str, str]) -> Rules:
    """Rules of layers with a weight and a bias, by their published names."""
    return tuple((rf"{prefix}{re.escape(name)}\.{_AFFINE}", rf"aligner.{own}.\1") for name, own in names.items())


def shared_rules(tower: str, projector: str, head: str) -> Rules:
    """Rules of what Video-Panda and EVE share: the parts that work frame by frame and the rest of the model.

    Args:
        tower: pattern of the prefix of the visual tower.
        projector: name of the two-layer projector.
        head: name of the distillation head, whose layers count from the last layer of the LLM to the first.
    """
    parts = {"local": "downsampler", "global": "fsra"}
    attentions = {f"{a}_attention.{b}": f"{parts[a]}.{own}" for a in parts for b, own in _ATTENTION.items()}
    head = rf"(?:model\.)?(?:{head}\.)?"
    return (
        (rf"{tower}patch_embedding\.weight", "aligner.patch_embedding.weight"),
        (rf"{tower}class_embedding", "aligner.fsra.query"),
        (rf"{tower}split_embedding", "aligner.row_token"),
        *_layer_rules(tower, attentions),
        (rf"(?:model\.)?{projector}\.([02])\.{_AFFINE}", r"aligner.projector.\1.\2"),
        (rf"{head}norm_layer\.(\d+)\.0\.{_AFFINE}", r"distillation.norms.\1.\2"),
        (rf"{head}norm_layer\.(\d+)\.1\.weight", r"distillation.projections.\1.weight"),
        (rf"{head}input_layer\.{_AFFINE}", r"distillation.from_last.\1"),
        (rf"{head}output_layer\.{_AFFINE}", r"distillation.out.\1"),
        # The names of Llama in transformers are the published ones.
        (r"(model\.(?:embed_tokens|norm)\.weight|lm_head\.weight)", r"backbone.\1"),
        (r"(model\.layers\.\d+\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)\.weight)", r"backbone.\1"),
        (r"(model\.layers\.\d+\.(?:input|post_attention)_layernorm\.weight)", r"backbone.\1"),
    )


def shared_drops(head: str) -> Rules:
    """Tensors of Video-Panda and of EVE that are left out, and why; `head` as above."""
    return (
        (rf"(?:model\.)?{head}\.teacher_layer\..+", "a second copy of the frozen teacher"),
        (r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", "computed from the configuration"),
    )


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligner and the downsampler."""
    from vlmkit_stab.spec import LsdSpec, StabSpec

    return [LsdSpec, StabSpec]


@hookimpl
def vlmkit_published() -> Sequence[PublishedFormat]:
    """The released Video-Panda checkpoints."""
    video_panda = PublishedFormat(
        name="video-panda",
        title="Video-Panda (jh-yi/Video-Panda): Vicuna-7B with STAB",
        spec="video-panda-7b",
        rename=(
            *shared_rules(_TOWER, "video_projector", "video_tower_compressor"),
            *_layer_rules(_TOWER, _SPACE_TIME),
            (rf"{_TOWER}temporal_cls_token", "aligner.gstra.query"),
            (rf"{_TOWER}balance", "aligner.balance"),
            (rf"{_TOWER}lmhra1\.pos_embed\.0\.{_STATISTICS}", r"aligner.lste.lmhra.norm.\1"),
            (rf"{_TOWER}dec\.attn\.in_proj_{_AFFINE}", r"aligner.gstra.attention.in_proj_\1"),
        ),
        drop=(
            (r"(?:model\.)?video_teacher\..+", "the frozen teacher, which a spec names by itself"),
            (rf"{_TOWER}lmhra2\..+", "created but never used by the published model"),
            *shared_drops("video_tower_compressor"),
        ),
        alias=(
            (r"((?:model\.)?)vision_tower\.(.+)", r"\1video_tower.\2"),
            (r"((?:model\.)?)mm_projector\.(.+)", r"\1video_projector.\2"),
        ),
    )
    return [video_panda]
