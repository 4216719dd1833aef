"""Numbers of a transformers configuration that no language model works with; transformers takes many of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

__all__ = ["check_numbers", "first_wrong"]

_Share = Annotated[float, Field(ge=0, le=1)]


class _Numbers(BaseModel):
    """The usual names; what is not there keeps its family's default."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    d_model: PositiveInt = 1
    head_dim: PositiveInt = 1
    hidden_size: PositiveInt = 1
    intermediate_size: PositiveInt = 1
    max_position_embeddings: PositiveInt = 1
    n_embd: PositiveInt = 1
    n_head: PositiveInt = 1
    n_inner: PositiveInt = 1
    n_layer: PositiveInt = 1
    n_positions: PositiveInt = 1
    num_attention_heads: PositiveInt = 1
    num_heads: PositiveInt = 1
    num_hidden_layers: PositiveInt = 1
    num_key_value_heads: PositiveInt = 1
    num_layers: PositiveInt = 1
    vocab_size: PositiveInt = 1

    rope_theta: PositiveFloat = 1
    initializer_range: NonNegativeFloat = 0
    layer_norm_eps: NonNegativeFloat = 0
    layer_norm_epsilon: NonNegativeFloat = 0
    rms_norm_eps: NonNegativeFloat = 0

    attention_dropout: _Share = 0
    attn_pdrop: _Share = 0
    embd_pdrop: _Share = 0
    hidden_dropout: _Share = 0
    resid_pdrop: _Share = 0


def check_numbers(config: Mapping[str, Any]) -> None:
    """A ValidationError that has the key of each number that is out of its range. Lists, one number per layer, and
    None are between transformers and the family."""
    _Numbers.model_validate({key: value for key, value in config.items() if isinstance(value, int | float | str)})


def first_wrong(config: Mapping[str, Any]) -> str:
    """What `check_numbers` says of the first one, in a line; empty where there is none."""
    try:
        check_numbers(config)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{first['loc'][0]}: {first['msg']}, found {first['input']!r}"
    return ""
