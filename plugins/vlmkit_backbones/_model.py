"""Building and loading the model with transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, PreTrainedModel

from vlmkit.api import UserError, hint

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
    if options["model_type"] not in CONFIG_MAPPING:
        raise UserError(
            f"model.backbone.config: transformers knows no model_type {options['model_type']!r}; "
            f"{hint(options['model_type'], CONFIG_MAPPING)}e.g. llama, qwen3, gpt2"
        )
    try:
        config = AutoConfig.for_model(**options)
        if spec.path is None:
            _refuse_unknown(config, options)
        _refuse_misfits(config.to_dict())
        return AutoModelForCausalLM.from_config(config, **_kernel(spec), dtype=getattr(torch, spec.dtype))
    except StrictDataclassError as error:
        reason = str(error.__cause__ or error)
    except UserError:
        raise
    except KeyError as error:
        reason = f"it knows no {first_line(error)}"
    except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = first_line(error)
    raise UserError(f"model.backbone.config: transformers cannot build this {options['model_type']!r}: {reason}")


def _refuse_unknown(config: Any, options: Mapping[str, Any]) -> None:
    """transformers keeps an option that it does not know, and does nothing with it."""
    known = type(config)()
    for key in options:
        if key in vars(config) and not hasattr(known, key):
            raise UserError(
                f"model.backbone.config: {key} is no option of {options['model_type']!r} and would do nothing; "
                f"{hint(key, known.to_dict())}correct it, or remove it"
            )


def _refuse_misfits(config: Mapping[str, Any]) -> None:
    """What transformers builds, but cannot run: heads that do not share keys and values evenly."""
    heads, shared = config.get("num_attention_heads"), config.get("num_key_value_heads")
    if isinstance(heads, int) and isinstance(shared, int) and heads % shared:
        raise UserError(
            f"model.backbone.config: num_key_value_heads ({shared}) does not divide num_attention_heads ({heads}); "
            "give both: what is not given is the family's default"
        )


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
        return AutoModelForCausalLM.from_pretrained(
            spec.path, config=config, **_kernel(spec), dtype=getattr(torch, spec.dtype)
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.backbone.path: no weights of a language model can be read from {spec.path}: {first_line(error)}"
        ) from error


def _kernel(spec: HfCausalLmSpec) -> dict[str, str]:
    """What transformers is told about attention."""
    return {} if spec.attn_implementation is None else {"attn_implementation": spec.attn_implementation}


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
