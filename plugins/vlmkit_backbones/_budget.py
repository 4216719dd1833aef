"""Bounds while a model is built from a configuration that anybody may have written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from vlmkit.api import UserError
from vlmkit.api.bounds import MOST_PARAMETERS

__all__ = ["module_budget", "refuse_beyond_memory"]

_MOST_MODULES = 100_000
"""A model of 61 layers with 256 experts each has some 80,000."""


@contextmanager
def module_budget() -> Iterator[None]:
    """Raise a UserError as soon as what is being built has more modules or parameters than any model."""
    modules = parameters = 0

    def count_module(module: nn.Module, name: str, submodule: nn.Module | None) -> None:
        nonlocal modules
        modules += 1
        if modules > _MOST_MODULES:
            raise UserError(
                f"model.backbone.config: expected at most {_MOST_MODULES:,} modules; make its numbers smaller"
            )

    def count_parameter(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal parameters
        parameters += 0 if parameter is None else parameter.numel()
        if parameters > MOST_PARAMETERS:
            raise UserError(
                f"model.backbone.config: expected at most {MOST_PARAMETERS:,} parameters; make its numbers smaller"
            )

    hooks: list[Any] = [
        register_module_module_registration_hook(count_module),
        register_module_parameter_registration_hook(count_parameter),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def refuse_beyond_memory(model: nn.Module) -> None:
    """Raise a UserError where the model, built on the meta device, is larger than this machine's memory."""
    needed = sum(value.nbytes for value in (*model.parameters(), *model.buffers()))
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise UserError(
            f"model.backbone.config: a model of {needed / 2**30:,.0f} GiB does not fit into this machine's memory "
            f"of {there / 2**30:,.0f} GiB; make its numbers smaller"
        )
