"""The tokenizer: found, converted or trained, then given a chat template, a pad token and `<video>`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from vlmkit.api import Unavailable, UserError, is_file, is_folder, quiet_transformers, reading
from vlmkit.api.chat_template import check_prompt
from vlmkit.api.weights import locate, read_mapping
from vlmkit_backbones.spec import TrainedTokenizer
from vlmkit_backbones.templates import TEMPLATES

if TYPE_CHECKING:
    from pathlib import Path

    from vlmkit.api.weights import Place
    from vlmkit_backbones.spec import HfCausalLmSpec

__all__ = ["load_tokenizer"]

_NAMED = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
_VIDEO = {"video_token": "<video>"}
_JINJA = re.compile(r"\{[%{#].*?[%}#]\}", re.DOTALL)
_PARTS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Each a JSON object, where it is there."""


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
    else:
        try:
            check_prompt(tokenizer.chat_template, tokenizer.special_tokens_map)
        except ValueError as error:
            raise UserError(f"model.backbone.chat_template: the tokenizer's own: {error}") from None
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
    with reading("model.backbone.tokenizer: none can be trained on the given text", "correct `text`"):
        tokenizer.train_from_iterator([*texts, *(f" {text}" for text in texts)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, extra_special_tokens=_VIDEO, clean_up_tokenization_spaces=False, **_NAMED
    )


def _read(source: str, offline: bool) -> Any:
    """The tokenizer at a path or hub id. `<video>` gets the next free id; padding is the unknown token, as in LLaVA."""
    where = (
        f"model.backbone.tokenizer: no tokenizer can be read from {source} (a folder with a tokenizer.json or "
        "tokenizer.model, or a hub id that is cached or reachable)"
    )
    place = locate(source, "model.backbone.tokenizer: no tokenizer")
    with reading(where, "correct the path or the file", folder=place.local), quiet_transformers():
        if place.local is not None:
            _check_parts(place.local)
        tokenizer = _open(place, offline, where)
        if not isinstance(tokenizer, PreTrainedTokenizerBase) or not tokenizer.is_fast:
            raise UserError(f"model.backbone.tokenizer: expected a fast tokenizer (tokenizer.json) at {source}")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
        tokenizer("a <video> b", return_offsets_mapping=True)  # what a damaged file breaks only in use
    return tokenizer


def _check_parts(folder: Path) -> None:
    if not is_folder(folder):
        raise UserError(f"model.backbone.tokenizer: expected a folder, found the file {folder}; give its folder")
    for name in _PARTS:
        if is_file(folder / name):
            read_mapping(folder / name)


def _open(place: Place, offline: bool, where: str) -> Any:
    folder = place.local
    if folder is not None and is_file(folder / "tokenizer.model") and not is_file(folder / "tokenizer.json"):
        from vlmkit_backbones._sentencepiece import read_llama

        return read_llama(folder, extra_special_tokens=_VIDEO)
    options = {"local_files_only": offline or place.offline, "trust_remote_code": False}
    try:
        return AutoTokenizer.from_pretrained(place.name, extra_special_tokens=_VIDEO, **options)
    except OSError as error:
        if folder is not None:
            raise
        raise Unavailable(f"{where}: {next(iter(str(error).splitlines()), '')}") from error
