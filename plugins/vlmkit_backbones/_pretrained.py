"""Read published weights: all that the model has, in its shapes, and nothing but finite numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file

from vlmkit.api import UserError, quiet_transformers, reading
from vlmkit.api.weights import Place

__all__ = ["read_weights"]

_SHOWN = 5
_ADAPTER = "adapter_config.json"


def read_weights(place: Place, config: PreTrainedConfig, options: dict[str, Any]) -> PreTrainedModel:
    """Return the model of `config` with the weights at `place`. It warns of tensors that the model does not have.

    Raises:
        UserError: a tensor is missing, of another shape or not finite.
    """
    where = f"model.backbone.path: no weights of a language model can be read from {place.name}"
    with reading(where, "correct the path, or fetch the weights again", folder=place.local), quiet_transformers():
        _refuse_adapter(place)
        model, report = AutoModelForCausalLM.from_pretrained(
            place.name,
            config=config,
            local_files_only=place.offline,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options,
        )
    _refuse_misfits(where, report)
    if report["unexpected_keys"]:
        warnings.warn(
            f"model.backbone: the weights at {place.name} have {_listed(report['unexpected_keys'], 'tensors')} that a "
            f"model of its config.json does not have; they are left out",
            stacklevel=2,
        )
    _refuse_infinite(where, model)
    assert isinstance(model, PreTrainedModel)
    return model


def _refuse_adapter(place: Place) -> None:
    """Refuse an adapter: transformers would take the weights of the model that it names, wherever that is."""
    if cached_file(
        place.name,
        _ADAPTER,
        local_files_only=place.offline,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    ):
        raise UserError(
            f"model.backbone.path: expected a whole model, found an adapter at {place.name} ({_ADAPTER}); merge it "
            "into its model first (peft: merge_and_unload), or remove that file"
        )


def _refuse_misfits(where: str, report: dict[str, Any]) -> None:
    shapes = [
        f"{name} is {tuple(there)} in the file, {tuple(here)} by its config.json"
        for name, there, here in report["mismatched_keys"]
    ]
    problems = [
        *([f"it lacks {_listed(report['missing_keys'], 'tensors')}"] if report["missing_keys"] else []),
        *([f"{_listed(shapes, 'tensors')}"] if shapes else []),
        *map(str, report["error_msgs"] or ()),
    ]
    if problems:
        raise UserError(
            f"{where}: {'; '.join(problems)}; fetch the weights again, or give `init: random` to draw all of them"
        )


def _refuse_infinite(where: str, model: nn.Module) -> None:
    bad = [
        name
        for name, value in model.named_parameters()
        if value.is_floating_point() and not torch.isfinite(value.detach().sum(dtype=torch.float32))
    ]
    if bad:
        raise UserError(f"{where}: {_listed(bad, 'tensors')} hold numbers that are not finite; fetch the weights again")


def _listed(names: Iterable[str], what: str) -> str:
    """Return a count with the first few names."""
    found = sorted(names)
    more = ", …" if len(found) > _SHOWN else ""
    return f"{len(found)} {what if len(found) > 1 else what.removesuffix('s')} ({', '.join(found[:_SHOWN])}{more})"
