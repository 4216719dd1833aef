"""Options of the encoders `eva-clip-g` and `umt-l`, whose weights come without a config. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from vlmkit.api.bounds import Channels, Frames, Hidden, Layers, Side
from vlmkit_encoders.spec import VitSpec

if TYPE_CHECKING:
    from vlmkit.api import Encoder

__all__ = ["EvaClipSpec", "UmtSpec"]


class EvaClipSpec(VitSpec):
    """EVA-CLIP's ViT-g/14 (arXiv:2303.15389) as BLIP-2 uses it: 39 of its 40 blocks, no final norm, each frame alone.

    Its weights are one file, `eva_vit_g.pth`, which `path` may name itself. A position table that was made for another
    size is interpolated when it is loaded.
    """

    type: Literal["eva-clip-g"] = "eva-clip-g"
    width: Channels = 1408
    """C: channels of its features."""
    layers: Layers = 39
    """Number of blocks; later ones of the published file are left out."""
    mlp: Hidden = 6144
    """Hidden channels of a block's MLP."""

    def build(self) -> Encoder:
        """Build the module with EVA's initialization."""
        from vlmkit_encoders._eva_clip import EvaClip

        return EvaClip(self)


class UmtSpec(VitSpec):
    """UMT's ViT-L/16 (arXiv:2303.16058) as VideoChat2 uses it: 23 of its 24 blocks, joint space-time attention, no CLS.

    Its weights are one file, which `path` may name itself: UMT's own, or that of VideoChat2's first stage. Positions
    are computed, and interpolated to the frames' number and size.
    """

    type: Literal["umt-l"] = "umt-l"
    prefix_tokens: ClassVar[int] = 0
    layers: Layers = 23
    """Number of blocks; later ones of the published file are left out."""
    patch: Side = 16
    """Side of a patch, pixels."""
    image_size: Side = 224
    """Side of the square frames that its positions are made for, pixels; frames of other sizes are taken too."""
    frames: Frames = 4
    """T that its positions are made for; videos of other lengths are taken too."""

    @classmethod
    def tiny(cls) -> Self:
        """Three blocks of 32 channels for frames of 2x2 patches."""
        return cls.model_validate({"width": 32, "layers": 3, "heads": 4, "mlp": 64, "patch": 14, "image_size": 28})

    def check_size(self, size: int) -> None:
        """Accept any size: the positions are interpolated."""

    def build(self) -> Encoder:
        """Build the module with UMT's initialization."""
        from vlmkit_encoders._umt import Umt

        return Umt(self)
