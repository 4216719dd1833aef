"""Whether weights of one language model mean the same in another one: options that no shape of a weight shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["differences"]

_MATTERS = (
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "rope_theta",
    "tie_word_embeddings",
    "vocab_size",
)
"""Keys of a language model's configuration that change what its weights compute."""


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between two configurations as transformers writes them: of a checkpoint, and of the spec's model.

    A key that one of them lacks is not compared.
    """
    pairs = ((key, _value(there, key), _value(here, key)) for key in _MATTERS)
    return [
        f"{key} is {found!r} there and {wanted!r} in the spec"
        for key, found, wanted in pairs
        if found is not None and wanted is not None and found != wanted
    ]


def _value(config: Mapping[str, Any], key: str) -> Any:
    """Older files have the base of rotary positions at the top."""
    value, rope = config.get(key), config.get("rope_parameters")
    return rope.get(key) if value is None and isinstance(rope, Mapping) else value
