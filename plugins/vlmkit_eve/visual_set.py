"""Options of the layers `eve-v2`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from vlmkit.api import LayersSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from vlmkit.api import Layers

__all__ = ["EveV2LayersSpec"]


class EveV2LayersSpec(LayersSpec):
    """EVEv2 (code baaivision/EVE, folder EVEv2): a second set of all weights of every decoder layer, for visual tokens.

    A token of the aligner goes through norms, projections of the attention and MLP of its own; attention itself,
    positions, embeddings, final norm and head are shared with the text. The set starts as a copy of the LLM's.
    """

    type: Literal["eve-v2"] = "eve-v2"
    families: ClassVar[tuple[str, ...]] = ("qwen2", "llama", "mistral", "qwen3")

    def build(self, backbone: PreTrainedModel) -> Layers:
        """Build the module. A ValueError where the LLM's family has other layers than these."""
        from vlmkit_eve._visual_set import EveV2Layers

        return EveV2Layers(self, backbone)
