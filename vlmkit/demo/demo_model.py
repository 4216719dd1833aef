"""A model of the demo page: it looks at each video once, and gives its answers piece by piece."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from vlmkit.chat.chat_model import ChatModel, ChatRequest, Reply
from vlmkit.chat.conversation import ChatTurns

if TYPE_CHECKING:
    from vlmkit.data import FittedVideo
    from vlmkit.evaluation.answer_model import EncodedVideo

__all__ = ["DemoModel", "GrowingAnswer", "Watched"]

_KEPT = 8
"""Videos that stay encoded, whoever asks about them."""

_TICK = 0.25
"""Seconds after which an answer is shown again though nothing was added to it."""


@dataclass(frozen=True)
class Watched:
    """One video as a model has seen it."""

    fitted: FittedVideo
    encoded: EncodedVideo
    tokens: int
    """That the video has for the language model."""
    seconds: float
    """How long decoding and encoding took."""


@dataclass(frozen=True)
class GrowingAnswer:
    """An answer, or as much of it as there is."""

    text: str
    seconds: float
    """Since the question was put."""
    reply: Reply | None = None
    """The whole of it, once it is there."""
    forgotten: int = 0
    """How many of the first turns the model did not get any more, for want of positions."""


class DemoModel:
    """One model with the videos that it has seen last."""

    def __init__(self, model: ChatModel, max_new_tokens: int) -> None:
        self.chat = model
        self.name = model.name
        self.max_new_tokens = max_new_tokens
        self.ending = Event()
        """Set to end the answer that is being given."""
        self._busy = Lock()
        self._seen: OrderedDict[str, Watched] = OrderedDict()

    def watch(self, file: str) -> Watched:
        """Return the video or picture in a file, decoded and encoded only the first time. Its name tells its content.

        A UserError where it is neither.
        """
        if file in self._seen:
            self._seen.move_to_end(file)
            return self._seen[file]
        start = time.perf_counter()
        with self._busy:
            fitted = self.chat.look(Path(file))
            encoded = self.chat.encode(fitted)
        tokens = self.chat.processor.aligner.layout(fitted.shape).tokens
        self._seen[file] = Watched(fitted, encoded, tokens, time.perf_counter() - start)
        if len(self._seen) > _KEPT:
            self._seen.popitem(last=False)
        return self._seen[file]

    def ask(self, watched: Watched, turns: Sequence[tuple[str, str]], question: str) -> Iterator[GrowingAnswer]:
        """Yield the answer as it grows and as time goes by; the last one has the reply.

        To close the iterator ends the answer with its next token; nobody waits for that.

        Args:
            watched: the video that all of the conversation is about.
            turns: earlier questions and their answers; those that were not answered are left out.
            question: what is asked now.
        """
        conversation = ChatTurns(ChatRequest((), max_new_tokens=self.max_new_tokens), watched.encoded)
        conversation.turns += [turn for turn in turns if turn[1]]
        request = conversation.request(question, self.chat)
        pieces: SimpleQueue[str | Reply | Exception] = SimpleQueue()
        closed = Event()

        def give() -> None:
            try:
                with self._busy:
                    [reply] = self.chat.reply(
                        [request],
                        on_text=lambda _, piece: pieces.put(piece),
                        cancelled=lambda _: closed.is_set() or self.ending.is_set(),
                    )
                pieces.put(reply)
            except Exception as error:
                pieces.put(error)

        start = time.perf_counter()
        Thread(target=give, daemon=True).start()
        text = ""
        try:
            while not isinstance(item := _next(pieces), Reply):
                if isinstance(item, Exception):
                    raise item
                text += item
                yield GrowingAnswer(text, time.perf_counter() - start)
            yield GrowingAnswer(item.text, time.perf_counter() - start, item, conversation.forgotten)
        finally:
            closed.set()


def _next(pieces: SimpleQueue[Any]) -> Any:
    """Return the next piece, or the empty text where none comes soon: whoever waits may want to stop."""
    try:
        return pieces.get(timeout=_TICK)
    except Empty:
        return ""
