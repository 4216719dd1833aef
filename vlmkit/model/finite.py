"""Whether weights are finite numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["misfits", "not_finite", "parameters_of"]

_SHOWN = 3


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters by name, for `not_finite`."""
    return {name: value.detach() for name, value in model.named_parameters()}


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that hold a NaN or an infinity. The device is waited for once."""
    names = [name for name, value in tensors.items() if value.is_floating_point() and value.numel()]
    if not names:
        return []
    # Both ends are NaN where one value is; `isfinite` would take a copy, and many times as long.
    ends = [torch.stack(torch.aminmax(tensors[name])).float() for name in names]
    finite = torch.stack(ends).isfinite().all(1).tolist()
    return [name for name, fine in zip(names, finite, strict=True) if not fine]


def misfits(tensors: Mapping[str, Tensor]) -> str:
    """Return what is wrong with weights, for a message; empty where nothing is."""
    bad = not_finite(tensors)
    if not bad:
        return ""
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    names = ", ".join(bad[:_SHOWN])
    return f"{len(bad)} of {len(tensors)} weights hold values that are no finite numbers: {names}{more}"
