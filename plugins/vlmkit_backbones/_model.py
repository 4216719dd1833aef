"""Building and loading the model with transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from vlmkit.api import UserError

if TYPE_CHECKING:
    from vlmkit_backbones.spec import HfCausalLmSpec

__all__ = ["build", "first_line", "full_config", "load"]

_ASIDE = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}
"""Keys of a config.json that do not change the model."""


def full_config(spec: HfCausalLmSpec) -> dict[str, Any]:
    """All that `build` needs, as data. From the spec alone where it gives a `config`."""
    if spec.config is None:
        return _read(spec).to_diff_dict()
    if "vocab_size" in spec.config:
        return spec.config
    return spec.config | {"vocab_size": len(spec.load_tokenizer())}


def build(spec: HfCausalLmSpec) -> PreTrainedModel:
    """The model with drawn weights."""
    options = full_config(spec)
    try:
        config = AutoConfig.for_model(**options)
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, spec.dtype))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"model.backbone.config: transformers cannot build this {options['model_type']!r}: {first_line(error)}"
        ) from error


def load(spec: HfCausalLmSpec) -> PreTrainedModel:
    """The model with the weights at `spec.path`."""
    config = _read(spec)
    for key, value in (spec.config or {}).items():
        found = getattr(config, key, None)
        if key not in _ASIDE and found != value:
            raise UserError(
                f"model.backbone.config: {key} is {value!r}, but {found!r} in the configuration at {spec.path}; "
                "correct it, or leave it out"
            )
    try:
        return AutoModelForCausalLM.from_pretrained(spec.path, config=config, dtype=getattr(torch, spec.dtype))
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.backbone.path: no weights of a language model can be read from {spec.path}: {first_line(error)}"
        ) from error


def first_line(error: Exception) -> str:
    """What an error says, without the advice below it."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _read(spec: HfCausalLmSpec) -> Any:
    try:
        return AutoConfig.from_pretrained(spec.path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.backbone.path: no configuration can be read from {spec.path} (a folder with a config.json, "
            f"or a hub id that is cached or reachable): {first_line(error)}"
        ) from error
