"""The model as an evaluation asks it: a video becomes tokens once, then questions about it are answered in batches.

Shape letters: B questions, S positions, V videos of a batch, N visual tokens of a video, D LLM width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from vlmkit.api.evaluator import Prompt

if TYPE_CHECKING:
    from torch import Tensor

    from vlmkit.api.video import VideoShape
    from vlmkit.data import FittedVideo
    from vlmkit.model.tokens import Tokens

__all__ = ["AnswerModel", "EncodedPrompt", "EncodedVideo", "FunctionModel", "GenerateBatch", "LoadedModel"]

GenerateBatch = Callable[[Sequence[Any], "Sequence[FittedVideo]", int], Sequence[str]]
"""Prompts, their videos and the longest answer in tokens, to answers."""


class EncodedVideo(NamedTuple):
    """One video as the model keeps it for all of its questions."""

    content: Any
    """What only the model understands."""
    shape: VideoShape
    """Its fitted shape, which says how many tokens it becomes."""
    size: int
    """Bytes that it takes."""


class EncodedPrompt(NamedTuple):
    """One prompt, ready for a batch."""

    content: Any
    """What only the model understands."""
    length: int
    """Tokens, those of the video included."""


class AnswerModel(ABC):
    """What answers the questions of an evaluation."""

    @abstractmethod
    def encode_video(self, video: FittedVideo) -> EncodedVideo:
        """Return what all questions about a video share."""

    @abstractmethod
    def encode_prompts(self, prompts: Sequence[str | Prompt], videos: Sequence[EncodedVideo]) -> list[EncodedPrompt]:
        """Return the prompts, each with one `<video>`, ready for any batch."""

    @abstractmethod
    def answer(
        self, prompts: Sequence[EncodedPrompt], videos: Sequence[EncodedVideo], max_new_tokens: Sequence[int]
    ) -> Sequence[str]:
        """Return the answers to the B prompts of a batch, each about its video and with at most so many tokens."""


class LoadedModel(AnswerModel):
    """A `VideoLM` with its processor, loaded when the first question comes; answers are greedy.

    Each video goes through the aligner alone, so that its tokens are the same bits whatever else is asked. The numbers
    that the language model computes for a question still change in their last digits with what it is batched with: in
    float32 that decides nothing but ties between words, in bfloat16 or on a GPU it now and then changes an answer.
    """

    def __init__(self, load: Callable[[], tuple[Any, Any]]) -> None:
        self._load = load

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        model, processor = self._load()
        model.eval()
        return model, processor

    def encode_video(self, video: FittedVideo) -> EncodedVideo:
        """Return the (N, D) tokens that the aligner makes of a video."""
        import torch

        from vlmkit.data import to_batch

        model, processor = self._loaded
        inputs = to_batch([video], processor.aligner.input).model_inputs()
        with torch.inference_mode():
            tokens = model.get_video_features(**{name: value.to(model.device) for name, value in inputs.items()})
        embeds_ND = tokens.embeddings[0, tokens.mask[0]]
        return EncodedVideo(embeds_ND, video.shape, embeds_ND.numel() * embeds_ND.element_size())

    def encode_prompts(self, prompts: Sequence[str | Prompt], videos: Sequence[EncodedVideo]) -> list[EncodedPrompt]:
        """Return the token ids of the prompts as the chat template renders them."""
        _, processor = self._loaded
        texts = [
            processor.prompt(prompt)
            if isinstance(prompt, str)
            else processor.prompt(prompt.user, prompt.system, prompt.reply)
            for prompt in prompts
        ]
        tokens = processor.tokenize(texts, [video.shape for video in videos])
        return [EncodedPrompt(item, len(item.ids)) for item in tokens]

    def answer(
        self, prompts: Sequence[EncodedPrompt], videos: Sequence[EncodedVideo], max_new_tokens: Sequence[int]
    ) -> list[str]:
        """Return the greedy answers of the model."""
        import torch

        model, processor = self._loaded
        inputs = self._batch([prompt.content for prompt in prompts], videos)
        with torch.inference_mode():
            ids_BS = model.generate(**inputs, max_new_tokens=max(max_new_tokens), do_sample=False, num_beams=1)
        new_BS = ids_BS[:, inputs["input_ids"].shape[1] :].tolist()
        new_BS = [row[:longest] for row, longest in zip(new_BS, max_new_tokens, strict=True)]
        return [answer.strip() for answer in processor.tokenizer.batch_decode(new_BS, skip_special_tokens=True)]

    def _batch(self, tokens: Sequence[Tokens], videos: Sequence[EncodedVideo]) -> dict[str, Tensor]:
        """Return the keyword arguments of a forward pass: B rows padded left, the tokens of their videos."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        model, processor = self._loaded
        encoded = processor.pad(tokens)
        embeds = [video.content for video in videos]
        lengths_V = torch.tensor([len(each) for each in embeds])
        embeds_VND = pad_sequence(embeds, batch_first=True)
        inputs = {
            "input_ids": encoded.input_ids,
            "attention_mask": encoded.attention_mask,
            "visual_embeds": embeds_VND,
            "visual_mask": torch.arange(embeds_VND.shape[1]) < lengths_V[:, None],
        }
        return {name: value.to(model.device) for name, value in inputs.items()}


class FunctionModel(AnswerModel):
    """A function in the place of a model, which is given prompts and videos as they are."""

    def __init__(self, generate: GenerateBatch) -> None:
        self._generate = generate

    def encode_video(self, video: FittedVideo) -> EncodedVideo:
        """Return the video itself."""
        return EncodedVideo(video, video.shape, video.pixels.nbytes)

    def encode_prompts(self, prompts: Sequence[str | Prompt], videos: Sequence[EncodedVideo]) -> list[EncodedPrompt]:
        """Return the prompts themselves, of about equal length."""
        return [EncodedPrompt(prompt, 0) for prompt in prompts]

    def answer(
        self, prompts: Sequence[EncodedPrompt], videos: Sequence[EncodedVideo], max_new_tokens: Sequence[int]
    ) -> Sequence[str]:
        """Return the answers of the function."""
        return self._generate(
            [prompt.content for prompt in prompts], [video.content for video in videos], max(max_new_tokens)
        )
