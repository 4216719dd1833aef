"""Layers and arithmetic that several aligners share. Plugins may import them.

`FrameBlocks` and its words need numpy alone, so that a spec can lay tokens out without torch; the layers are imported
when they are first used. The function `assemble` is imported from its module, `vlmkit.nn.assemble`, and so are the
checks of a spec, from `vlmkit.nn.geometry`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmkit.nn.attention import SingleQueryAttention, attend
    from vlmkit.nn.blocks import Box, FrameBlocks, FrameGroup
    from vlmkit.nn.convolution import add_space_time, convolve_time
    from vlmkit.nn.framewise import crop_frames, lay_out_frames
    from vlmkit.nn.initialise import initialise_linears
    from vlmkit.nn.patches import PatchEmbedding
    from vlmkit.nn.pooling import QueryPool, WindowPool
    from vlmkit.nn.projector import build_projector

__all__ = [
    "Box",
    "FrameBlocks",
    "FrameGroup",
    "PatchEmbedding",
    "QueryPool",
    "SingleQueryAttention",
    "WindowPool",
    "add_space_time",
    "attend",
    "build_projector",
    "convolve_time",
    "crop_frames",
    "initialise_linears",
    "lay_out_frames",
]

_HOMES = {
    "Box": "blocks",
    "FrameBlocks": "blocks",
    "FrameGroup": "blocks",
    "PatchEmbedding": "patches",
    "QueryPool": "pooling",
    "SingleQueryAttention": "attention",
    "WindowPool": "pooling",
    "add_space_time": "convolution",
    "attend": "attention",
    "build_projector": "projector",
    "convolve_time": "convolution",
    "crop_frames": "framewise",
    "initialise_linears": "initialise",
    "lay_out_frames": "framewise",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"vlmkit.nn.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
