"""Options of the layers `neo`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from vlmkit.api import LayersSpec
from vlmkit.api.bounds import MOST_LAYERS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from vlmkit.api import Layers

__all__ = ["NeoLayersSpec"]


class NeoLayersSpec(LayersSpec):
    """NEO (code EvolvingLMMs-Lab/NEO): layers before those of the LLM, and attention by time, row and column in all.

    All tokens of a frame share one position and see each other; rows and columns turn further channels of queries and
    keys. At the start the LLM's own layers compute what they did without.
    """

    type: Literal["neo"] = "neo"
    families: ClassVar[tuple[str, ...]] = ("qwen3",)
    before: Annotated[int, Field(ge=0, le=MOST_LAYERS)] = 12
    """Decoder layers before the LLM's own, of the same sizes, drawn from N(0, 0.02): 12 in NEO 2B, 6 in NEO 9B."""
    theta: Annotated[float, Field(gt=1, le=10**12)] = 10000.0
    """Base of the rotary angles of rows and columns."""

    @property
    def extra_layers(self) -> int:
        """Number of layers before the LLM's."""
        return self.before

    @classmethod
    def tiny(cls) -> Self:
        """One layer before."""
        return cls.model_validate({"before": 1})

    def build(self, backbone: PreTrainedModel) -> Layers:
        """Build the module. A ValueError where the LLM is of another family, or its heads cannot be quartered."""
        from vlmkit_neo._native_layers import NeoLayers

        return NeoLayers(self, backbone)
