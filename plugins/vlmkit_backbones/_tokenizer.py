"""The tokenizer: found, converted or trained, then given a chat template, a pad token and `<video>`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from vlmkit.api import UserError, is_file
from vlmkit_backbones._model import first_line
from vlmkit_backbones.spec import TrainedTokenizer
from vlmkit_backbones.templates import TEMPLATES

if TYPE_CHECKING:
    from vlmkit_backbones.spec import HfCausalLmSpec

__all__ = ["load_tokenizer"]

_NAMED = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
_VIDEO = {"video_token": "<video>"}
_JINJA = re.compile(r"\{[%{#].*?[%}#]\}", re.DOTALL)


def load_tokenizer(spec: HfCausalLmSpec, offline: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer that the spec describes."""
    template = TEMPLATES.get(spec.chat_template, spec.chat_template)
    if isinstance(spec.tokenizer, TrainedTokenizer):
        tokenizer = _train(spec.tokenizer, _JINJA.sub(" ", template))
    else:
        tokenizer = _read(str(spec.tokenizer or spec.path), offline)
    if spec.chat_template != "tokenizer":
        tokenizer.chat_template = template
    elif not tokenizer.chat_template:
        raise UserError(
            "model.backbone.chat_template: the tokenizer has no chat template of its own; "
            f"give one of {', '.join(sorted(TEMPLATES))}, or a Jinja template"
        )
    return tokenizer


def _train(options: TrainedTokenizer, template: str) -> Any:
    """Words are learnt with and without the space before them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocab_size,
        special_tokens=[*_NAMED.values(), *_VIDEO.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [*options.text, template]
    tokenizer.train_from_iterator([*texts, *(f" {text}" for text in texts)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, extra_special_tokens=_VIDEO, clean_up_tokenization_spaces=False, **_NAMED
    )


def _read(source: str, offline: bool) -> Any:
    """The tokenizer at a path or hub id. `<video>` gets the next free id; padding is the unknown token, as in LLaVA."""
    folder = Path(source)
    if is_file(folder / "tokenizer.model") and not is_file(folder / "tokenizer.json"):
        from vlmkit_backbones._sentencepiece import read_llama

        tokenizer = read_llama(folder / "tokenizer.model", extra_special_tokens=_VIDEO)
    else:
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, extra_special_tokens=_VIDEO, local_files_only=offline)
        except (OSError, ValueError) as error:
            raise UserError(
                f"model.backbone.tokenizer: no tokenizer can be read from {source} (a folder with a tokenizer.json or "
                f"tokenizer.model, or a hub id that is cached or reachable): {first_line(error)}"
            ) from error
    if not tokenizer.is_fast:
        raise UserError(f"model.backbone.tokenizer: expected a fast tokenizer (tokenizer.json) at {source}")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer
