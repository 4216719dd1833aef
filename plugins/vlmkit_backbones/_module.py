"""Build and load the language model with transformers, within bounds on what a configuration may ask for."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file

from vlmkit.api import UserError, did_you_mean, quiet_transformers, reading, shown
from vlmkit.api.bounds import MOST_PARAMETERS
from vlmkit.api.weights import Place, locate
from vlmkit_backbones._options import CODE_KEY, kernel_problem, number_problem

if TYPE_CHECKING:
    from vlmkit_backbones.spec import HfCausalLmSpec

__all__ = ["build", "full_config", "load"]

_NEUTRAL_KEYS = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}
"""Keys of a config.json that do not change the model."""
_MAX_MODULES = 100_000
"""A model of 61 layers with 256 experts each has some 80,000."""
_ADAPTER = "adapter_config.json"
_SHOWN = 5
"""Names of tensors that a message shows."""


def full_config(spec: HfCausalLmSpec) -> dict[str, Any]:
    """Return all that `build` needs, as data: from the spec alone where it gives a `config`."""
    if spec.config is None:
        found = _read(_place(spec), spec).to_diff_dict()
        return {key: value for key, value in found.items() if key != CODE_KEY}
    if "vocab_size" in spec.config:
        return spec.config
    return spec.config | {"vocab_size": len(spec.load_tokenizer())}


def build(spec: HfCausalLmSpec) -> PreTrainedModel:
    """Return the model with drawn weights, built on the meta device first: sizes that nothing can hold end there."""
    options = full_config(spec)
    family = options.get("model_type")
    if not isinstance(family, str) or family not in CONFIG_MAPPING:
        raise UserError(
            f"model.backbone.config: transformers knows no model_type {shown(family)}; "
            f"{did_you_mean(str(family), CONFIG_MAPPING)}e.g. llama, qwen3, gpt2"
        )
    where = f"model.backbone.config: transformers cannot build this {family!r}"
    with reading(where, "correct the configuration", blame=lambda: _wrong_key(options)):
        config = AutoConfig.for_model(**options)
        if spec.path is None:
            _refuse_unknown(config, options)
        _refuse_misfits(config.to_dict())
        if torch.get_default_device().type == "meta":
            with _module_budget():
                return _draw(spec, config)
        with torch.random.fork_rng(devices=[]), torch.device("meta"), _module_budget():
            trial = _draw(spec, AutoConfig.for_model(**config.to_dict()))
        _refuse_beyond_memory(trial)
        return _draw(spec, config)


def _draw(spec: HfCausalLmSpec, config: Any) -> PreTrainedModel:
    return AutoModelForCausalLM.from_config(
        config, **_kernel(spec), dtype=getattr(torch, spec.dtype), trust_remote_code=False
    )


def _refuse_unknown(config: Any, options: Mapping[str, Any]) -> None:
    """Refuse options that the family does not know: transformers keeps them and does nothing with them."""
    known = type(config)()
    for key in options:
        if key in vars(config) and not hasattr(known, key):
            raise UserError(
                f"model.backbone.config: {key} is no option of {options['model_type']!r} and would do nothing; "
                f"{did_you_mean(key, known.to_dict())}correct it, or remove it"
            )


def _refuse_misfits(config: Mapping[str, Any]) -> None:
    """Refuse heads that do not share keys and values evenly, which transformers builds but cannot run."""
    heads, shared = config.get("num_attention_heads"), config.get("num_key_value_heads")
    if isinstance(heads, int) and isinstance(shared, int) and heads % shared:
        raise UserError(
            f"model.backbone.config: num_key_value_heads ({shared}) does not divide num_attention_heads ({heads}); "
            "give both: what is not given is the family's default"
        )


def load(spec: HfCausalLmSpec) -> PreTrainedModel:
    """Return the model with the weights at `spec.path`."""
    place = _place(spec)
    config = _read(place, spec)
    for key, value in (spec.config or {}).items():
        found = getattr(config, key, None)
        if key not in _NEUTRAL_KEYS and found != value:
            raise UserError(
                f"model.backbone.config: {key} is {shown(value)}, but {shown(found)} in the configuration at "
                f"{spec.path}; correct it, or leave it out"
            )
    with _module_budget():
        return _read_weights(place, config, _kernel(spec) | {"dtype": getattr(torch, spec.dtype)})


def _read_weights(place: Place, config: PreTrainedConfig, options: dict[str, Any]) -> PreTrainedModel:
    """Return the model of `config` with the weights at `place`: all that it has, in its shapes, and finite.

    It warns of tensors that the model does not have.
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
    _refuse_incomplete(where, report)
    if report["unexpected_keys"]:
        warnings.warn(
            f"model.backbone: the weights at {place.name} have {_listed(report['unexpected_keys'])} that a "
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


def _refuse_incomplete(where: str, report: dict[str, Any]) -> None:
    shapes = [
        f"{name} is {tuple(there)} in the file, {tuple(here)} by its config.json"
        for name, there, here in report["mismatched_keys"]
    ]
    problems = [f"it lacks {_listed(report['missing_keys'])}"] if report["missing_keys"] else []
    problems += [_listed(shapes)] if shapes else []
    problems += map(str, report["error_msgs"] or ())
    if problems:
        raise UserError(
            f"{where}: {'; '.join(problems)}; fetch the weights again, or give `init: random` to draw all of them"
        )


def _refuse_infinite(where: str, model: nn.Module) -> None:
    numbers = {name: value.detach() for name, value in model.named_parameters() if value.is_floating_point()}
    bad = [name for name, value in numbers.items() if not torch.isfinite(value.sum(dtype=torch.float32))]
    if bad:
        raise UserError(f"{where}: {_listed(bad)} hold numbers that are not finite; fetch the weights again")


def _listed(tensors: Iterable[str]) -> str:
    """Return a count with the first few names."""
    found = sorted(tensors)
    more = ", …" if len(found) > _SHOWN else ""
    return f"{len(found)} tensor{'s' * (len(found) > 1)} ({', '.join(found[:_SHOWN])}{more})"


def _kernel(spec: HfCausalLmSpec) -> dict[str, Any]:
    """Return the options of transformers about attention."""
    return {} if spec.attn_implementation is None else {"attn_implementation": spec.attn_implementation}


def _place(spec: HfCausalLmSpec) -> Place:
    assert spec.path is not None
    return locate(spec.path, "model.backbone.path: no language model")


def _wrong_key(options: Mapping[str, Any]) -> str:
    """Return the key without which transformers takes the configuration, with its value; empty where no one key is."""
    named = {key: value for key, value in options.items() if key != CODE_KEY}
    if _is_taken(named):
        return ""
    for key, value in named.items():
        if _is_taken({name: other for name, other in named.items() if name != key}):
            return f"{key}: {shown(value)}"
    return ""


def _is_taken(options: Mapping[str, Any]) -> bool:
    try:
        AutoConfig.for_model(**options)
    except MemoryError:
        raise
    except Exception:
        return False
    return True


def _read(place: Place, spec: HfCausalLmSpec) -> PreTrainedConfig:
    """Return the configuration at a place, with nothing in it that runs code."""
    where = (
        f"model.backbone.path: no configuration can be read from {spec.path} (a folder with a config.json, "
        "or a hub id that is cached or reachable)"
    )
    found: dict[str, Any] = {}
    with (
        reading(where, "correct the path or the file", folder=place.local, blame=lambda: _wrong_key(found)),
        quiet_transformers(),
    ):
        found, _ = PreTrainedConfig.get_config_dict(place.name, local_files_only=place.offline)
        if not found:
            raise UserError(f"{where}: there is none")
        if problem := _config_problem(found):
            raise UserError(f"{where}: config.json: {problem}; correct it, or fetch it again")
        config = AutoConfig.from_pretrained(place.name, local_files_only=place.offline, trust_remote_code=False)
        assert isinstance(config, PreTrainedConfig)
        config.to_diff_dict()  # fails over values that it cannot write
    if CODE_KEY in found:
        warnings.warn(
            f"model.backbone: the Python code that comes with {place.name} ({CODE_KEY} in its config.json) is not run; "
            f"transformers' own {config.model_type!r} takes its place",
            stacklevel=2,
        )
    return config


def _config_problem(config: Mapping[str, Any]) -> str:
    """Return a message about a config.json before transformers looks at it; empty where nothing is wrong."""
    for key, kind, what in (("model_type", str, "the name of a family"), (CODE_KEY, Mapping, "a mapping")):
        if key in config and not isinstance(config[key], kind):
            return f"{key}: expected {what}, found {shown(config[key])}"
    return number_problem(config) or kernel_problem(config)


@contextmanager
def _module_budget() -> Iterator[None]:
    """Raise a UserError as soon as what is being built has more modules or parameters than any model."""
    limits = {"modules": _MAX_MODULES, "parameters": MOST_PARAMETERS}
    counts = dict.fromkeys(limits, 0)

    def count(what: str, number: int) -> None:
        counts[what] += number
        if counts[what] > limits[what]:
            raise UserError(
                f"model.backbone.config: expected at most {limits[what]:,} {what}; make its numbers smaller"
            )

    hooks: list[Any] = [
        register_module_module_registration_hook(lambda *_: count("modules", 1)),
        register_module_parameter_registration_hook(
            lambda _, __, parameter: count("parameters", 0 if parameter is None else parameter.numel())
        ),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _refuse_beyond_memory(model: nn.Module) -> None:
    """Raise a UserError where the model, built on the meta device, is larger than this machine's memory."""
    needed = sum(value.nbytes for value in (*model.parameters(), *model.buffers()))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise UserError(
            f"model.backbone.config: a model of {needed / 2**30:,.0f} GiB does not fit into this machine's memory "
            f"of {memory / 2**30:,.0f} GiB; make its numbers smaller"
        )
