"""Layers and arithmetic that several aligners share. Plugins may import them.

Token layouts and the checks of a spec need no torch; the modules with layers are imported when one is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmkit.nn.attention import KeyValue, QueryPool, SingleQueryAttention, WindowPool, attend, fold_norm
    from vlmkit.nn.decoder import cached_attention, decoder_layers, extend_class, rotate
    from vlmkit.nn.frames import crop_frames, cut_cells, gather_tokens, lay_out_frames, present_frames, to_slots
    from vlmkit.nn.geometry import check_canvas, check_geometry, check_heads, check_multiple, check_sampling, tile_grid
    from vlmkit.nn.layers import PatchEmbedding, add_space_time, build_projector, convolve_time, initialize_linears
    from vlmkit.nn.layout import Box, FrameBlocks, FrameGroup, Ints, layout_of_blocks, layout_without_patches
    from vlmkit.nn.pictures import PictureBlocks, PictureCells

__all__ = [
    "Box",
    "FrameBlocks",
    "FrameGroup",
    "Ints",
    "KeyValue",
    "PatchEmbedding",
    "PictureBlocks",
    "PictureCells",
    "QueryPool",
    "SingleQueryAttention",
    "WindowPool",
    "add_space_time",
    "attend",
    "build_projector",
    "cached_attention",
    "check_canvas",
    "check_geometry",
    "check_heads",
    "check_multiple",
    "check_sampling",
    "convolve_time",
    "crop_frames",
    "cut_cells",
    "decoder_layers",
    "extend_class",
    "fold_norm",
    "gather_tokens",
    "initialize_linears",
    "lay_out_frames",
    "layout_of_blocks",
    "layout_without_patches",
    "present_frames",
    "rotate",
    "tile_grid",
    "to_slots",
]

_MODULES = ("geometry", "layout", "pictures", "attention", "frames", "layers", "decoder")
"""Those that need no torch come first: the search for one of their names ends before torch is imported."""


def __getattr__(name: str) -> object:
    for module in map(import_module, (f"{__name__}.{module}" for module in _MODULES if name in __all__)):
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
