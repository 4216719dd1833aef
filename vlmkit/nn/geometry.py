"""Checks of sizes that have to divide each other: heads, patches, windows. No torch.

Each raises a ValueError that names both numbers; a spec's validator calls it, pydantic reports it at the field.
"""

from __future__ import annotations

from vlmkit.api import Canvas, DownsamplerSpec, VideoInput

__all__ = ["check_canvas", "check_geometry", "check_heads", "check_multiple", "check_sampling", "tile_grid"]


def check_heads(name: str, heads: int, width: int) -> None:
    """Raise a ValueError where `heads` attention heads do not divide `width` channels."""
    if width % heads:
        raise ValueError(f"{name} is {heads}, which does not divide the width {width}")


def check_multiple(name: str, value: int, of: str, unit: int) -> None:
    """Raise a ValueError where the option `name` is not a multiple of `unit`, which `of` describes."""
    if value % unit:
        raise ValueError(f"{name} {value} is not a multiple of {of} {unit}")


def tile_grid(tiles: str, side: int, height: int, width: int, unit: str) -> tuple[int, int]:
    """(rows, columns) of the square tiles of an area, all lengths in `unit` (`pixels` or `patches`).

    Raise a ValueError, which calls them `tiles`, where they do not cover it exactly.
    """
    if height % side or width % side:
        raise ValueError(f"{tiles} of {side}x{side} {unit} do not tile {height}x{width} {unit}")
    return height // side, width // side


def check_canvas(canvas: Canvas, patch: int) -> None:
    """Raise a ValueError where patches of `patch` pixels do not tile the canvas or, with `fit: pad`, the picture."""
    if canvas.is_square:
        check_multiple("input.size", canvas.size, "the patch side", patch)
    if canvas.fit not in ("crop", "squash"):
        check_multiple("input.multiple", canvas.multiple, "the patch side", patch)


def check_sampling(video: VideoInput) -> None:
    """Raise a ValueError where videos would differ in their number of frames: padding in time gives tokens here, so
    that those of a video would depend on the longest one of its batch."""
    if not video.sampler.pads:
        raise ValueError(
            f"sampling {video.sampler.address} gives videos of 1 to {video.frames} frames; expected a fixed number, as "
            "in the paper: take a sampling that pads videos in time, e.g. reference or uniform"
        )


def check_geometry(video: VideoInput, patch: int, downsampler: DownsamplerSpec, *, whole_canvas: bool = False) -> None:
    """Raise a ValueError where pictures do not fall into whole patches and whole windows of the downsampler.

    With `whole_canvas` it works on the whole canvas, and the picture's tokens are cut out afterwards.
    """
    unit, stride = patch * downsampler.pixel_stride, downsampler.pixel_stride
    side_of = "the patch side" if stride == 1 else f"{stride} times the patch side,"
    for name, pixels in (("size", video.size), ("multiple", video.multiple)):
        check_multiple(f"input.{name}", pixels, side_of, unit)
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
