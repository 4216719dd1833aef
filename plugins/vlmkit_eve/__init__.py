"""EVE's patch embedding layer (arXiv:2406.11832) and EVEv2's (arXiv:2502.06788), applied to each frame on its own: the
aligners `eve` and `eve-v2`; EVEv2's second set of LLM weights for visual tokens: the layers `eve-v2`; the names of
tensors in released checkpoints (code baaivision/EVE)."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec, PublishedFormat

__all__ = ["VLMKIT_API", "vlmkit_components", "vlmkit_published"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligners and the layers."""
    from vlmkit_eve.eve_v2_aligner import EveV2AlignerSpec
    from vlmkit_eve.spec import EveSpec
    from vlmkit_eve.visual_set import EveV2LayersSpec

    return [EveSpec, EveV2AlignerSpec, EveV2LayersSpec]


@hookimpl
def vlmkit_published() -> Sequence[PublishedFormat]:
    """The released EVE and EVEv2 checkpoints."""
    from vlmkit_stab import shared_drops, shared_rules

    head = "vision_tower_compressor"
    eve = PublishedFormat(
        name="eve",
        title="EVE-7B (baaivision/EVE): Vicuna-7B with EVE's patch embedding layer",
        spec="eve-star-7b",
        rename=shared_rules(r"(?:model\.)?(?:vision_tower\.)?", "mm_projector", head),
        drop=((r".*clip.*", "the frozen CLIP teacher, which a spec names by itself"), *shared_drops(head)),
    )
    eve_v2 = PublishedFormat(
        name="eve-v2",
        title="EVEv2 7B (baaivision/EVE): Qwen2.5-7B with a patch embedding and a second set of its weights",
        spec="eve-v2-7b",
        rename=(
            (r"model\.vision_tower\.(.*)", r"aligner.\1"),
            (r"model\.layers\.(\d+)\.(self_attn\.)?moe_(.*)", r"layers.visual.\1.\2\3"),
            (r"(model|lm_head)\.(.*)", r"backbone.\1.\2"),
        ),
    )
    return [eve, eve_v2]
