"""A saved model as somebody talks with it: videos are looked at once, conversations are answered in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.api.trained_model import model_folder
from vlmkit.evaluation.answer_model import EncodedVideo, LoadedModel, ShownVideo, videos_of
from vlmkit.runtime import check_device, default_device

if TYPE_CHECKING:
    from vlmkit.chat.replies import FinishReason
    from vlmkit.data import FittedVideo
    from vlmkit.model.tokens import Tokens
    from vlmkit.spec.experiment import ModelSpec

__all__ = ["ChatModel", "ChatRequest", "Reply"]


@dataclass(frozen=True)
class ChatRequest:
    """A conversation to be answered."""

    messages: Sequence[Mapping[str, str]]
    """Roles and texts. `<video>` stands in the texts of the user, once for each video."""
    video: ShownVideo = None
    """As `ChatModel.encode` gives it; several in the order of their `<video>`."""
    max_new_tokens: int = 256
    temperature: float = 0.0
    """0: the likeliest token each time (greedy)."""
    top_p: float = 1.0
    """Of sampled answers: only the likeliest tokens that have this probability together."""
    seed: int | None = None
    """Of sampled answers: the same one gives the same answer; None: another each time."""
    stop: tuple[str, ...] = ()
    """Texts before which the answer ends."""

    @property
    def is_sampled(self) -> bool:
        """True where tokens are drawn at random."""
        return self.temperature > 0


@dataclass(frozen=True)
class Reply:
    """An answer."""

    text: str
    finish_reason: FinishReason
    """`stop`: it is complete; `length`: cut off at `max_new_tokens`; `cancelled`."""
    prompt_tokens: int
    """Tokens of the conversation, those of the video included."""
    completion_tokens: int


class ChatModel:
    """A loaded model that answers conversations. For one thread at a time."""

    def __init__(self, model: Any, processor: Any, folder: Path) -> None:
        self.model, self.processor, self.folder = model.eval(), processor, folder
        self.name = folder.parent.name if folder.name == "model" else folder.name
        """That of the run, or of the folder."""
        self._loaded = LoadedModel(lambda: (model, processor))
        generation = model.generation_config.eos_token_id
        ends = generation if isinstance(generation, list) else [generation]
        self._ends = [token for token in ends if token is not None]

    @classmethod
    def open(cls, target: str | Path, device: str | None = None) -> ChatModel:
        """Load a run's model, a saved or an imported one. A UserError where there is none or it is damaged.

        Args:
            target: the run folder, or the folder of the model.
            device: `cpu`, `cuda` or `cuda:N`; by default the first GPU, else the CPU.
        """
        folder = model_folder(target).resolve()
        if device is not None:
            check_device(device)
        from vlmkit.model import load
        from vlmkit.model.pretrained import without_progress_bars

        with without_progress_bars():
            model, processor = load(folder)
        return cls(model.to(device or default_device()), processor, folder)

    @property
    def spec(self) -> ModelSpec:
        """The spec of the model."""
        spec: ModelSpec = self.model.config.spec()
        return spec

    def look(
        self, source: Any, span: tuple[float, float] | None = None, sampling: Mapping[str, Any] | None = None
    ) -> FittedVideo:
        """Decode a video or picture and fit it, with its frames as the model's own rule chooses them.

        Args:
            source: whatever `VideoLMProcessor.fit` takes: a path, a URL, bytes, a picture, frames.
            span: only this part of a video, seconds.
            sampling: another rule, e.g. `{type: uniform, frames: 16}`.

        Raises:
            UserError: it cannot be read.
        """
        fitted: FittedVideo = self.processor.fit(source, span=span, sampling=sampling)
        return fitted

    def encode(self, video: FittedVideo) -> EncodedVideo:
        """Return the tokens of a video, for any number of conversations about it."""
        return self._loaded.encode_video(video)

    def tokens(self, request: ChatRequest) -> Tokens:
        """Return the token ids of a conversation, up to where the answer begins.

        Raises:
            UserError: `<video>` and a video do not go together, or the chat template refuses the conversation.
        """
        from vlmkit.model.prompts import render_conversation
        from vlmkit.model.text_inputs import place_in_messages

        messages, read = request.messages, None
        videos = videos_of(request.video)
        if (text := self.processor.text_input(len(videos))) is not None:
            messages, read = place_in_messages(text, messages, len(videos))
        rendered = render_conversation(self.processor.tokenizer, messages)
        [tokens] = self.processor.tokenize([rendered], [videos], None if read is None else [read])
        return tokens

    def reply(
        self,
        requests: Sequence[ChatRequest],
        on_text: Callable[[int, str], None] | None = None,
        cancelled: Callable[[int], bool] | None = None,
        on_reply: Callable[[int, Reply], None] | None = None,
    ) -> list[Reply]:
        """Answer conversations, greedy ones in one batch, each sampled one by itself.

        Args:
            requests: the conversations.
            on_text: given the number of a request and the next piece of its answer as it comes. The pieces together
                are the answer.
            cancelled: asked after each token whether the answer to the request of this number is still wanted.
            on_reply: given the number of a request and its whole answer, as soon as that is complete: others of its
                batch may still be on their way.
        """
        groups = [[number] for number, request in enumerate(requests) if request.is_sampled]
        if greedy := [number for number, request in enumerate(requests) if not request.is_sampled]:
            groups.insert(0, greedy)
        replies: dict[int, Reply] = {}
        for group in groups:
            calls = [_for_group(call, group) for call in (on_text, cancelled, on_reply)]
            replies |= zip(group, self._generate([requests[number] for number in group], *calls), strict=True)
        return [replies[number] for number in range(len(requests))]

    def _generate(
        self,
        requests: Sequence[ChatRequest],
        on_text: Callable[[int, str], None] | None,
        cancelled: Callable[[int], bool] | None,
        on_reply: Callable[[int, Reply], None] | None,
    ) -> list[Reply]:
        import torch

        from vlmkit.chat.replies import ReplyText, RowLimits, StopRows

        tokens = [self.tokens(request) for request in requests]
        inputs, _ = self._loaded.batch(tokens, [request.video for request in requests])
        limits = [RowLimits(request.max_new_tokens, request.stop) for request in requests]
        replies: dict[int, Reply] = {}

        def finish(number: int, row: ReplyText) -> None:
            replies[number] = Reply(row.text, row.ended or "stop", len(tokens[number].ids), len(row.ids))
            if on_reply is not None:
                on_reply(number, replies[number])

        rows = StopRows(self.processor.tokenizer, self._ends, limits, on_text, cancelled, finish)
        options: dict[str, Any] = {"do_sample": False}
        first = requests[0]
        if first.is_sampled:
            options = {"do_sample": True, "temperature": first.temperature, "top_p": first.top_p, "top_k": 0}
        longest = max(request.max_new_tokens for request in requests)
        with torch.inference_mode(), torch.random.fork_rng(enabled=first.seed is not None):
            if first.seed is not None:
                torch.manual_seed(first.seed)
            self.model.generate(
                **inputs, **options, num_beams=1, max_new_tokens=longest, streamer=rows, stopping_criteria=[rows]
            )
        return [replies[number] for number in range(len(requests))]


def _for_group(call: Callable[..., Any] | None, group: Sequence[int]) -> Callable[..., Any] | None:
    """Return the same function for the rows of a group, which have other numbers among all."""
    return None if call is None else lambda row, *more: call(group[row], *more)
