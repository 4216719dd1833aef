"""What the specs of encoder-based aligners have in common. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import model_validator

from vlmkit.api import AlignerSpec, EncoderSpec, Projector, Slot, VideoShape, default_component

__all__ = ["EncoderAlignerSpec"]

_TINY_ENCODER = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "patch": 7, "image_size": 28}


class EncoderAlignerSpec(AlignerSpec):
    """Options of an aligner whose features come from a pretrained encoder.

    The encoder sees the whole canvas: padding inside the picture (`fit: pad`) is picture to it.
    """

    encoder: Slot[EncoderSpec] = default_component("clip-vision")
    """The vision tower."""
    projector: Projector = "mlp2x_gelu"
    """How tokens get the LLM's width."""

    tiny_options: ClassVar[Mapping[str, Any]] = {}
    """What `tiny` makes small besides frames and encoder."""

    @classmethod
    def tiny(cls) -> Self:
        """4 frames of 4x4 patches."""
        encoder = {**cls.model_fields["encoder"].default, **_TINY_ENCODER}
        return cls.model_validate({"input": {"frames": 4, "size": 28}, "encoder": encoder, **cls.tiny_options})

    @model_validator(mode="after")
    def _tiles(self) -> EncoderAlignerSpec:
        self.grid(self.input.size, self.input.size)
        self.encoder.check_size(self.input.size)
        return self

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Patches of a canvas of height x width pixels. A ValueError where they do not tile it."""
        side = self.encoder.patch
        if height % side or width % side:
            raise ValueError(
                f"the encoder's patches of {side}x{side} pixels do not tile a canvas of {height}x{width}; "
                "change `input.size` or the encoder"
            )
        return height // side, width // side

    def check(self, video: VideoShape) -> tuple[int, int]:
        """The patch grid of a video that fits. A ValueError where it does not."""
        if not 1 <= video.num_frames_present <= video.frames <= self.input.frames:
            raise ValueError(
                f"{self.type} takes 1 to {self.input.frames} frames (`input.frames`), "
                f"found {video.num_frames_present} in {video.frames} slots"
            )
        return self.grid(video.height, video.width)
