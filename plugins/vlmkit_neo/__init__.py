"""NEO (arXiv:2510.14979, code EvolvingLMMs-Lab/NEO), native vision-language models without a vision tower: the aligner
`neo`, the layers `neo` inside the language model, and the names of tensors in released checkpoints."""

from collections.abc import Sequence
from typing import Any

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec, PublishedFormat, UserError

__all__ = ["VLMKIT_API", "vlmkit_components", "vlmkit_published"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligner and the layers."""
    from vlmkit_neo.native_layers import NeoLayersSpec
    from vlmkit_neo.neo_aligner import NeoAlignerSpec

    return [NeoAlignerSpec, NeoLayersSpec]


@hookimpl
def vlmkit_published() -> Sequence[PublishedFormat]:
    """The released NEO checkpoints."""
    neo = PublishedFormat(
        name="neo",
        title="NEO (EvolvingLMMs-Lab/NEO): Qwen3 with a patch embedding and layers before its own",
        spec="neo-2b",
        rename=(
            (r"vision_model\.embeddings\.(.*)", r"aligner.\1"),
            (r"language_model\.((?:model\.(?:embed_tokens|norm)|lm_head)\.weight)", r"backbone.\1"),
        ),
        rules=_layers,
    )
    return [neo]


def _layers(model: Any) -> tuple[tuple[str, str], ...]:
    """Return the rules for layers, which are counted through from the first of those before the LLM's own."""
    kind = getattr(model.layers, "type", "none")
    if kind != "neo":
        raise UserError(
            f"model.layers: expected neo, since NEO's weights stand inside the language model, found {kind}; write "
            "`layers: {type: neo, before: …}` into the spec, or leave --spec out"
        )
    before, layer = model.layers.before, r"language_model\.model\.layers\."
    own = [(rf"{layer}{before + i}\.(.*)", rf"backbone.model.layers.{i}.\1") for i in range(model.backbone.layers)]
    return (
        (layer + r"(\d+)\.self_attn\.(.*_(?:hw|h|w)\.weight)", r"layers.spatial.\1.\2"),
        *own,
        (layer + r"(\d+)\.(.*)", r"layers.before.\1.\2"),
    )
