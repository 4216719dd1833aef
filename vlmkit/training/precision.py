"""Which weights are kept in which precision while they train."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import nn

__all__ = ["Precision"]


class Precision:
    """What any stage trains is kept in float32, so that small updates are not lost; what stays frozen keeps the
    precision that its spec gives, unless everything is computed in float32. `restore` gives the model its own back."""

    def __init__(
        self, model: nn.Module, trained: Iterable[nn.Parameter], arithmetic: Literal["float32", "bfloat16"]
    ) -> None:
        self.model = model
        chosen = list(model.parameters()) if arithmetic == "float32" else list(trained)
        self.before = {id(parameter): (parameter, parameter.dtype) for parameter in chosen}
        for parameter in chosen:
            if parameter.is_floating_point():
                parameter.data = parameter.data.float()

    def restore(self) -> None:
        """The dtypes of before."""
        for parameter, dtype in self.before.values():
            parameter.data = parameter.data.to(dtype)
