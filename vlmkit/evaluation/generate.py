"""The model's answers: every video is decoded and encoded once, its questions are asked in batches of equal length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from vlmkit.api.evaluator import Prompt
from vlmkit.errors import UnreadableVideo
from vlmkit.evaluation.answer_model import AnswerModel, EncodedPrompt, EncodedVideo, Likelihood
from vlmkit.evaluation.answers import Answer, AnswerFile, Question
from vlmkit.evaluation.batching import BatchPool, ReadyQuestion
from vlmkit.evaluation.controls import Arrangement
from vlmkit.evaluation.prefetch import VideoPart, load_ahead, worker_count
from vlmkit.evaluation.records import Decoding

if TYPE_CHECKING:
    from vlmkit.data import BadSamples, FittedVideo

__all__ = ["AskedQuestion", "LoadVideo", "ModelAnswer", "ModelQuestion", "ask", "generate_answers"]

T = TypeVar("T")
LoadVideo = Callable[[VideoPart], "FittedVideo"]
"""A video to how the aligner sees it. An `UnreadableVideo` where it cannot be decoded."""


class ModelQuestion(NamedTuple):
    """A question as a model is asked it."""

    prompt: str | Prompt
    """With one `<video>`, unless there is none."""
    part: VideoPart | None
    """The video that is shown."""
    max_new_tokens: int
    """Longest answer, tokens."""
    continuations: tuple[str, ...] = ()
    """Where there are any, the answer is the likeliest of them."""
    arrangement: Arrangement | None = None
    """In which order the frames are shown; None: as they are."""


class ModelAnswer(NamedTuple):
    """The answer of a model."""

    text: str
    likelihoods: Sequence[Likelihood] = ()
    """Of the continuations, where there are any."""


Ready = ReadyQuestion[tuple[T, ModelQuestion]]


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
) -> Generator[list[tuple[T, ModelAnswer | UnreadableVideo]]]:
    """Yield the answers in batches, as they come: those of several videos together, in no order that means anything.

    Each video is loaded once, in the order in which the videos come first, encoded once for each arrangement of its
    frames, and dropped with its last question. `workers` processes load ahead, as `evaluation.workers` says.
    """
    by_part: dict[VideoPart | None, list[tuple[T, ModelQuestion]]] = defaultdict(list)
    for item in items:
        question = question_of(item)
        by_part[question.part].append((item, question))
    pool = BatchPool[tuple[T, ModelQuestion]](batch_size)

    def ready(video: FittedVideo | None, about: Sequence[tuple[T, ModelQuestion]]) -> Iterator[Ready[T]]:
        encoded: dict[Arrangement | None, EncodedVideo] = {}
        for item, question in about:
            way = question.arrangement
            if video is not None and way not in encoded:
                prompts = [other.prompt for _, other in about if other.arrangement == way]
                encoded[way] = model.encode_video(way.apply(video) if way else video, prompts)
            prompt = model.encode_prompt(question.prompt, encoded.get(way), question.continuations)
            yield ReadyQuestion((item, question), prompt, encoded.get(way))

    def answered(batch: Sequence[Ready[T]]) -> list[tuple[T, ModelAnswer | UnreadableVideo]]:
        answers = _answers(model, [(each.item[1], each.prompt, each.video) for each in batch])
        return [(each.item[0], answer) for each, answer in zip(batch, answers, strict=True)]

    yield from map(answered, pool.add([*ready(None, by_part.pop(None, []))]))
    parts = [part for part in by_part if part is not None]
    with closing(load_ahead(load, parts, worker_count(workers, len(parts)))) as videos:
        for part, video in zip(parts, videos, strict=True):
            about = by_part.pop(part)
            if isinstance(video, UnreadableVideo):
                yield [(item, video) for item, _ in about]
            else:
                yield from map(answered, pool.add([*ready(video, about)]))
    yield from map(answered, pool.rest())


def _answers(
    model: AnswerModel, batch: Sequence[tuple[ModelQuestion, EncodedPrompt, EncodedVideo | None]]
) -> list[ModelAnswer]:
    """Return the answers to a batch, of which some are generated and others chosen."""
    answers: dict[int, ModelAnswer] = {}
    open_ended = [place for place, (question, _, _) in enumerate(batch) if not question.continuations]
    chosen = [place for place, (question, _, _) in enumerate(batch) if question.continuations]
    if open_ended:
        questions, prompts, videos = zip(*(batch[place] for place in open_ended), strict=True)
        texts = model.answer(prompts, videos, [question.max_new_tokens for question in questions])
        answers |= {place: ModelAnswer(text) for place, text in zip(open_ended, texts, strict=True)}
    if chosen:
        questions, prompts, videos = zip(*(batch[place] for place in chosen), strict=True)
        for place, question, found in zip(chosen, questions, model.score(prompts, videos), strict=True):
            best = max(range(len(found)), key=lambda number: found[number].logprob)
            answers[place] = ModelAnswer(question.continuations[best], found)
    return [answers[place] for place in range(len(batch))]


def generate_answers(
    asked: Sequence[AskedQuestion],
    model: AnswerModel,
    load: LoadVideo,
    bad: BadSamples,
    decoding: Decoding,
    workers: int | None = 0,
    title: str = "",
) -> None:
    """Ask what has no answer yet; the answers to a batch are in their files before the next one is asked.

    A question is asked again where anything has changed that its fingerprint tells. One that was skipped, because its
    video could not be read, is tried again: path and size of a video do not tell whether it was repaired. Questions of
    one file with one fingerprint, which differ in how their answer is scored, are asked once.

    `asked` has the questions of all sets, so that a video is decoded once for all of them; `bad` counts the videos: a
    DataError as soon as too many cannot be read. `title` names the job to the user.
    """
    from vlmkit.progress import Progress

    def question_of(item: AskedQuestion) -> ModelQuestion:
        question = item.question
        part = VideoPart(str(question.path), question.document.span) if question.path else None
        longest, choices = question.max_new_tokens, question.continuations
        return ModelQuestion(question.prompt, part, longest, choices, question.arrangement)

    def note(some: Sequence[tuple[AskedQuestion, ModelAnswer | UnreadableVideo]]) -> None:
        _keep(some)
        _count([item for item, _ in some], bad)
        progress.advance(len(some))
        progress.tell(f"{progress.done} of {progress.total} questions")

    def alike(item: AskedQuestion) -> tuple[int, str]:
        return id(item.file), item.question.fingerprint

    pending = [item for item in asked if not _is_answered(item)]
    absent = [item for item in pending if item.question.problem]
    present: dict[tuple[int, str], list[AskedQuestion]] = defaultdict(list)
    for item in pending:
        if not item.question.problem:
            present[alike(item)].append(item)
    done = [item for item in asked if _is_answered(item)]
    with Progress(title or bad.where, len(asked), len(done)) as progress:
        _count(done, bad)
        note([(item, UnreadableVideo(item.question.problem)) for item in absent])
        first = [items[0] for items in present.values()]
        with closing(ask(first, question_of, model, load, decoding.batch_size, workers)) as answers:
            for some in answers:
                note([(same, answer) for item, answer in some for same in present[alike(item)]])


def _is_answered(item: AskedQuestion) -> bool:
    answer = item.file.answers.get(item.question.document.id)
    return answer is not None and answer.asked == item.question.fingerprint and answer.skipped is None


def _keep(some: Sequence[tuple[AskedQuestion, ModelAnswer | UnreadableVideo]]) -> None:
    """Write the answers of a batch into their files."""
    lines: dict[AnswerFile, list[Answer]] = defaultdict(list)
    for (question, file), answer in some:
        if isinstance(answer, UnreadableVideo):
            lines[file].append(Answer.to(question, None, str(answer)))
        else:
            logprobs = [found.logprob for found in answer.likelihoods] or None
            lines[file].append(Answer.to(question, answer.text, logprobs=logprobs))
    for file, answers in lines.items():
        file.append(answers)


def _count(some: Sequence[AskedQuestion], bad: BadSamples) -> None:
    for question, file in some:
        reason = file.answers[question.document.id].skipped
        if not question.shown:  # the control that shows no video
            continue
        if reason is None:
            bad.add_readable(question.shown)
        else:
            bad.add_unreadable(question.shown, None if question.path is None else str(question.path), reason)
