"""What the specs of frame-wise aligners check, without torch."""

from __future__ import annotations

from vlmkit.api import DownsamplerSpec, VideoInput

__all__ = ["check_geometry", "check_heads", "check_sampling"]


def check_heads(name: str, heads: int, width: int) -> None:
    """A ValueError where `heads` does not divide `width`."""
    if width % heads:
        raise ValueError(f"{name} is {heads}, which does not divide the width {width}")


def check_sampling(video: VideoInput) -> None:
    """A ValueError where videos would differ in their number of frames: padding in time gives tokens here, so that
    those of a video would depend on the longest one of its batch."""
    if video.sampling == "one-fps":
        raise ValueError(
            f"sampling one-fps gives videos of 1 to {video.frames} frames; expected a fixed number, as in the paper: "
            "take reference, uniform, segment-midpoint or segment-centre"
        )


def check_geometry(video: VideoInput, patch: int, downsampler: DownsamplerSpec, *, whole_canvas: bool = False) -> None:
    """A ValueError where pictures would not fall into whole patches and whole windows of the downsampler.

    Args:
        video: the input.
        patch: side of a patch, pixels.
        downsampler: what makes tokens of patches.
        whole_canvas: whether it works on the whole canvas, of which the picture's tokens are cut out afterwards.
    """
    unit = patch * downsampler.pixel_stride
    for name, pixels in (("size", video.size), ("multiple", video.multiple)):
        if pixels % unit:
            raise ValueError(f"input.{name} is {pixels} pixels, which is not a multiple of the patch of {unit} pixels")
    side, cell = video.size // unit, video.multiple // unit
    try:
        canvas, smallest = downsampler.grid(side, side), downsampler.grid(cell, cell)
    except ValueError as error:
        raise ValueError(
            f"input.size {video.size} and input.multiple {video.multiple} give pictures whose sides are multiples of "
            f"{cell} patches on a canvas of {side}: {error}"
        ) from None
    if whole_canvas and (smallest[0] * side, smallest[1] * side) != (canvas[0] * cell, canvas[1] * cell):
        raise ValueError(
            f"downsampler {downsampler.type} makes {smallest[0]}x{smallest[1]} tokens of {cell}x{cell} patches and "
            f"{canvas[0]}x{canvas[1]} of {side}x{side}: the picture cannot be cut out of its tokens; use after-lste"
        )
