"""Numbers of a transformers configuration that no language model works with; transformers takes many of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from vlmkit.api import shown
from vlmkit.api.bounds import MOST_LAYERS, MOST_TOKENS, Channels, Heads, Hidden, first_too_large

__all__ = ["check_numbers", "first_wrong"]

_Layers = Annotated[int, Field(gt=0, le=MOST_LAYERS)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Tokens = Annotated[int, Field(gt=0, le=MOST_TOKENS)]


class _Numbers(BaseModel):
    """The usual names; what is not there keeps its family's default."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    d_model: Channels = 1
    head_dim: Channels = 1
    hidden_size: Channels = 1
    intermediate_size: Hidden = 1
    max_position_embeddings: PositiveInt = 1
    n_embd: Channels = 1
    n_head: Heads = 1
    n_inner: Hidden = 1
    n_layer: _Layers = 1
    n_positions: PositiveInt = 1
    num_attention_heads: Heads = 1
    num_heads: Heads = 1
    num_hidden_layers: _Layers = 1
    num_key_value_heads: Heads = 1
    num_layers: _Layers = 1
    vocab_size: _Tokens = 1

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
    """Raise a ValidationError that has the key of each number out of its range, or a ValueError for one that only its
    size rules out. Lists, one number per layer, and None are between transformers and the family."""
    _Numbers.model_validate({key: value for key, value in config.items() if isinstance(value, int | float | str)})
    if wrong := first_too_large(config):
        raise ValueError(wrong)


def first_wrong(config: Mapping[str, Any]) -> str:
    """Return what `check_numbers` says of the first one, in a line; empty where there is none."""
    try:
        check_numbers(config)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{first['loc'][0]}: {first['msg']}, found {shown(first['input'])}"
    except ValueError as error:
        return str(error)
    return ""
