"""The texts that an aligner reads: which they are, and their tokens, of a tokenizer that is saved with the model.

Shape letters: Q texts, L tokens of a text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from vlmkit.api.dataset import Turn
from vlmkit.api.tensors import TextBatch
from vlmkit.api.text import TextInput
from vlmkit.api.weights import locate
from vlmkit.errors import UserError
from vlmkit.guard import quiet_transformers, reading
from vlmkit.model.tokens import VIDEO

__all__ = ["make_text_batch", "place_in_messages", "place_in_turns", "read_words", "text_about"]

_PAD, _UNKNOWN, _BEGIN, _END = _SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_TAG = re.compile(rf"\s*{VIDEO}\s*")


def read_words(text: TextInput, offline: bool = False) -> str:
    """Return the aligner's tokenizer as the content of a tokenizer.json: read from its place, or trained.

    A UserError where it cannot be read.
    """
    if not isinstance(text.tokenizer, str):
        return _trained(text.tokenizer.text, text.tokenizer.vocab_size).to_str()
    where = f"model.aligner.text.tokenizer: no tokenizer can be read from {text.tokenizer} (a folder or hub id)"
    place = locate(text.tokenizer, "model.aligner.text.tokenizer: no tokenizer")
    options = {"local_files_only": offline or place.offline, "trust_remote_code": False}
    with reading(where, "correct the path or the file", folder=place.local), quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(place.name, **options)
        if not tokenizer.is_fast:
            raise UserError(f"{where}: expected one with a tokenizer.json")
        if tokenizer.pad_token_id is None:
            raise UserError(f"{where}: expected one with a token to pad with (`pad_token`)")
        backend = tokenizer.backend_tokenizer
        backend.enable_padding(pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
        return str(backend.to_str())


def _trained(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """Return a tokenizer whose pieces are the characters and words of texts, frequent words first. The trainer of
    `tokenizers` breaks ties by chance; this one gives the same ids every time."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    split = (splitter.pre_tokenize_str(normalizer.normalize_str(text)) for text in texts)
    words = Counter(word for found in split for word, _ in found)
    letters = sorted(set("".join(words)))
    pieces = (*_SPECIAL, *letters, *(f"##{letter}" for letter in letters), *sorted(words, key=lambda x: (-words[x], x)))
    vocabulary = {piece: index for index, piece in enumerate([*dict.fromkeys(pieces)][:vocab_size])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=_UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_BEGIN} $A {_END}", special_tokens=[(token, _SPECIAL.index(token)) for token in (_BEGIN, _END)]
    )
    tokenizer.enable_padding(pad_id=_SPECIAL.index(_PAD), pad_token=_PAD)
    return tokenizer


def make_text_batch(words: str, text: TextInput, texts: Sequence[str], video_of_text: Sequence[int]) -> TextBatch:
    """Return Q texts, padded to the longest of them.

    Args:
        words: the tokenizer, as `read_words` gives it.
        text: how long a text may be, and where it is cut.
        texts: Q of them.
        video_of_text: which video each is about.
    """
    encoded = _opened(words, text.length, text.truncation_side).encode_batch(list(texts))
    ids_QL = torch.tensor([each.ids for each in encoded])
    mask_QL = torch.tensor([each.attention_mask for each in encoded]).bool()
    return TextBatch(ids_QL, mask_QL, torch.tensor(video_of_text))


@lru_cache(maxsize=4)
def _opened(words: str, length: int, side: str) -> Tokenizer:
    tokenizer = Tokenizer.from_str(words)
    tokenizer.enable_truncation(length, direction=side)
    return tokenizer


def text_about(text: TextInput, user: str, system: str = "") -> str:
    """Return what an aligner reads for a `<video>` in the words of a user, after those of the system."""
    if text.source == "fixed":
        return text.text
    said = _TAG.sub(" ", user) if text.source == "question" else system
    return " ".join(said.split())


def _ask_every_turn(text: TextInput, users: Sequence[str], videos: int) -> list[str]:
    """Return the words of a user in all turns, with a `<video>` before each question for which there are tokens."""
    if text.source != "question" or videos != 1:
        return list(users)
    first = next((number for number, user in enumerate(users) if VIDEO in user), len(users))
    return [f"{VIDEO}\n{user}" if number > first and VIDEO not in user else user for number, user in enumerate(users)]


def place_in_turns(
    text: TextInput, turns: Sequence[Turn], videos: int, system: str = ""
) -> tuple[list[Turn], list[str]]:
    """Return the turns with a `<video>` for each block of tokens, and what the aligner reads for each of these, in
    training.

    With `source: question` and a single video there is a block for each question from the one on that shows it.
    """
    users = _ask_every_turn(text, [turn.user for turn in turns], videos)
    instruction = f"{system} {_TAG.sub(' ', users[0])}" if system else ""
    texts = [text_about(text, user, instruction) for user in users for _ in range(user.count(VIDEO))]
    return [Turn(user, turn.assistant) for user, turn in zip(users, turns, strict=True)], texts


def place_in_messages(
    text: TextInput, messages: Sequence[Mapping[str, Any]], videos: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the same of messages `{role: …, content: …}` whose contents are texts."""
    is_user = [message.get("role") == "user" for message in messages]
    system = next((str(each.get("content") or "") for each in messages if each.get("role") == "system"), "")
    said = [str(each.get("content") or "") for each, asks in zip(messages, is_user, strict=True) if asks]
    users = iter(_ask_every_turn(text, said, videos))
    placed = [
        {**message, "content": next(users)} if asks else dict(message)
        for message, asks in zip(messages, is_user, strict=True)
    ]
    contents = [str(each.get("content") or "") for each in placed]
    return placed, [text_about(text, each, system) for each in contents for _ in range(each.count(VIDEO))]
