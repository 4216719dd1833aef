"""Layers that several aligners share. Plugins may import them."""

from vlmkit.nn.assemble import assemble
from vlmkit.nn.projector import build_projector

__all__ = ["assemble", "build_projector"]
