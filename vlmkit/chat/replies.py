"""The texts of a batch while they are generated: handed out piece by piece, each ended by its own limits.

Shape letters: B rows of a batch, S positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import StoppingCriteria
from transformers.generation.streamers import BaseStreamer

__all__ = ["FinishReason", "ReplyText", "RowLimits", "StopRows"]

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class RowLimits:
    """When one row of a batch ends, besides at an end token."""

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    """Texts before which it ends."""


@dataclass
class ReplyText:
    """The text of one row so far."""

    limits: RowLimits
    ids: list[int] = field(default_factory=list)
    """Generated tokens, the end token included."""
    text: str = ""
    """What they say, without blanks around it and without what a stop text ends."""
    given: str = ""
    """What of it was handed out already."""
    ended: FinishReason | None = None


class StopRows(StoppingCriteria, BaseStreamer):
    """Follows a batch in `generate`: as its streamer it hears of each token, as a stopping criterion it ends rows.

    Pieces that are handed out, put together, are the text of the row. What a later token may still change is held
    back: blanks at the end, half of a character, and the beginning of a stop text.
    """

    def __init__(
        self,
        tokenizer: Any,
        eos_token_ids: Sequence[int],
        limits: Sequence[RowLimits],
        on_text: Callable[[int, str], None] | None = None,
        cancelled: Callable[[int], bool] | None = None,
        on_end: Callable[[int, ReplyText], None] | None = None,
    ) -> None:
        """Take what the functions of `ChatModel.reply` are given; `on_end` is given each row once, when it ends."""
        self.rows = [ReplyText(each) for each in limits]
        self._tokenizer, self._ends = tokenizer, frozenset(eos_token_ids)
        self._on_text, self._cancelled, self._on_end = on_text, cancelled, on_end
        self._prompted = False

    def put(self, value: Tensor) -> None:
        """Hear of the prompt, (B, S), which comes first, and then of the next tokens, (B,)."""
        if not self._prompted:
            self._prompted = True
            return
        for number, (row, token) in enumerate(zip(self.rows, value.reshape(-1).tolist(), strict=True)):
            if row.ended is None:
                row.ids.append(token)
                self._read(row)
                if self._cancelled is not None and row.ended is None and self._cancelled(number):
                    row.ended = "cancelled"
                self._hand_out(number, row)
                if row.ended is not None and self._on_end is not None:
                    self._on_end(number, row)

    def end(self) -> None:
        """Hear that no more tokens come."""
        for number, row in enumerate(self.rows):
            if row.ended is None:
                row.ended = "stop"
                self._hand_out(number, row)
                if self._on_end is not None:
                    self._on_end(number, row)

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        """Return (B,) bool: which rows have ended."""
        return torch.tensor([row.ended is not None for row in self.rows], device=input_ids.device)

    def _read(self, row: ReplyText) -> None:
        row.text = self._tokenizer.decode(row.ids, skip_special_tokens=True).strip()
        found = min((place for stop in row.limits.stop if (place := row.text.find(stop)) >= 0), default=-1)
        if found >= 0:
            row.text, row.ended = row.text[:found].rstrip(), "stop"
        elif row.ids[-1] in self._ends:
            row.ended = "stop"
        elif len(row.ids) >= row.limits.max_new_tokens:
            row.ended = "length"

    def _hand_out(self, number: int, row: ReplyText) -> None:
        """Hand out what is new and settled; all of it once the row has ended."""
        settled = row.text if row.ended else _settled(row.text, row.limits.stop)
        if self._on_text is not None and len(settled) > len(row.given) and settled.startswith(row.given):
            self._on_text(number, settled[len(row.given) :])
            row.given = settled


def _settled(text: str, stops: Sequence[str]) -> str:
    """Return a text without an end that is half a character, or may become one of the `stops`."""
    text = text.rstrip("\N{REPLACEMENT CHARACTER}")
    begun = (length for stop in stops for length in range(1, len(stop)) if text.endswith(stop[:length]))
    return text[: len(text) - max(begun, default=0)].rstrip()
