"""Options of the aligner `llama-adapter`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from vlmkit.api import AlignerSpec, EncoderSpec, Slot, TokenLayout, VideoInput, VideoShape, default_component
from vlmkit.api.bounds import Channels, Heads, Layers, Tokens
from vlmkit.nn.geometry import check_heads, tile_grid

if TYPE_CHECKING:
    from vlmkit.api import Aligner

__all__ = ["LlamaAdapterSpec"]


class LlamaAdapterSpec(AlignerSpec):
    """LLaMA-Adapter V2, multimodal (arXiv:2304.15010): no tokens, but prompts that layers inside the LLM read.

    Learned queries read CLIP's tokens of one picture through a few blocks, and become the prompts of every layer of
    `llama-adapter` in `model.layers`. The published model takes pictures alone; how it was shown the videos of
    benchmarks is not known. Of a video it is shown one frame here, the middle one.
    """

    type: Literal["llama-adapter"] = "llama-adapter"
    input: VideoInput = VideoInput(frames=1, sampling="segment-centre", size=224, fit="crop")
    """The pixels it wants: one frame, center crop of 224x224."""
    bgr: bool = True
    """CLIP is shown blue, green and red in the place of red, green and blue, as the code does in training and after it,
    which opens pictures with OpenCV: the released weights expect that."""
    encoder: Slot[EncoderSpec] = default_component("clip-vision", select=-1, final_norm=True)
    """The vision tower: CLIP's, with its final norm on all tokens."""
    joint_width: Channels = 768
    """Channels of CLIP's space of pictures and texts, to which its own projection maps."""
    width: Channels = 768
    """Channels of the blocks."""
    queries: Tokens = 10
    """P: learned queries, each of which becomes a prompt."""
    blocks: Layers = 8
    """Number of blocks, in which queries and CLIP's tokens attend to each other."""
    heads: Heads = 16
    """Attention heads per block; they divide `width`."""

    @classmethod
    def tiny(cls) -> Self:
        """One frame of 2x2 patches, 3 queries."""
        sizes = {"width": 32, "layers": 2, "heads": 4, "mlp": 64, "image_size": 28}
        encoder = {"type": "clip-vision", "select": -1, "final_norm": True, **sizes}
        own = {"joint_width": 24, "width": 32, "queries": 3, "blocks": 2, "heads": 4}
        return cls.model_validate({"input": {"size": 28}, "encoder": encoder, **own})

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.input.frames != 1:
            raise ValueError(f"input.frames is {self.input.frames}, expected 1: it takes one picture, or one frame")
        check_heads("heads", self.heads, self.width)
        self._grid(self.input.size, self.input.size)
        self.encoder.check_size(self.input.size)
        return self

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        return tile_grid("the encoder's patches", self.encoder.patch, height, width, "pixels")

    @property
    def num_prompts(self) -> int:
        """As many as there are queries."""
        return self.queries

    def layout(self, video: VideoShape) -> TokenLayout:
        """No tokens. A ValueError where there is not one frame."""
        from vlmkit.nn import layout_without_patches

        if (video.frames, video.num_frames_present) != (1, 1):
            raise ValueError(f"expected one frame, found {video.num_frames_present} in {video.frames} slots")
        return layout_without_patches(0, 1, self._grid(video.height, video.width))

    def build(self, llm_width: int) -> Aligner:
        """Build the module."""
        from vlmkit_llama_adapter._module import LlamaAdapter

        return LlamaAdapter(self, llm_width)
