"""The model's answers: every video is decoded and encoded once, its questions are asked in batches of equal length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from vlmkit.api.evaluator import Prompt
from vlmkit.errors import UnreadableVideo
from vlmkit.evaluation.answer_model import AnswerModel
from vlmkit.evaluation.batching import BatchPool, ReadyQuestion
from vlmkit.evaluation.prefetch import VideoPart, load_ahead, worker_count
from vlmkit.evaluation.records import Answer, AnswerFile, Decoding, Question

if TYPE_CHECKING:
    from vlmkit.data import BadSamples, FittedVideo

__all__ = ["AskedQuestion", "LoadVideo", "ModelQuestion", "ask", "generate_answers"]

T = TypeVar("T")
LoadVideo = Callable[[VideoPart], "FittedVideo"]
"""A video to how the aligner sees it. An `UnreadableVideo` where it cannot be decoded."""


class ModelQuestion(NamedTuple):
    """What a model is asked."""

    prompt: str | Prompt
    """With one `<video>`."""
    part: VideoPart
    max_new_tokens: int
    """Longest answer, tokens."""


class AskedQuestion(NamedTuple):
    """A question and the file that keeps its answer."""

    question: Question
    file: AnswerFile


def ask(
    items: Sequence[T],
    question_of: Callable[[T], ModelQuestion],
    model: AnswerModel,
    load: LoadVideo,
    batch_size: int,
    workers: int | None = 0,
) -> Generator[list[tuple[T, str | UnreadableVideo]]]:
    """Yield the answers in batches, as they come: those of several videos together, in no order that means anything.

    Each video is loaded and encoded once, in the order in which the videos come first, and dropped with its last
    question. `workers` processes load ahead, as `evaluation.workers` says.
    """
    by_part: dict[VideoPart, list[tuple[T, ModelQuestion]]] = defaultdict(list)
    for item in items:
        question = question_of(item)
        by_part[question.part].append((item, question))
    pool = BatchPool[tuple[T, ModelQuestion]](batch_size)

    def answered(batch: Sequence[ReadyQuestion[tuple[T, ModelQuestion]]]) -> list[tuple[T, str | UnreadableVideo]]:
        longest = [ready.item[1].max_new_tokens for ready in batch]
        answers = model.answer([ready.prompt for ready in batch], [ready.video for ready in batch], longest)
        return [(ready.item[0], answer) for ready, answer in zip(batch, answers, strict=True)]

    parts = list(by_part)
    with closing(load_ahead(load, parts, worker_count(workers, len(parts)))) as videos:
        for part, video in zip(parts, videos, strict=True):
            about = by_part.pop(part)
            if isinstance(video, UnreadableVideo):
                yield [(item, video) for item, _ in about]
                continue
            encoded = model.encode_video(video)
            prompts = model.encode_prompts([question.prompt for _, question in about], [encoded] * len(about))
            ready = [ReadyQuestion(item, prompt, encoded) for item, prompt in zip(about, prompts, strict=True)]
            yield from map(answered, pool.add(ready))
    yield from map(answered, pool.rest())


def generate_answers(
    asked: Sequence[AskedQuestion],
    model: AnswerModel,
    load: LoadVideo,
    bad: BadSamples,
    decoding: Decoding,
    workers: int | None = 0,
) -> None:
    """Ask what has no answer yet; the answers to a batch are in their files before the next one is asked.

    A question is asked again where anything has changed that its fingerprint tells. One that was skipped, because its
    video could not be read, is tried again: path and size of a video do not tell whether it was repaired.

    `asked` has the questions of all sets, so that a video is decoded once for all of them; `bad` counts the videos: a
    DataError where too many cannot be read.
    """
    from vlmkit.progress import Progress

    def question_of(item: AskedQuestion) -> ModelQuestion:
        question = item.question
        part = VideoPart(str(question.path), question.document.span)
        return ModelQuestion(question.prompt, part, decoding.max_new_tokens)

    def note(some: Sequence[tuple[AskedQuestion, str | UnreadableVideo]]) -> None:
        _keep(some)
        _count([item for item, _ in some], bad)
        progress.advance(len(some))
        progress.tell(f"{progress.done} of {progress.total} questions")

    pending = [item for item in asked if not _is_answered(item)]
    absent = [item for item in pending if item.question.path is None]
    present = [item for item in pending if item.question.path is not None]
    done = [item for item in asked if _is_answered(item)]
    with Progress(bad.where, len(asked), len(done)) as progress:
        _count(done, bad)
        note([(item, UnreadableVideo(item.question.problem)) for item in absent])
        with closing(ask(present, question_of, model, load, decoding.batch_size, workers)) as answers:
            for some in answers:
                note(some)
    bad.finish()


def _is_answered(item: AskedQuestion) -> bool:
    answer = item.file.answers.get(item.question.document.id)
    return answer is not None and answer.asked == item.question.fingerprint and answer.skipped is None


def _keep(some: Sequence[tuple[AskedQuestion, str | UnreadableVideo]]) -> None:
    """Write the answers of a batch into their files."""
    lines: dict[AnswerFile, list[Answer]] = defaultdict(list)
    for (question, file), answer in some:
        if isinstance(answer, UnreadableVideo):
            lines[file].append(Answer.to(question, None, str(answer)))
        else:
            lines[file].append(Answer.to(question, answer))
    for file, answers in lines.items():
        file.append(answers)


def _count(some: Sequence[AskedQuestion], bad: BadSamples) -> None:
    for question, file in some:
        reason = file.answers[question.document.id].skipped
        if reason is None:
            bad.add_readable(question.shown)
        else:
            bad.add_unreadable(question.shown, None if question.path is None else str(question.path), reason)
