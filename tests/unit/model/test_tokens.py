"""What tokenizer, chat template and embedding table must have together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedTokenizerFast

from vlmkit.errors import Unavailable, UserError
from vlmkit.model import compose
from vlmkit.model.tokens import check_rows, check_tokenizer
from vlmkit_backbones.spec import HfCausalLmSpec

TURNS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def give(monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> None:
    """The tiny model gets this tokenizer, or this error."""

    def load(self: Any, offline: bool = False) -> Any:
        if isinstance(tokenizer, Exception):
            raise tokenizer
        return tokenizer

    monkeypatch.setattr(HfCausalLmSpec, "load_tokenizer", load)


@pytest.fixture
def tokenizer(make_spec: Any) -> Any:
    return make_spec().backbone.load_tokenizer()


@pytest.mark.parametrize("name", ["eos_token", "pad_token", "video_token"])
@pytest.mark.parametrize("meta", [True, False])
def test_a_token_that_every_conversation_needs(
    make_spec: Any, tokenizer: Any, name: str, meta: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer._special_tokens_map.pop(name)
    give(monkeypatch, tokenizer)
    with pytest.raises(UserError, match=rf"model\.backbone: the tokenizer has no {name}: expected .*; name it in its"):
        compose(make_spec(config={"vocab_size": 300}), meta=meta)


@pytest.mark.parametrize("meta", [True, False])
def test_tokens_that_the_template_writes_and_the_table_lacks(
    make_spec: Any, tokenizer: Any, meta: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = len(tokenizer)
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    give(monkeypatch, tokenizer)
    compose(make_spec(config={"vocab_size": rows}), meta=meta)  # its template writes none of them
    tokenizer.chat_template = TURNS
    said = (
        rf"model\.backbone: every conversation holds '<\|im_start\|>' \({rows}\), '<\|im_end\|>' \({rows + 1}\), but "
        rf"the language model's table has {rows} rows, for the tokens 0 to {rows - 1}; give another chat_template"
    )
    with pytest.raises(UserError, match=said):
        compose(make_spec(config={"vocab_size": rows}), meta=meta)
    compose(make_spec(config={"vocab_size": rows + 2}), meta=meta)


@pytest.mark.parametrize("name", ["eos_token", "pad_token"])
def test_an_end_or_padding_that_the_table_lacks(tokenizer: Any, name: str) -> None:
    rows = len(tokenizer)
    check_rows(tokenizer, nn.Embedding(rows, 1), "here")
    tokenizer.add_special_tokens({name: "<new>"})
    with pytest.raises(UserError, match=rf"here: every conversation holds '<new>' \({rows}\), but"):
        check_rows(tokenizer, nn.Embedding(rows, 1), "here")
    check_tokenizer(tokenizer, "here")


def test_the_placeholder_needs_no_row(tokenizer: Any) -> None:
    tokenizer.add_special_tokens({"extra_special_tokens": ["<clip>"]})
    tokenizer.video_token = "<clip>"
    check_rows(tokenizer, nn.Embedding(tokenizer.vocab_size, 1), "here")


def test_only_what_is_not_here_is_done_without(make_spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(config={"vocab_size": 300})
    give(monkeypatch, Unavailable("not in the cache"))
    assert compose(spec, meta=True)[1].tokenizer is None
    with pytest.raises(UserError, match="not in the cache"):
        compose(spec)
    give(monkeypatch, UserError("damaged"))
    with pytest.raises(UserError, match="damaged"):
        compose(spec, meta=True)


def test_numbers_of_tokens_with_gaps(tokenizer: Any) -> None:
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["model"]["vocab"] = {piece: index + (index > 100) * 9 for piece, index in content["model"]["vocab"].items()}
    gapped = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)),
        chat_template=tokenizer.chat_template,
        extra_special_tokens={"video_token": "<video>"},
        eos_token="</s>",
        pad_token="<pad>",
    )
    rows = len(tokenizer)
    with pytest.raises(
        UserError, match=f"here: the tokenizer has {rows + 9} tokens, the language model's table {rows} rows"
    ):
        check_rows(gapped, nn.Embedding(rows, 1), "here")
    check_rows(gapped, nn.Embedding(rows + 9, 1), "here")
