"""Checks of the options `config` and `chat_template`, without torch and transformers.

transformers takes many numbers that no language model works with and fails late or never over others, and importing it
takes seconds; a spec is refused at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, create_model

from vlmkit.api import did_you_mean, shown
from vlmkit.api.bounds import MOST_LAYERS, MOST_TOKENS, Channels, Heads, Hidden, first_too_large
from vlmkit.api.chat_template import check_learnable

__all__ = ["CHAT_TEMPLATES", "CODE_KEY", "check_numbers", "check_template", "kernel_problem", "number_problem"]

CODE_KEY = "auto_map"
"""Key of a configuration that names classes in Python files beside the config.json. They are never run."""
_KERNEL_KEYS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
"""Keys that can name a repository of the hub whose code computes a part of the model."""

_LAYERS = Annotated[int, Field(gt=0, le=MOST_LAYERS)]
_SMALL = Annotated[float, Field(ge=0)]
_SHARE = Annotated[float, Field(ge=0, le=1)]
_RANGES: dict[str, Any] = {
    **dict.fromkeys(("d_model", "head_dim", "hidden_size", "n_embd"), (Channels, 1)),
    **dict.fromkeys(("intermediate_size", "n_inner"), (Hidden, 1)),
    **dict.fromkeys(("n_head", "num_attention_heads", "num_heads", "num_key_value_heads"), (Heads, 1)),
    **dict.fromkeys(("n_layer", "num_hidden_layers", "num_layers"), (_LAYERS, 1)),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), (PositiveInt, 1)),
    "vocab_size": (Annotated[int, Field(gt=0, le=MOST_TOKENS)], 1),
    "rope_theta": (PositiveFloat, 1),
    **dict.fromkeys(("initializer_range", "layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps"), (_SMALL, 0)),
    **dict.fromkeys(("attention_dropout", "attn_pdrop", "embd_pdrop", "hidden_dropout", "resid_pdrop"), (_SHARE, 0)),
}
"""Type and default by key, under the usual names; what is not there keeps its family's default."""
_Numbers = create_model("_Numbers", __config__=ConfigDict(strict=True, allow_inf_nan=False), **_RANGES)


def check_numbers(config: Mapping[str, Any]) -> None:
    """Check the numbers of a configuration. Lists, one number per layer, and None are left to transformers.

    Raises:
        ValidationError: with the key of each number out of its range.
        ValueError: a number is too large for anything.
    """
    _Numbers.model_validate({key: value for key, value in config.items() if isinstance(value, int | float | str)})
    if problem := first_too_large(config):
        raise ValueError(problem)


def number_problem(config: Mapping[str, Any]) -> str:
    """Return what `check_numbers` says of the first one, in a line; empty where there is none."""
    try:
        check_numbers(config)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{first['loc'][0]}: {first['msg']}, found {shown(first['input'])}"
    except ValueError as error:
        return str(error)
    return ""


def kernel_problem(config: Mapping[str, Any]) -> str:
    """Return a message about a kernel that would be fetched from the hub; empty where there is none."""
    for part in (config, *(value for value in config.values() if isinstance(value, Mapping))):
        for key in _KERNEL_KEYS:
            value = part.get(key)
            if value is not None and not (isinstance(value, str) and value.isidentifier()):
                return f"{key}: expected the name of a kernel of transformers or torch, found {shown(value)}; remove it"
    return ""


_SYSTEM = (
    "A chat between a curious {who} and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the {who}'s questions. "
)
_TURNS = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: {{ message['content'] }} ASSISTANT:"
    "{% else %} {{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
_BEGIN = "{{ bos_token }}"

CHAT_TEMPLATES = {
    "plain": _TURNS,
    "vicuna-v1": _BEGIN + _SYSTEM.format(who="user") + _TURNS,
    "videopanda-v1": _BEGIN + _SYSTEM.format(who="human") + _TURNS,
}
"""`vicuna-v1`: Vicuna's, with which Video-Panda was trained ("a curious user"); `videopanda-v1`: that with which its
released code evaluates ("a curious human"); `plain`: the turns alone, for small models."""


def check_template(template: str) -> None:
    """Check the field `chat_template`.

    Raises:
        ValueError: it is neither a known name nor a Jinja template that puts one turn as training needs it: `<video>`
            stays, and the answer is added behind the prompt.
    """
    names = ["tokenizer", *CHAT_TEMPLATES]
    if template in names:
        return
    if "{{" not in template and "{%" not in template:
        raise ValueError(
            f"expected one of {', '.join(sorted(names))}, or a Jinja template; {did_you_mean(template, names)}found "
            f"{shown(template)}, which has neither {{{{ nor {{% in it"
        )
    check_learnable(template)
