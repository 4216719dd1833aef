"""A conversation about videos or none, in turns, within the positions that the model has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from vlmkit.chat.chat_model import ChatModel, ChatRequest, Reply
from vlmkit.errors import UserError
from vlmkit.evaluation.answer_model import EncodedVideo, ShownVideo, videos_of

__all__ = ["ChatTurns"]

_VIDEO = "<video>"
"""`vlmkit.model.tokens.VIDEO`, which costs torch."""
_RESERVED = 4
"""Up to a share of one in so many positions is kept for the answer."""


@dataclass
class ChatTurns:
    """The turns so far, and how the conversation goes on."""

    options: ChatRequest
    """How answers are made; its messages and video are not looked at."""
    video: ShownVideo = None
    """What it is about; several in the order in which they were shown."""
    system: str = ""
    """Words of the system before all others."""
    turns: list[tuple[str, str]] = field(default_factory=list)
    """Questions and answers, the oldest first."""
    forgotten: int = 0
    """How many turns were dropped because the model has no positions for them."""
    places: list[int] = field(default_factory=list)
    """With which turn, counted from the first, forgotten ones too, each video is shown; those not listed with the
    first."""

    def request(self, question: str, chat: ChatModel) -> ChatRequest:
        """Return what the model is to answer next; the oldest turns are forgotten where it would be too long.

        A UserError where video and question alone are longer than what the model's positions are made for.
        """
        positions = chat.spec.backbone.positions
        while True:
            request = replace(self.options, messages=self._messages(question), video=self.video)
            if positions is None:
                return request
            length = len(chat.tokens(request).ids)
            if length + min(request.max_new_tokens, positions // _RESERVED) <= positions:
                break
            if not self.turns:
                self._check(length, positions)
                break
            del self.turns[0]
            self.forgotten += 1
        return replace(request, max_new_tokens=min(request.max_new_tokens, positions - length))

    def show(self, video: EncodedVideo) -> None:
        """Show one more video, with the next question."""
        seen = videos_of(self.video)
        self.places += [0] * (len(seen) - len(self.places))
        self.places.append(self.forgotten + len(self.turns))
        self.video = [*seen, video] if seen else video

    def reset(self) -> None:
        """Begin anew, about the same videos, shown with the first question."""
        self.turns.clear()
        self.places.clear()
        self.forgotten = 0

    def add(self, question: str, reply: Reply) -> None:
        """Keep a turn; one without an answer is as if it had not been."""
        if reply.text:
            self.turns.append((question, reply.text))

    def _messages(self, question: str) -> list[dict[str, str]]:
        said = [*self.turns, (question, "")]
        places = [*self.places, *[0] * len(videos_of(self.video))][: len(videos_of(self.video))]
        shown = Counter(max(0, place - self.forgotten) for place in places)
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for number, (user, assistant) in enumerate(said):
            content = f"{_VIDEO}\n" * (shown[number] - user.count(_VIDEO)) + user
            messages += [{"role": "user", "content": content}, {"role": "assistant", "content": assistant}]
        del messages[-1]
        return messages

    def _check(self, length: int, positions: int) -> None:
        if length >= positions:
            raise UserError(
                f"video and question are {length:,} tokens, which do not fit into the {positions:,} positions of the "
                "model with an answer; ask in fewer words, or have fewer frames looked at"
            )
