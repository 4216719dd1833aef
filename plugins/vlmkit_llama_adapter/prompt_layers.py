"""Options of the layers `llama-adapter`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from vlmkit.api import LayersSpec
from vlmkit.api.bounds import MOST_LAYERS, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from vlmkit.api import Layers

__all__ = ["LlamaAdapterLayersSpec"]


class LlamaAdapterLayersSpec(LayersSpec):
    """LLaMA-Adapter V2 (arXiv:2304.15010): prompts that the attention of the last layers reads beside the sequence.

    Each of these layers has learned prompts of its own, to which those of the aligner are added; keys and values of
    them are made by the layer's own weights. They are read by a softmax of their own, whose result counts as much as a
    gate of each head says: 0 at the start, when the LLM computes what it does without. Prompts have no positions, are
    not cached, and every token reads them, also those that are generated. A sequence without a video reads none, where
    the code shows a black picture.
    """

    type: Literal["llama-adapter"] = "llama-adapter"
    families: ClassVar[tuple[str, ...]] = ("llama", "mistral", "qwen2")
    prompts: Tokens = 10
    """P: prompts of a layer, as many as the aligner gives of a video."""
    layers: Annotated[int, Field(gt=0, le=MOST_LAYERS)] = 31
    """K: how many of the LLM's layers, counted from the last, read prompts."""
    biases: bool = True
    """Queries, output and MLP of every layer get a bias, 0 at the start: the models that are called BIAS."""
    lora_rank: Annotated[int, Field(ge=0, le=1024)] = 0
    """Rank of what is added to all projections of attention and MLP, 0 at the start and without a factor (LoRA,
    arXiv:2106.09685): 16 in the models that are called LORA-BIAS, which have a second gate for each layer. 0: none."""

    @classmethod
    def tiny(cls) -> Self:
        """Three prompts of one layer, with everything that is optional."""
        return cls.model_validate({"prompts": 3, "layers": 1, "lora_rank": 2})

    @property
    def num_prompts(self) -> int:
        """`prompts`."""
        return self.prompts

    def build(self, backbone: PreTrainedModel) -> Layers:
        """Build the module. A ValueError where the LLM is of another family, or has fewer layers."""
        from vlmkit_llama_adapter._prompt_layers import LlamaAdapterLayers

        return LlamaAdapterLayers(self, backbone)
