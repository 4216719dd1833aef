"""EVE's patch embedding layer (arXiv:2406.11832), applied to each frame on its own: the aligner `eve`, and the format
of the released checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlmkit import hookimpl

if TYPE_CHECKING:
    from vlmkit.api import ComponentSpec, PublishedFormat

__all__ = ["VLMKIT_API", "vlmkit_components", "vlmkit_published"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligner."""
    from vlmkit_eve.spec import EveSpec

    return [EveSpec]


@hookimpl
def vlmkit_published() -> Sequence[PublishedFormat]:
    """The names of tensors in the released EVE checkpoints (code baaivision/EVE, EVE-7B)."""
    from vlmkit.api import PublishedFormat
    from vlmkit_stab.checkpoint_names import frame_rules, head_rules, llama_rules, projector_rules

    eve = PublishedFormat(
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
    return [eve]
