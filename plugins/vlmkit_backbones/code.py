"""Keys of a transformers configuration that name code of others, which is never run. No transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmkit.api import shown

__all__ = ["CODE", "foreign_kernel"]

CODE = "auto_map"
"""Names classes in Python files that stand beside the config.json."""
_KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
"""Can name a repository of the hub whose code computes a part of the model."""


def foreign_kernel(config: Mapping[str, Any]) -> str:
    """Return what to say of a kernel that is to be fetched from the hub; empty where there is none."""
    parts = [config, *(value for value in config.values() if isinstance(value, Mapping))]
    for part in parts:
        for key in _KERNELS:
            value = part.get(key)
            if value is not None and not (isinstance(value, str) and value.isidentifier()):
                return f"{key}: expected the name of a kernel of transformers or torch, found {shown(value)}; remove it"
    return ""
