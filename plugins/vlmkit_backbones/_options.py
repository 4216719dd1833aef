"""Checks of the options `config` and `chat_template`, without torch and transformers.

transformers takes many numbers that no language model works with and fails late or never over others, and importing it
takes seconds; a spec is refused at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, create_model

from vlmkit.api import shown
from vlmkit.api.bounds import MOST_LAYERS, MOST_TOKENS, Channels, Heads, Hidden, first_too_large

__all__ = [
    "CHAT_TEMPLATES",
    "CODE_KEY",
    "HEADS_KEYS",
    "LAYERS_KEYS",
    "POSITIONS_KEYS",
    "WIDTH_KEYS",
    "check_numbers",
    "kernel_problem",
    "number_problem",
]

CODE_KEY = "auto_map"
"""Key of a configuration that names classes in Python files beside the config.json. They are never run."""
_KERNEL_KEYS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
"""Keys that can name a repository of the hub whose code computes a part of the model."""

WIDTH_KEYS = ("hidden_size", "n_embd", "d_model")
POSITIONS_KEYS = ("max_position_embeddings", "n_positions")
HEADS_KEYS = ("num_attention_heads", "n_head", "num_heads")
LAYERS_KEYS = ("num_hidden_layers", "n_layer", "num_layers")
"""Names of the same number in the configurations of different families."""
_SMALL = Annotated[float, Field(ge=0)]
_SHARE = Annotated[float, Field(ge=0, le=1)]
_RANGES: dict[str, Any] = {
    **dict.fromkeys(("head_dim", *WIDTH_KEYS), (Channels, 1)),
    **dict.fromkeys(("intermediate_size", "n_inner"), (Hidden, 1)),
    **dict.fromkeys((*HEADS_KEYS, "num_key_value_heads"), (Heads, 1)),
    **dict.fromkeys(LAYERS_KEYS, (Annotated[int, Field(gt=0, le=MOST_LAYERS)], 1)),
    **dict.fromkeys(POSITIONS_KEYS, (PositiveInt, 1)),
    "vocab_size": (Annotated[int, Field(gt=0, le=MOST_TOKENS)], 1),
    "rope_theta": (PositiveFloat, 1),
    **dict.fromkeys(("initializer_range", "layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps"), (_SMALL, 0)),
    **dict.fromkeys(("attention_dropout", "attn_pdrop", "embd_pdrop", "hidden_dropout", "resid_pdrop"), (_SHARE, 0)),
}
"""Type and default by key, under the usual names; what is not there keeps its family's default."""
_Numbers = create_model("_Numbers", __config__=ConfigDict(strict=True, allow_inf_nan=False), **_RANGES)


def check_numbers(config: Mapping[str, Any]) -> None:
    """Check the numbers of a configuration. Lists, one number per layer, and None are left to transformers.

    A ValidationError has the key of each number out of its range; a ValueError says which is too large for anything.
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
