"""Llama's tokenizer from its SentencePiece file alone, as Llama 2 and Vicuna publish it.

transformers converts such a file too, but needs the protobuf package for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sentencepiece
from transformers import LlamaTokenizer

from vlmkit.api import UserError

__all__ = ["read_llama"]


def read_llama(file: Path, **options: Any) -> Any:
    """A fast tokenizer with the pieces of `file` and, as merges, every split of a piece into two others, best first."""
    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError) as error:
        raise UserError(f"{file}: not readable as a SentencePiece model: {error}") from error
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
    return LlamaTokenizer(vocab=vocabulary, merges=[split for _, split in merges], **options)
