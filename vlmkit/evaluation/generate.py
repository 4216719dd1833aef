"""The model's answers: questions in batches, which are asked again as a whole where they were interrupted.

Shape letters: B questions, S positions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from vlmkit.errors import UnreadableVideo
from vlmkit.evaluation.records import Answer, AnswerFile, Decoding, Question

if TYPE_CHECKING:
    from vlmkit.data import BadSamples, FittedVideo

__all__ = [
    "AskedQuestion", "GenerateBatch", "LoadVideo", "batches_by_video", "generate_answers", "generate_batch",
    "load_when_asked",
]  # fmt: skip

T = TypeVar("T")
GenerateBatch = Callable[[Sequence[str], "Sequence[FittedVideo]", int], Sequence[str]]
"""Prompts, their videos and the longest answer in tokens, to answers."""
LoadVideo = Callable[[str], "FittedVideo"]
"""The path of a video, to the video as the aligner sees it. An `UnreadableVideo` where it cannot be decoded."""


class AskedQuestion(NamedTuple):
    """A question and the file that keeps its answer."""

    question: Question
    file: AnswerFile


def load_when_asked(load: Callable[[], tuple[Any, Any]]) -> GenerateBatch:
    """Return the greedy generation of the model and processor that `load` gives, once the first question comes."""
    load_once = cache(load)
    return lambda prompts, videos, max_new_tokens: generate_batch(*load_once(), prompts, videos, max_new_tokens)


def generate_batch(
    model: Any, processor: Any, prompts: Sequence[str], videos: Sequence[FittedVideo], max_new_tokens: int
) -> list[str]:
    """Return the model's greedy answers to prompts, each with one `<video>`."""
    import torch

    model.eval()
    inputs = processor(text=[processor.prompt(prompt) for prompt in prompts], videos=list(videos)).to(model.device)
    with torch.inference_mode():
        ids_BS = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, num_beams=1)
    new_BS = ids_BS[:, inputs["input_ids"].shape[1] :]
    return [answer.strip() for answer in processor.tokenizer.batch_decode(new_BS, skip_special_tokens=True)]


def batches_by_video(items: Sequence[T], video_of: Callable[[T], str], size: int) -> list[list[T]]:
    """Cut items into batches in the order in which their videos come first.

    So a video is decoded once for all its questions, blind ones included, and the same items give the same batches.
    """
    first: dict[str, int] = {}
    for item in items:
        first.setdefault(video_of(item), len(first))
    ordered = sorted(items, key=lambda item: first[video_of(item)])
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


class _BatchVideos:
    """The videos of one batch. What the batch before showed too is not decoded again."""

    def __init__(self, load_video: LoadVideo) -> None:
        self._load_video = load_video
        self._batch: dict[str, FittedVideo | str] = {}

    def load(self, questions: Sequence[Question]) -> dict[str, FittedVideo | str]:
        """Return the video that each of these questions shows, by its name, or why it cannot be read."""
        shown = {question.shown: question for question in questions}
        self._batch = {name: self._find(question) for name, question in shown.items()}
        return self._batch

    def _find(self, question: Question) -> FittedVideo | str:
        if question.path is None:
            return question.problem
        known = self._batch.get(question.shown)
        if known is not None and not isinstance(known, str):
            return known
        try:
            return self._load_video(str(question.path))
        except UnreadableVideo as error:
            return str(error)


def generate_answers(
    asked: Sequence[AskedQuestion], generate: GenerateBatch, load_video: LoadVideo, bad: BadSamples, decoding: Decoding
) -> None:
    """Ask what has no answer yet, batch by batch; a batch is in its answer files before the next one is asked.

    A batch that a kill has cut short, or in which a video was repaired, is asked again as a whole: no answer depends on
    where an evaluation was interrupted.

    `asked` has the questions of all sets, so that a batch may mix them; `bad` counts the videos: a DataError where too
    many cannot be read.
    """
    from vlmkit.progress import Progress

    videos = _BatchVideos(load_video)
    repaired: dict[str, bool] = {}

    def is_repaired(question: Question) -> bool:
        """Try a video that could not be read before: its path and size do not tell."""
        if question.shown not in repaired:
            repaired[question.shown] = not isinstance(videos.load([question])[question.shown], str)
        return repaired[question.shown]

    def is_done(item: AskedQuestion) -> bool:
        answer = item.file.answers.get(item.question.document.id)
        if answer is None or answer.asked != item.question.fingerprint:
            return False
        return answer.skipped is None or not is_repaired(item.question)

    with Progress(bad.where, len(asked)) as progress:
        for batch in batches_by_video(asked, lambda item: item.question.shown, decoding.batch_size):
            if not all(map(is_done, batch)):
                _answer(batch, videos, generate, decoding.max_new_tokens)
            _count(batch, bad)
            progress.advance(len(batch))
            progress.tell(f"{progress.done} of {progress.total} questions")
    bad.finish()


def _answer(batch: Sequence[AskedQuestion], videos: _BatchVideos, generate: GenerateBatch, max_new_tokens: int) -> None:
    """Put a batch to the model, without the questions whose video cannot be read, and keep the answers."""
    found = videos.load([item.question for item in batch])
    shown = [(item, video) for item in batch if not isinstance(video := found[item.question.shown], str)]
    prompts = [item.question.prompt for item, _ in shown]
    answers = generate(prompts, [video for _, video in shown], max_new_tokens) if shown else ()
    predictions = {id(item): answer for (item, _), answer in zip(shown, answers, strict=True)}
    lines: dict[AnswerFile, list[Answer]] = defaultdict(list)
    for item in batch:
        video = found[item.question.shown]
        problem = video if isinstance(video, str) else None
        lines[item.file].append(Answer.to(item.question, predictions.get(id(item)), problem))
    for file, some in lines.items():
        file.append(some)


def _count(batch: Sequence[AskedQuestion], bad: BadSamples) -> None:
    for question, file in batch:
        reason = file.answers[question.document.id].skipped
        if reason is None:
            bad.add_readable(question.shown)
        else:
            bad.add_unreadable(question.shown, None if question.path is None else str(question.path), reason)
