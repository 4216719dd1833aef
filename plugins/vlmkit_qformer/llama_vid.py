"""Options of the aligner `llama-vid`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vlmkit.api import TextInput, TokenLayout, VideoInput, VideoShape
from vlmkit_qformer.spec import QFormerAlignerSpec, TextQFormerOptions

if TYPE_CHECKING:
    from vlmkit.api import Aligner

__all__ = ["LlamaVidSpec"]


class LlamaVidSpec(QFormerAlignerSpec):
    """LLaMA-VID (arXiv:2311.17043): a context token of each frame, which the question decides, and content tokens.

    A Q-Former reads a frame and the question; its queries then read the frame's patches, and the mean of what they find
    becomes the context token. Content tokens are means over patches, whatever the question. Frames do not see each
    other, and a shorter video has fewer tokens.
    """

    type: Literal["llama-vid"] = "llama-vid"
    input: VideoInput = VideoInput(frames=1024, sampling="one-fps", size=224, fit="crop")
    """The pixels it wants: a frame per second, up to 1024, center crop of 224x224. The paper has no limit."""
    qformer: TextQFormerOptions = TextQFormerOptions()
    """InstructBLIP's Q-Former."""
    text: TextInput = TextInput()
    """The text that the Q-Former reads beside the frame."""
    compress: Annotated[str, Field(pattern=r"^(mean|none|grid:[1-9]\d{0,3})$")] = "mean"
    """The content tokens of a frame: `mean`, one of all its patches; `grid:2`, 2x2 (each of whole patches; patches that
    are left over at the end of a row or column are not used); `none`, one of each patch."""

    tiny_options: ClassVar[Mapping[str, Any]] = {
        "qformer": {"width": 32, "heads": 4, "mlp": 64, "queries": 3, "layers": 2, "words": 300, "positions": 32},
        "text": {"tokenizer": {"text": ("what is shown, and which way does it move?",)}, "length": 32},
    }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.qformer.check_text(self.text)
        self.pooled(self.grid(self.input.size, self.input.size))
        return self

    def pooled(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the rectangle of patches that a content token is the mean of, in a grid of patches. Raise
        a ValueError where it has not as many."""
        if self.compress in ("mean", "none"):
            return grid if self.compress == "mean" else (1, 1)
        wanted = int(self.compress.removeprefix("grid:"))
        if wanted > min(grid):
            raise ValueError(f"compress is {self.compress!r}, but a frame has {grid[0]}x{grid[1]} patches; lower it")
        return grid[0] // wanted, grid[1] // wanted

    def layout(self, video: VideoShape) -> TokenLayout:
        """A block for each frame that is there: the context token, then the content tokens row by row."""
        import numpy as np

        from vlmkit.nn import layout_of_blocks

        grid = self.check(video)
        side = self.pooled(grid)
        content = grid[0] // side[0], grid[1] // side[1]
        whole = content[0] * side[0] == grid[0] and content[1] * side[1] == grid[1]
        return layout_of_blocks(np.arange(video.num_frames_present), video.frames, content, 1, cells=whole)

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_qformer._llama_vid import LlamaVid

        return LlamaVid(self, llm_width)
