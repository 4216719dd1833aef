"""The tokenizer: read, converted or trained, then given a chat template, a pad token and `<video>`.

Llama's is converted from its SentencePiece file and the small files beside it, as Llama 2 and Vicuna publish them;
transformers converts such a file too, but needs the protobuf package for it.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from vlmkit.api import Unavailable, UserError, is_file, is_folder, quiet_transformers, reading, refuse_pointers
from vlmkit.api.chat_template import check_prompt
from vlmkit.api.weights import locate, read_mapping
from vlmkit_backbones._options import CHAT_TEMPLATES

if TYPE_CHECKING:
    from vlmkit.api.weights import Place
    from vlmkit_backbones.spec import HfCausalLmSpec, TrainedTokenizer

__all__ = ["load_tokenizer"]

_NAMED = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
_VIDEO = {"video_token": "<video>"}
_JINJA = re.compile(r"\{[%{#].*?[%}#]\}", re.DOTALL)
_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Each a JSON object, where it is there."""
_BESIDE = ("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json")
_CONFIG = "tokenizer_config.json"
_TEMPLATES = "additional_chat_templates"
_SAMPLES = ("Which way does it move? To the left.", "The clip shows 12345 men; two cats!")
"""Texts whose tokens tell pairs that are merged (BPE) from other kinds of model."""
_FORMS = ("two  spaces", "\u00bd \ufb01 \uff21", "a\tb\nc")
"""Texts that normal forms change."""


def load_tokenizer(spec: HfCausalLmSpec, offline: bool = False) -> PreTrainedTokenizerBase:
    """Return the tokenizer that the spec describes."""
    template = CHAT_TEMPLATES.get(spec.chat_template, spec.chat_template)
    if spec.tokenizer is None or isinstance(spec.tokenizer, str):
        tokenizer = _read(str(spec.tokenizer or spec.path), offline)
    else:
        tokenizer = _train(spec.tokenizer, _JINJA.sub(" ", template))
    if spec.chat_template != "tokenizer":
        tokenizer.chat_template = template
    elif not tokenizer.chat_template:
        raise UserError(
            "model.backbone.chat_template: the tokenizer has no chat template of its own; "
            f"give one of {', '.join(sorted(CHAT_TEMPLATES))}, or a Jinja template"
        )
    else:
        try:
            check_prompt(tokenizer.chat_template, tokenizer.special_tokens_map)
        except ValueError as error:
            raise UserError(f"model.backbone.chat_template: the tokenizer's own: {error}") from None
    return tokenizer


def _train(options: TrainedTokenizer, template: str) -> Any:
    """Train one. Words are learned with and without the space before them."""
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
    """Read a path or hub id. `<video>` gets the next free id; padding is the unknown token, as in LLaVA."""
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
    for name in _FILES:
        _mapping_in(folder, name)


def _mapping_in(folder: Path, name: str) -> dict[str, Any]:
    """Return the content of a JSON file; empty where there is none."""
    return read_mapping(folder / name) if is_file(folder / name) else {}


def _open(place: Place, offline: bool, where: str) -> Any:
    folder = place.local
    if folder is not None and is_file(folder / "tokenizer.model") and not is_file(folder / "tokenizer.json"):
        return _read_llama(folder, extra_special_tokens=_VIDEO)
    options = {"local_files_only": offline or place.offline, "trust_remote_code": False}
    try:
        return AutoTokenizer.from_pretrained(place.name, extra_special_tokens=_VIDEO, **options)
    except OSError as error:
        if folder is not None:
            raise
        raise Unavailable(f"{where}: {next(iter(str(error).splitlines()), '')}") from error


def _read_llama(folder: Path, **options: Any) -> Any:
    """Return a fast tokenizer with the pieces of tokenizer.model, and special tokens and chat template of the folder.

    A UserError where the file is damaged or no Llama's, or a token of the folder cannot have the id it should have.
    """
    import sentencepiece

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
    """Return Llama's tokenizer with the pieces of a model; merges are all splits of a piece in two, best first."""
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
    """Refuse families whose SentencePiece files have other rules: their texts would become other tokens."""

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
    config = _mapping_in(folder, _CONFIG)
    (copy / _CONFIG).write_text(json.dumps(config | {"tokenizer_class": "LlamaTokenizer"}), encoding="utf-8")


def _check_ids(folder: Path, tokenizer: Any) -> None:
    """Refuse ids with gaps: tokens are added behind the pieces one after the other, whatever id a file gives them."""
    wanted = _mapping_in(folder, "added_tokens.json")
    for index, token in (_mapping_in(folder, _CONFIG).get("added_tokens_decoder") or {}).items():
        wanted[token["content"]] = int(index)
    for token, index in wanted.items():
        found = tokenizer.convert_tokens_to_ids(token)
        if found != index or tokenizer.convert_ids_to_tokens(index) != token:
            raise UserError(
                f"{folder}: expected the token {token!r} as number {index} (added_tokens.json, {_CONFIG}), but it can "
                f"only be number {found}: added tokens follow the pieces of tokenizer.model without a gap"
            )
