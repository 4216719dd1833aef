"""Names in EVE's released checkpoints (code baaivision/EVE, EVE-7B)."""

from __future__ import annotations

from vlmkit.api import PublishedFormat
from vlmkit_stab.published import frame_rules, head_rules, llama_rules, projector_rules

__all__ = ["EVE"]

EVE = PublishedFormat(
    name="eve",
    title="EVE-7B (baaivision/EVE): Vicuna-7B with EVE's patch embedding layer",
    spec="eve-star-7b",
    rename=(
        *frame_rules(r"(?:model\.)?(?:vision_tower\.)?"),
        *projector_rules("mm_projector"),
        *head_rules("vision_tower_compressor"),
        *llama_rules(),
    ),
    drop=(
        (r".*clip.*", "the frozen CLIP teacher, which a spec names by itself"),
        (r"(?:model\.)?vision_tower_compressor\.teacher_layer\..+", "a second copy of the frozen teacher"),
        (r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", "computed from the configuration"),
    ),
)
