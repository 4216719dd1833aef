"""Options of the downsamplers."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from vlmkit.api import DownsamplerSpec
from vlmkit.api.bounds import Channels, Heads, Layers, Tokens
from vlmkit.nn.geometry import tile_grid

if TYPE_CHECKING:
    from vlmkit.api import Downsampler

__all__ = ["AdaptivePoolSpec", "AvgPoolSpec", "HalfResolutionSpec", "NoneSpec", "PerceiverSpec"]


class _EveryPatchSpec(DownsamplerSpec):
    """Every patch is a token."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """The patches themselves."""
        return height, width

    def build(self, width: int) -> Downsampler:
        """The identity."""
        from vlmkit_pooling._module import Identity

        return Identity()


class NoneSpec(_EveryPatchSpec):
    """Every patch is a token."""

    type: Literal["none"] = "none"


class HalfResolutionSpec(_EveryPatchSpec):
    """Half the pixels in each direction before the patch embedding (2x2 mean); every patch of those is a token.

    The cheapest way to the token count of a 2x2 window: the aligner that honors `pixel_stride` embeds a quarter of the
    patches.
    """

    type: Literal["half-resolution"] = "half-resolution"
    pixel_stride: ClassVar[int] = 2


class AvgPoolSpec(DownsamplerSpec):
    """The mean of each window of patches. No parameters."""

    type: Literal["avg-pool"] = "avg-pool"
    window: Tokens = 2
    """Side of a window, patches."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """One token per window. Raise a ValueError where windows do not tile the patches."""
        return tile_grid("avg-pool: windows", self.window, height, width, "patches")

    def build(self, width: int) -> Downsampler:
        """The mean."""
        from vlmkit_pooling._module import AvgPool

        return AvgPool(self.window)


class AdaptivePoolSpec(DownsamplerSpec):
    """The mean of a target number of bins, whatever the number of patches (PLLaVA, arXiv:2404.16994). No parameters.

    Bin i of m over n patches is [floor(i*n/m), ceil((i+1)*n/m)): bins overlap where m does not divide n, and repeat
    patches where m exceeds n.
    """

    type: Literal["adaptive-pool"] = "adaptive-pool"
    height: Tokens = 12
    """Token rows per frame."""
    width: Tokens = 12
    """Token columns per frame."""

    @classmethod
    def tiny(cls) -> Self:
        """2x2 tokens per frame."""
        return cls(height=2, width=2)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """The target, whatever the patches."""
        return self.height, self.width

    def build(self, width: int) -> Downsampler:
        """The mean over bins."""
        from vlmkit_pooling._module import AdaptivePool

        return AdaptivePool((self.height, self.width))


class PerceiverSpec(DownsamplerSpec):
    """Perceiver resampler: learned latents attend to the patches of their frame and to themselves (Flamingo,
    arXiv:2204.14198; layers as in lucidrains/flamingo-pytorch and open_flamingo).

    The number of tokens is that of the latents, whatever the frame. 256 latents are read as a picture of 16x16 tokens,
    so that row tokens and distillation stay as they are with the 2x2 windows of a square 448-pixel video. Nothing but
    distillation makes latent i*16+j belong to that place.
    """

    type: Literal["perceiver"] = "perceiver"
    depth: Layers = 1
    """Layers, each attention and feed-forward."""
    latents: Tokens = 256
    """Tokens per frame."""
    heads: Heads = 8
    """Attention heads."""
    dim_head: Channels = 64
    """Channels per head."""
    rows: bool | None = None
    """Read the latents as the rows of a square picture. None: with 256 latents only."""

    @classmethod
    def tiny(cls) -> Self:
        """2x2 latents."""
        return cls(latents=4, heads=2, dim_head=8, rows=True)

    @model_validator(mode="after")
    def _square(self) -> PerceiverSpec:
        if self.rows and isqrt(self.latents) ** 2 != self.latents:
            raise ValueError(f"rows: true needs a square number of latents, found {self.latents}")
        return self

    def keeps_rows(self) -> bool:
        """True where the latents are read as the rows of a square picture."""
        return self.latents == 256 if self.rows is None else self.rows

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """A square of latents, or one row of them."""
        side = isqrt(self.latents)
        return (side, side) if self.keeps_rows() else (1, self.latents)

    def build(self, width: int) -> Downsampler:
        """The resampler."""
        from vlmkit_pooling._module import Perceiver

        return Perceiver(self, width)
