"""The kind `backbone`: the language model, its tokenizer and its chat template."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vlmkit.api.contract import ContractError, Promise, Promises, check_int, check_optional_int, check_type, type_name
from vlmkit.api.spec import ComponentSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["BackboneSpec"]


def _same(spec: object, answer: object, *_: object) -> Any:
    return check_type(answer, type(spec))


def _language_model(spec: BackboneSpec, answer: Any) -> Any:
    from torch import nn

    model: Any = answer
    if not isinstance(answer, nn.Module) or not hasattr(answer, "get_input_embeddings"):
        wanted = "a causal language model of transformers (PreTrainedModel)"
        raise ContractError(f"gives {type_name(answer)}, expected {wanted}")
    width = model.get_input_embeddings().weight.shape[1]
    if width != spec.width:
        found = f"a model with embeddings of {width} channels"
        raise ContractError(f"gives {found}, expected {spec.width}, as its `width` says")
    return answer


def _tokenizer(spec: object, answer: Any, *_: object, **__: object) -> Any:
    from transformers import PreTrainedTokenizerBase

    if not isinstance(answer, PreTrainedTokenizerBase):
        raise ContractError(f"gives {type_name(answer)}, expected a tokenizer of transformers")
    if not answer.is_fast:
        raise ContractError("gives a slow tokenizer, expected a fast one: it must say where in the text a token stands")
    return answer


class BackboneSpec(ComponentSpec):
    """Options of a backbone.

    The module is a causal language model with transformers' interface: `get_input_embeddings()`, and a forward that
    takes `inputs_embeds`, `attention_mask`, `position_ids`, `past_key_values`, `use_cache`, `output_hidden_states` and
    returns `logits`, `hidden_states` (embeddings first, the last one after the final norm) and `past_key_values`.
    """

    kind: ClassVar[str] = "backbone"
    _promises: ClassVar[Promises] = {
        "width": Promise(check_int, refuses=True),
        "layers": Promise(check_int, refuses=True),
        "positions": Promise(check_optional_int),
        "attention_matrices": Promise(partial(check_int, least=0)),
        "self_contained": Promise(_same),
        "with_tokenizer": Promise(_same),
        "build": Promise(_language_model),
        "load": Promise(_language_model),
        "load_tokenizer": Promise(_tokenizer),
    }

    @property
    @abstractmethod
    def width(self) -> int:
        """D: channels of its embeddings. Known without torch."""

    @property
    @abstractmethod
    def layers(self) -> int:
        """L: number of its layers (L + 1 hidden states). Known without torch."""

    @property
    def positions(self) -> int | None:
        """P: longest sequence that its positions are made for; None where that is not known without torch."""
        return None

    @property
    def attention_matrices(self) -> int:
        """Matrices (S, S) per sequence and layer that attention keeps for the backward pass; 0 with a fused kernel."""
        return 0

    def self_contained(self) -> Self:
        """The same options with all that `build` would read from elsewhere written into them: a checkpoint keeps them.

        A UserError where that cannot be read.
        """
        return self

    def with_tokenizer(self, source: str) -> Self:
        """The same options with the tokenizer at `source`, a folder or hub id; unchanged where it reads none."""
        return self

    @abstractmethod
    def build(self) -> PreTrainedModel:
        """The module with fresh weights. Used on the meta device and to take a checkpoint's weights."""

    @abstractmethod
    def load(self) -> PreTrainedModel:
        """The module with the weights that the spec names, or fresh ones where it says so."""

    @abstractmethod
    def load_tokenizer(self, offline: bool = False) -> PreTrainedTokenizerBase:
        """A fast tokenizer with a chat template, a pad token and the extra token `<video>` (its `video_token`).

        A UserError where it cannot be read: an `Unavailable` where it is not on this machine. With `offline` no network
        is asked for it.
        """
