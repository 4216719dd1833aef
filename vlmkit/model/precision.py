"""The dtypes of a model's parts: those in which it was saved, and those that `dtype=` asks for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import torch
from torch import nn

from vlmkit.errors import UserError, shown

__all__ = ["PARTS", "asked_dtypes", "buffer_dtype", "cast", "part_dtypes"]

PARTS = ("aligner", "backbone", "layers")
"""Attributes of a `VideoLM`; the last may be None."""
_KEYS = {"": "aligner", "text_config": "backbone"}
"""Under these transformers names the dtypes of a composite model's parts: itself, and each sub-configuration."""


def asked_dtypes(dtype: object) -> dict[str, str]:
    """Return the name of the dtype of each part that `from_pretrained(dtype=…)` asks for; empty where each keeps its
    own.

    Args:
        dtype: a dtype, its name, or for each part one, as transformers has it: `{"text_config": "bfloat16"}` is that of
            the backbone, under "" is that of the aligner. None and "auto": as saved.
    """
    asked = dtype if isinstance(dtype, Mapping) else dict.fromkeys(_KEYS, dtype)
    if unknown := [key for key in asked if key not in _KEYS]:
        raise UserError(f'dtype: expected the keys "" (aligner) and text_config (backbone), found {shown(unknown[0])}')
    found = {_KEYS[key]: _name(value) for key, value in asked.items() if value is not None and value != "auto"}
    return found | ({"layers": found["backbone"]} if "backbone" in found else {})  # they compute as a part of it


def _name(dtype: object) -> str:
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise UserError(f"dtype: expected auto, float32, bfloat16 or float16, found {shown(dtype)}")
    return str(found).removeprefix("torch.")


def part_dtypes(model: nn.Module) -> dict[str, str]:
    """Return the name of the dtype of each part's weights."""
    return {
        name: str(value.dtype).removeprefix("torch.")
        for name in PARTS
        if (part := getattr(model, name)) is not None
        if (value := next((p for p in part.parameters() if p.is_floating_point()), None)) is not None
    }


def buffer_dtype(model: nn.Module) -> str:
    """Return the name of the dtype that holds all saved floating-point buffers; float32 where there is none."""
    saved = model.state_dict().keys()
    kinds = {b.dtype for name, b in model.named_buffers() if name in saved and b.is_floating_point()}
    return str(reduce(torch.promote_types, kinds) if kinds else torch.float32).removeprefix("torch.")


def cast(part: nn.Module | None, dtype: str) -> None:
    """Convert the parameters of a part, if there is one: buffers such as rotary frequencies or running statistics keep
    their precision."""
    wanted = getattr(torch, dtype)
    for value in part.parameters() if part is not None else ():
        if value.is_floating_point() and value.dtype != wanted:
            value.data = value.data.to(wanted)
