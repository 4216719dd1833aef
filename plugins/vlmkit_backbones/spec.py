"""Options of `hf-causal-lm`. Light: a folder's config.json is read as JSON, without transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from vlmkit.api import BackboneSpec, Spec, did_you_mean, expand_path, is_file, shown
from vlmkit.api.chat_template import check_learnable
from vlmkit.api.weights import read_mapping
from vlmkit_backbones import _options
from vlmkit_backbones._options import CHAT_TEMPLATES, CODE_KEY, check_numbers, kernel_problem, number_problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["HfCausalLmSpec", "TrainedTokenizer"]


class TrainedTokenizer(Spec):
    """A small byte-level BPE tokenizer, trained on text that the spec itself gives. Every text can be encoded."""

    text: list[str] = Field(min_length=1)
    """Texts from which it learns its words, together with the words of the chat template."""
    vocab_size: int = Field(default=1024, ge=260, le=2**20)
    """At most so many tokens, the 256 bytes and the 4 special ones included; frequent words become one token first."""


def _trained(value: object) -> object:
    """A mapping can only mean a tokenizer to train: mistakes in it are reported as such, not as a wrong path."""
    return TrainedTokenizer.model_validate(value) if isinstance(value, Mapping) else value


class HfCausalLmSpec(BackboneSpec):
    """Any decoder language model of transformers, from a folder, from the hub, or built from a config."""

    type: Literal["hf-causal-lm"] = "hf-causal-lm"
    path: str | None = None
    """Folder or hub id of weights, config and tokenizer."""
    config: dict[str, Any] | None = None
    """transformers' configuration, with `model_type`. Beside a `path` it is what is known without reading anything, and
    has to agree with the config.json there. Without `vocab_size` the vocabulary is as large as the tokenizer's."""
    init: Literal["pretrained", "random"] = "pretrained"
    """Weights from `path`, or drawn."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights."""
    attn_implementation: Literal["sdpa", "eager"] | None = None
    """transformers' kernel of the attention; None: its own choice, `sdpa` where the family has it. `eager` keeps the
    attention matrices of every layer for the backward pass; on a CPU in bfloat16 it trains short sequences faster."""
    tokenizer: Annotated[str | TrainedTokenizer | None, BeforeValidator(_trained)] = None
    """Folder or hub id of a tokenizer, or one that is trained on given text; None: the one at `path`."""
    chat_template: str = "vicuna-v1"
    """`vicuna-v1`, `videopanda-v1`, `plain`, `tokenizer` (the tokenizer's own), or a Jinja template."""

    @classmethod
    def tiny(cls) -> Self:
        """Return a Llama of two layers of 32 channels, with a tokenizer trained on a few words."""
        config = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
        tokenizer = {"text": ["which way does it move"], "vocab_size": 300}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
        return cls.model_validate({"init": "random", "config": config | heads, "tokenizer": tokenizer})

    @field_validator("chat_template")
    @classmethod
    def _usable(cls, template: str) -> str:
        names = ["tokenizer", *CHAT_TEMPLATES]
        if template in names:
            return template
        if "{{" not in template and "{%" not in template:
            raise ValueError(
                f"expected one of {', '.join(sorted(names))}, or a Jinja template; {did_you_mean(template, names)}"
                f"found {shown(template)}, which has neither {{{{ nor {{% in it"
            )
        check_learnable(template)
        return template

    @field_validator("config")
    @classmethod
    def _possible(cls, config: dict[str, Any] | None) -> dict[str, Any] | None:
        if config and "attn_implementation" in config:
            raise ValueError("attn_implementation is no part of it: give that as model.backbone.attn_implementation")
        if config and CODE_KEY in config:
            raise ValueError(f"{CODE_KEY} names Python code, and none of a model's is run: remove it")
        if problem := kernel_problem(config or {}):
            raise ValueError(problem)
        check_numbers(config or {})
        return config

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.init == "pretrained" and self.path is None:
            raise ValueError("give the `path` of the weights, or `init: random` and a `config`")
        if self.init == "random" and self.config is None and self.path is None:
            raise ValueError("with `init: random` give a `config`, e.g. {model_type: llama, hidden_size: 128, …}")
        if self.config is not None and not isinstance(self.config.get("model_type"), str):
            raise ValueError("`config` has no `model_type`: name the family of the model, e.g. llama")
        if self.tokenizer is None and self.path is None:
            raise ValueError("give a `tokenizer`: a folder, a hub id, or {text: [...], vocab_size: …}")
        _ = self.attention_matrices
        return self

    @property
    def width(self) -> int:
        """D: channels of the embeddings."""
        return self._from_config("width", _options.WIDTH_KEYS)

    @property
    def layers(self) -> int:
        """L: number of layers."""
        return self._from_config("number of layers", _options.LAYERS_KEYS)

    @property
    def positions(self) -> int | None:
        """P: longest sequence that its positions are made for; None where the configuration does not say."""
        return self._find(_options.POSITIONS_KEYS)

    @property
    def attention_matrices(self) -> int:
        """The heads, where `eager` attention keeps a matrix for each."""
        return (
            self._from_config("number of attention heads", _options.HEADS_KEYS)
            if self.attn_implementation == "eager"
            else 0
        )

    def _find(self, names: tuple[str, ...]) -> int | None:
        config = self.config if self.config is not None else self._read_config()
        return next((value for name in names if isinstance(value := config.get(name), int)), None)

    def _from_config(self, what: str, names: tuple[str, ...]) -> int:
        if (value := self._find(names)) is not None:
            return value
        where = "`config`" if self.config is not None else f"{self.path}/config.json"
        raise ValueError(f"{where} does not say the {what}: expected a number as {' or '.join(names)}")

    def _read_config(self) -> dict[str, Any]:
        file = expand_path(self.path or "") / "config.json"
        if not is_file(file):
            raise ValueError(
                f"{shown(self.path, 400)} is no folder with a config.json here, and a hub id is not read for this: "
                "add the model's configuration as `config:`, or download it and give its folder as `path`"
            )
        config = read_mapping(file)
        if problem := number_problem(config):
            raise ValueError(f"{file}: {problem}")
        return config

    def self_contained(self) -> Self:
        """Return a copy with the whole `config`."""
        from vlmkit_backbones._module import full_config

        return self.model_copy(update={"config": full_config(self)})

    def with_tokenizer(self, source: str) -> Self:
        """Return a copy with `tokenizer` set to `source`."""
        return self.model_copy(update={"tokenizer": source})

    def build(self) -> PreTrainedModel:
        """Return the model with drawn weights, by transformers' own initialization."""
        from vlmkit_backbones._module import build

        return build(self)

    def load(self) -> PreTrainedModel:
        """Return the model with the weights at `path`, or drawn ones with `init: random`."""
        from vlmkit_backbones._module import build, load

        return build(self) if self.init == "random" else load(self)

    def load_tokenizer(self, offline: bool = False) -> PreTrainedTokenizerBase:
        """Return the tokenizer with chat template, pad token and `<video>`; with `offline` from this machine only."""
        from vlmkit_backbones._tokenizer import load_tokenizer

        return load_tokenizer(self, offline)
