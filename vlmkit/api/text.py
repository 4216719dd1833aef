"""The text that an aligner reads besides the video: where it comes from, and its tokenizer. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vlmkit.api.spec import Spec

__all__ = ["TextInput", "TrainedWordPieces"]


class TrainedWordPieces(Spec):
    """A WordPiece tokenizer, in lower case, of the letters and words of a few texts, for models of random weights."""

    text: Annotated[tuple[str, ...], Field(min_length=1, max_length=10**6)]
    """The texts."""
    vocab_size: Annotated[int, Field(gt=5, le=10**6)] = 300
    """The most entries, special tokens included."""


class TextInput(Spec):
    """The text that an aligner reads. It decides the values of tokens, never their number."""

    source: Literal["question", "instruction", "fixed"] = "question"
    """`question`: the words of the turn in which `<video>` stands, without it and with line breaks removed. Where a
    conversation shows one video, each later question gets tokens of this video, too, made for that question.
    `instruction`: the words of the system, in training with the first question behind them (VideoChat2,
    arXiv:2311.17005); empty where there are none. `fixed`: `text`."""
    text: str = ""
    """With `fixed`: the text of every video."""
    tokenizer: str | TrainedWordPieces = "google-bert/bert-base-uncased"
    """A folder or hub id with a tokenizer.json, or what one is trained on. It is saved with the model."""
    length: Annotated[int, Field(gt=2, le=10**6)] = 256
    """The most tokens, special ones included; longer texts are cut."""
    truncation_side: Literal["left", "right"] = "left"
    """Where longer texts are cut."""
