"""Llama's tokenizer from its SentencePiece file and the small files beside it, as Llama 2 and Vicuna publish them.

transformers converts such a file too, but needs the protobuf package for it.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sentencepiece
from transformers import LlamaTokenizer

from vlmkit.api import UserError, is_file, is_folder, refuse_pointers
from vlmkit.api.weights import read_mapping

__all__ = ["read_llama"]

_BESIDE = ("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json")
_CONFIG = "tokenizer_config.json"
_TEMPLATES = "additional_chat_templates"
_SAMPLES = ("Which way does it move? To the left.", "The clip shows 12345 men; two cats!")
"""Texts whose tokens tell pairs that are merged (BPE) from other kinds of model."""
_FORMS = ("two  spaces", "\u00bd \ufb01 \uff21", "a\tb\nc")
"""Texts that normal forms change."""


def read_llama(folder: Path, **options: Any) -> Any:
    """A fast tokenizer with the pieces of tokenizer.model and, as merges, every split of a piece into two others, best
    first. Its special and added tokens and its chat template are those of the folder.

    Raises:
        UserError: the file is damaged or no Llama's, or a token of the folder cannot have the id that it should have.
    """
    refuse_pointers(folder)
    file = folder / "tokenizer.model"
    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError) as error:
        raise UserError(f"{file}: not readable as a SentencePiece model: {error}") from error
    plain = _convert(model)
    _compare(model, plain, file)
    with TemporaryDirectory(prefix="vlmkit-") as name:
        copy = Path(name)
        plain.backend_tokenizer.save(str(copy / "tokenizer.json"))
        _copy_small_files(folder, copy)
        tokenizer = LlamaTokenizer.from_pretrained(copy, local_files_only=True, **options)
    tokenizer.name_or_path = tokenizer.init_kwargs["name_or_path"] = str(folder)
    _check_ids(folder, tokenizer)
    return tokenizer


def _convert(model: Any) -> Any:
    vocabulary = {model.id_to_piece(i): i for i in range(model.get_piece_size())}
    merges = []
    for piece, rank in vocabulary.items():
        if model.is_control(rank) or model.is_byte(rank) or model.is_unknown(rank):
            continue
        splits = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [split for split in splits if split[0] in vocabulary and split[1] in vocabulary]
        known.sort(key=lambda split: (vocabulary[split[0]], vocabulary[split[1]]))
        merges += [(-model.get_score(rank), split) for split in known]
    merges.sort(key=lambda merge: merge[0])
    return LlamaTokenizer(vocab=vocabulary, merges=[split for _, split in merges])


def _compare(model: Any, tokenizer: Any, file: Path) -> None:
    """Other families have SentencePiece files too, and other rules: their texts would become other tokens."""

    def same(text: str) -> bool:
        return bool(tokenizer.encode(text, add_special_tokens=False) == model.encode(text))

    remedy = (
        "a folder with a tokenizer.json keeps its own rules (transformers writes one: "
        "AutoTokenizer.from_pretrained(…).save_pretrained(…), with the package protobuf installed)"
    )
    if differ := [text for text in _SAMPLES if not same(text)]:
        raise UserError(
            f"{file}: expected Llama's kind of SentencePiece model (BPE), found another, for which {differ[0]!r} would "
            f"become wrong tokens; {remedy}"
        )
    if differ := [text for text in _FORMS if not same(text)]:
        warnings.warn(
            f"{file}: its normal forms are left out, as Llama has none: {', '.join(map(repr, differ))} become other "
            f"tokens than by its own rules; {remedy}",
            stacklevel=2,
        )


def _copy_small_files(folder: Path, copy: Path) -> None:
    for name in _BESIDE:
        if is_file(folder / name):
            shutil.copyfile(folder / name, copy / name)
    if is_folder(folder / _TEMPLATES):
        shutil.copytree(folder / _TEMPLATES, copy / _TEMPLATES)
    config = read_mapping(folder / _CONFIG) if is_file(folder / _CONFIG) else {}
    (copy / _CONFIG).write_text(json.dumps(config | {"tokenizer_class": "LlamaTokenizer"}), encoding="utf-8")


def _check_ids(folder: Path, tokenizer: Any) -> None:
    """Tokens are added behind the pieces one after the other, whatever id a file gives them."""
    wanted: dict[str, Any] = {}
    if is_file(folder / "added_tokens.json"):
        wanted |= read_mapping(folder / "added_tokens.json")
    config = read_mapping(folder / _CONFIG) if is_file(folder / _CONFIG) else {}
    for index, token in (config.get("added_tokens_decoder") or {}).items():
        wanted[token["content"]] = int(index)
    for token, index in wanted.items():
        found = tokenizer.convert_tokens_to_ids(token)
        if found != index or tokenizer.convert_ids_to_tokens(index) != token:
            raise UserError(
                f"{folder}: expected the token {token!r} as number {index} (added_tokens.json, {_CONFIG}), but it can "
                f"only be number {found}: added tokens follow the pieces of tokenizer.model without a gap"
            )
