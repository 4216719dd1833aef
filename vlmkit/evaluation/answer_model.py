"""The model as an evaluation asks it: a video becomes tokens once, then questions about it are answered in batches.

Shape letters: B rows of a batch, S positions, K positions that are kept, V videos, N visual tokens, D LLM width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from vlmkit.api.evaluator import Prompt

if TYPE_CHECKING:
    from torch import Tensor

    from vlmkit.api.video import VideoShape
    from vlmkit.data import FittedVideo
    from vlmkit.evaluation.question_blocks import VideoTokens
    from vlmkit.model.tokens import Tokens

__all__ = ["AnswerModel", "EncodedPrompt", "EncodedVideo", "FunctionModel", "GenerateBatch", "Likelihood",
           "LoadedModel", "ShownVideo", "score_continuations", "videos_of"]  # fmt: skip

ShownVideo: TypeAlias = "EncodedVideo | Sequence[EncodedVideo] | None"
"""What a prompt is about: nothing, one video, or several in the order of their `<video>`."""
GenerateBatch = Callable[[Sequence[Any], "Sequence[FittedVideo | None]", int], Sequence[str]]
"""Prompts, their videos and the longest answer in tokens, to answers."""


class EncodedVideo(NamedTuple):
    """One video as the model keeps it for all of its questions."""

    content: Any
    """What only the model understands."""
    shape: VideoShape
    """Its fitted shape, which says how many tokens it becomes."""
    size: int
    """Bytes that it takes."""
    times: tuple[float, ...] = ()
    """When its frames are shown, as `AlignerSpec.wrap` is given them."""


def videos_of(shown: ShownVideo) -> list[EncodedVideo]:
    """Return the videos that a prompt is about."""
    return [] if shown is None else [shown] if isinstance(shown, EncodedVideo) else list(shown)


class EncodedPrompt(NamedTuple):
    """One prompt, ready for a batch."""

    content: Any
    """What only the model understands."""
    length: int
    """Tokens, those of the video included."""


class Likelihood(NamedTuple):
    """How likely a model finds one continuation of a prompt."""

    logprob: float
    """Natural logarithm of its probability: the sum over its tokens."""
    tokens: int
    """How many tokens it has."""


class AnswerModel(ABC):
    """A model that answers the questions of an evaluation."""

    @abstractmethod
    def encode_video(self, video: FittedVideo, prompts: Sequence[str | Prompt] = ()) -> EncodedVideo:
        """Return what all questions about a video share; `prompts` are those that are known, for an aligner that reads
        text."""

    @abstractmethod
    def encode_prompt(
        self, prompt: str | Prompt, video: ShownVideo, continuations: Sequence[str] = ()
    ) -> EncodedPrompt:
        """Return a prompt, with `<video>` where it has a video, ready for any batch: of `answer`, or with continuations
        of `score`."""

    @abstractmethod
    def answer(
        self, prompts: Sequence[EncodedPrompt], videos: Sequence[ShownVideo], max_new_tokens: Sequence[int]
    ) -> Sequence[str]:
        """Return the answers to the prompts of a batch, each about its video and with at most so many tokens."""

    @abstractmethod
    def score(self, prompts: Sequence[EncodedPrompt], videos: Sequence[ShownVideo]) -> Sequence[Sequence[Likelihood]]:
        """Return the likelihood of each continuation of the prompts of a batch."""


class LoadedModel(AnswerModel):
    """A `VideoLM` with its processor, loaded when the first question comes; answers are greedy.

    Each video goes through the aligner alone, so that its tokens are the same bits whatever else is asked. The numbers
    that the language model computes for a question still change in their last digits with what it is batched with: in
    float32 that decides nothing but ties between words, in bfloat16 or on a GPU it now and then changes an answer.
    """

    def __init__(self, load: Callable[[], tuple[Any, Any]]) -> None:
        self._load = load

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """The model and its processor."""
        model, processor = self._load()
        model.eval()
        return model, processor

    def encode_video(self, video: FittedVideo, prompts: Sequence[str | Prompt] = ()) -> EncodedVideo:
        """Return the (N, D) tokens that the aligner makes of a video; where it reads text, those for each question."""
        from vlmkit.evaluation.question_blocks import QuestionBlocks, video_tokens

        model, processor = self.loaded
        if processor.text_input(1) is None:
            [tokens] = video_tokens(model, processor, video)
            return EncodedVideo(tokens, video.shape, tokens.features.nbytes, video.times)
        texts = list(dict.fromkeys(text for prompt in prompts for text in self._read(prompt) or ()))
        made = video_tokens(model, processor, video, texts) if texts else []
        size = video.pixels.nbytes + sum(tokens.features.nbytes for tokens in made)
        return EncodedVideo(QuestionBlocks(video, dict(zip(texts, made, strict=True))), video.shape, size, video.times)

    def _read(self, prompt: str | Prompt) -> list[str] | None:
        """Return what the aligner reads for each `<video>` of a prompt; None where it reads nothing."""
        from vlmkit.model.text_inputs import text_about
        from vlmkit.model.tokens import VIDEO

        _, processor = self.loaded
        parts = Prompt(prompt) if isinstance(prompt, str) else prompt
        if (text := processor.text_input(parts.user.count(VIDEO))) is None:
            return None
        return [text_about(text, parts.user, parts.system)] * parts.user.count(VIDEO)

    def encode_prompt(
        self, prompt: str | Prompt, video: ShownVideo, continuations: Sequence[str] = ()
    ) -> EncodedPrompt:
        """Return the token ids of a prompt as the chat template renders it; of each continuation those with it."""
        _, processor = self.loaded
        parts = Prompt(prompt) if isinstance(prompt, str) else prompt
        text = processor.prompt(parts.user, parts.system, parts.reply)
        if not continuations:
            read = self._read(parts)
            [tokens] = processor.tokenize([text], [video], None if read is None else [read])
            return EncodedPrompt(tokens, len(tokens.ids))
        whole = [processor.prompt(parts.user, parts.system, parts.reply + more) for more in continuations]
        texts = [
            each if each.startswith(text) else text + more for each, more in zip(whole, continuations, strict=True)
        ]
        rows = processor.tokenize_continuations(text, texts, video, self._read(parts))
        return EncodedPrompt(rows, max(len(row.ids) for row in rows))

    def answer(
        self, prompts: Sequence[EncodedPrompt], videos: Sequence[ShownVideo], max_new_tokens: Sequence[int]
    ) -> list[str]:
        """Return the greedy answers of the model."""
        import torch

        model, processor = self.loaded
        inputs, _ = self.batch([prompt.content for prompt in prompts], videos)
        with torch.inference_mode():
            ids_BS = model.generate(**inputs, max_new_tokens=max(max_new_tokens), do_sample=False, num_beams=1)
        new_BS = ids_BS[:, inputs["input_ids"].shape[1] :].tolist()
        new_BS = [row[:longest] for row, longest in zip(new_BS, max_new_tokens, strict=True)]
        return [answer.strip() for answer in processor.tokenizer.batch_decode(new_BS, skip_special_tokens=True)]

    def score(self, prompts: Sequence[EncodedPrompt], videos: Sequence[ShownVideo]) -> list[list[Likelihood]]:
        """Return the likelihoods, from passes of as many rows as there are prompts: a row holds one continuation."""
        rows = [(row, video) for prompt, video in zip(prompts, videos, strict=True) for row in prompt.content]
        by_length = sorted(range(len(rows)), key=lambda place: -len(rows[place][0].ids))
        found: dict[int, Likelihood] = {}
        for start in range(0, len(rows), len(prompts)):
            places = by_length[start : start + len(prompts)]
            likelihoods = self._likelihoods([rows[place][0] for place in places], [rows[place][1] for place in places])
            found |= dict(zip(places, likelihoods, strict=True))
        in_order = iter([found[place] for place in range(len(rows))])
        return [[next(in_order) for _ in prompt.content] for prompt in prompts]

    def _likelihoods(self, rows: Sequence[Tokens], videos: Sequence[ShownVideo]) -> list[Likelihood]:
        import torch

        from vlmkit.model.tokens import IGNORE

        model, _ = self.loaded
        inputs, labels_BS = self.batch(rows, videos)
        is_label_BS = labels_BS != IGNORE
        kept = labels_BS.shape[1] - int(is_label_BS.any(0).int().argmax())  # rows end together: the labels stand last
        with torch.inference_mode():
            logits_BKV = model(**inputs, logits_to_keep=kept + 1, use_cache=False).logits[:, :-1].float()
        targets_BK, is_label_BK = labels_BS[:, -kept:].clamp(min=0).to(logits_BKV.device), is_label_BS[:, -kept:]
        logprobs_BK = logits_BKV.log_softmax(-1).gather(-1, targets_BK[..., None])[..., 0].cpu()
        sums, counts = logprobs_BK.double().masked_fill(~is_label_BK, 0).sum(1), is_label_BK.sum(1)
        return [Likelihood(*pair) for pair in zip(sums.tolist(), counts.tolist(), strict=True)]

    def batch(self, tokens: Sequence[Tokens], videos: Sequence[ShownVideo]) -> tuple[dict[str, Tensor], Tensor]:
        """Return the keyword arguments of a forward pass and its (B, S) labels: B rows, padded left, with the tokens of
        their videos."""
        from vlmkit.evaluation.question_blocks import join_tokens

        model, processor = self.loaded
        encoded = processor.pad(tokens)
        inputs = {"input_ids": encoded.input_ids, "attention_mask": encoded.attention_mask}
        shown = [videos_of(each) for each in videos]
        if found := self._tokens_of(tokens, shown):
            counts = [len(item.read) or len(own) for item, own in zip(tokens, shown, strict=True)]
            rows = [row for row, count in enumerate(counts) for _ in range(count)]
            inputs |= join_tokens(found, rows, len(tokens))
        return {name: value.to(model.device) for name, value in inputs.items()}, encoded.labels

    def _tokens_of(self, tokens: Sequence[Tokens], videos: Sequence[Sequence[EncodedVideo]]) -> list[VideoTokens]:
        """Return the visual tokens in the order of their places: of each video, or for each text that is read."""
        if not any(item.read for item in tokens):
            return [video.content for each in videos for video in each]
        from vlmkit.evaluation.question_blocks import find_blocks

        wanted = [
            (each[0 if len(each) == 1 else place].content, text)
            for item, each in zip(tokens, videos, strict=True)
            for place, text in enumerate(item.read)
        ]
        return find_blocks(*self.loaded, wanted)


class FunctionModel(AnswerModel):
    """A function in the place of a model, which is given prompts and videos as they are."""

    def __init__(self, generate: GenerateBatch) -> None:
        self._generate = generate

    def encode_video(self, video: FittedVideo, prompts: Sequence[str | Prompt] = ()) -> EncodedVideo:
        """Return the video itself."""
        return EncodedVideo(video, video.shape, video.pixels.nbytes, video.times)

    def encode_prompt(
        self, prompt: str | Prompt, video: ShownVideo, continuations: Sequence[str] = ()
    ) -> EncodedPrompt:
        """Return the user's words; all have about equal length."""
        return EncodedPrompt((prompt.user if isinstance(prompt, Prompt) else prompt, continuations), 0)

    def answer(
        self, prompts: Sequence[EncodedPrompt], videos: Sequence[ShownVideo], max_new_tokens: Sequence[int]
    ) -> Sequence[str]:
        """Return the answers of the function."""
        shown = [next((video.content for video in videos_of(each)), None) for each in videos]
        return self._generate([prompt.content[0] for prompt in prompts], shown, max(max_new_tokens))

    def score(self, prompts: Sequence[EncodedPrompt], videos: Sequence[ShownVideo]) -> list[list[Likelihood]]:
        """Return likelihoods by which the function's own answer is the likeliest continuation."""
        answers = self.answer(prompts, videos, [1] * len(prompts))
        return [
            [Likelihood(0.0 if more == answer else -1.0, 1) for more in prompt.content[1]]
            for prompt, answer in zip(prompts, answers, strict=True)
        ]


def score_continuations(
    model: Any,
    processor: Any,
    prompts: Sequence[str | Prompt],
    videos: Sequence[FittedVideo | None],
    continuations: Sequence[Sequence[str]],
) -> list[list[Likelihood]]:
    """Return how likely a model finds each continuation of each prompt, all in batches of as many as there are prompts.

    Args:
        model: a `VideoLM`.
        processor: its processor, which renders the prompts.
        prompts: with `<video>` where they have a video.
        videos: for each prompt its fitted video, or None.
        continuations: for each prompt at least one text that its answer could be.
    """
    loaded = LoadedModel(lambda: (model, processor))
    known = {id(video): loaded.encode_video(video) for video in videos if video is not None}
    encoded = [known.get(id(video)) for video in videos]
    rows = [loaded.encode_prompt(*each) for each in zip(prompts, encoded, continuations, strict=True)]
    return loaded.score(rows, encoded)
