"""Questions asked again, one at a time, with what every stage gives on the way from the video file to the verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.api.document import Document
from vlmkit.api.judge import JudgeSpec, Unscored, Verdict
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.api.reader import ReaderSpec
from vlmkit.errors import DataError
from vlmkit.evaluation.answer_model import EncodedPrompt, EncodedVideo, LoadedModel
from vlmkit.evaluation.answers import Answer, Question
from vlmkit.evaluation.questions import PreparedBenchmark, own_questions
from vlmkit.evaluation.scores import JudgeAll, ScoredAnswer, read_with_rules, score_answers
from vlmkit.publish.capsule_record import (
    AnswerOutput,
    CapsuleJudge,
    FramesOutput,
    HashedFile,
    HashedText,
    PixelsOutput,
    PromptOutput,
    StageOutput,
    VerdictOutput,
    VisualOutput,
    digest,
)
from vlmkit.publish.sketch import rounded, sketch
from vlmkit.runtime import default_device
from vlmkit.spec.loading import read_component

if TYPE_CHECKING:
    from vlmkit.data import FittedVideo

__all__ = ["FindVerdict", "Replay", "exact_convolutions", "find_judge", "open_model", "verdicts_of"]

FindVerdict = Callable[[JudgeRequest], Verdict | None]
"""The kept verdict on a request."""


def open_model(folder: Path) -> LoadedModel:
    """Return the model in a folder, on the first GPU where there is one. A CheckpointError where it is none."""
    from vlmkit.model import load

    model, processor = load(folder)
    model = model.to(default_device())
    return LoadedModel(lambda: (model, processor))


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Let GPUs convolve float32 as such, and not as TF32 with 10 bits of precision, which no CPU has."""
    import torch

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class Replay:
    """The questions of one benchmark, asked again."""

    def __init__(self, model: LoadedModel, benchmark: PreparedBenchmark, max_new_tokens: int | None = None) -> None:
        self._model, self._benchmark, self._longest = model, benchmark, max_new_tokens
        self._sampling = benchmark.rules.protocol.frames

    def question(self, document: Document) -> Question:
        """Return a question as it is put to the model."""
        [question] = own_questions(self._benchmark._replace(documents=[document]), "", self._longest)
        return question

    def stages(self, question: Question) -> Iterator[StageOutput]:
        """Yield what each stage gives, in the order of `STAGES`, but for the verdict.

        A UserError where a stage fails.
        """
        if question.path is None:
            raise DataError(f"{self._benchmark.name}: {question.problem}")
        yield HashedFile.of(question.path)
        yield self._frames(question.path, question.document)
        _, processor = self._model.loaded
        fitted = processor.fit(question.path, question.document.span, self._sampling)
        yield _pixels(fitted)
        video = self._model.encode_video(fitted, [question.prompt])
        yield _visual(video)
        prompt = self._model.encode_prompt(question.prompt, video, question.continuations)
        text = processor.prompt(question.prompt.user, question.prompt.system, question.prompt.reply)
        rows = prompt.content if question.continuations else [prompt.content]
        ids = [row.ids.tolist() for row in rows]
        yield PromptOutput(prompt=HashedText.of(text), tokens=prompt.length, ids_sha256=digest(json.dumps(ids)))
        yield self._chosen(prompt, video, question) if question.continuations else self._answer(prompt, video, question)

    def _frames(self, path: Path, document: Document) -> FramesOutput:
        from vlmkit.data.loader import decode_frames, select_frames
        from vlmkit.model.video_inputs import sampled_input

        _, processor = self._model.loaded
        reader = read_component("reader", processor.reader, "processor_config.json, `reader`")
        assert isinstance(reader, ReaderSpec)
        wanted = sampled_input(processor.aligner.input, self._sampling)
        selected = select_frames(reader.build(), path, wanted, document.span)
        different = list(dict.fromkeys(selected.positions))
        hashes = {position: digest(frame.tobytes()) for position, frame in decode_frames(selected.video, different)}
        return FramesOutput(
            positions=selected.positions,
            seconds=[rounded(second) for second in selected.times()],
            sha256=[hashes[position] for position in selected.positions],
        )

    def _answer(self, prompt: EncodedPrompt, video: EncodedVideo, question: Question) -> AnswerOutput:
        """Generate greedily, as `LoadedModel.answer` does, and keep the ids and how sure the model was of each."""
        import torch

        model, processor = self._model.loaded
        inputs, _ = self._model.batch([prompt.content], [video])
        how = {"do_sample": False, "num_beams": 1, "return_dict_in_generate": True, "output_logits": True}
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=question.max_new_tokens, **how)
        ids_K = output.sequences[0, inputs["input_ids"].shape[1] :]
        logprobs_KV = torch.stack([logits[0] for logits in output.logits]).double().log_softmax(-1)
        best_K2 = logprobs_KV.topk(2).values
        [text] = processor.tokenizer.batch_decode([ids_K.tolist()], skip_special_tokens=True)
        return AnswerOutput(
            answer=HashedText.of(text.strip()),
            tokens=len(ids_K),
            ids_sha256=digest(json.dumps(ids_K.tolist())),
            logprobs=[rounded(float(logprobs_KV.gather(1, ids_K[:, None]).sum()))],
            margin=rounded(float((best_K2[:, 0] - best_K2[:, 1]).min())),
        )

    def _chosen(self, prompt: EncodedPrompt, video: EncodedVideo, question: Question) -> AnswerOutput:
        """Choose the likeliest continuation, as an evaluation does."""
        from vlmkit.model.tokens import IGNORE

        [found] = self._model.score([prompt], [video])
        logprobs = [each.logprob for each in found]
        best, *others = sorted(range(len(found)), key=lambda place: -logprobs[place])
        labels = prompt.content[best].labels
        ids = labels[labels != IGNORE].tolist()
        return AnswerOutput(
            answer=HashedText.of(question.continuations[best]),
            tokens=len(ids),
            ids_sha256=digest(json.dumps(ids)),
            logprobs=[rounded(logprob) for logprob in logprobs],
            margin=rounded(logprobs[best] - logprobs[others[0]]) if others else None,
        )

    def verdicts(
        self, answers: Sequence[tuple[Question, AnswerOutput]], judge: CapsuleJudge | None, judge_all: JudgeAll
    ) -> dict[str, VerdictOutput]:
        """Return by the id of the question how its answer is read, judged and scored: all answers at once, as some are
        judged together."""
        given = [Answer.to(question, said.answer.text) for question, said in answers]
        rules = self._benchmark.rules
        requests = read_with_rules(given, rules).requests
        asked = {key: _as_asked(request, judge).sha256 for key, request in requests.items()}
        scored = score_answers(given, rules, judge_all)
        return {one.document.id: _verdict(one, asked.get(one.document.id)) for one in scored}


def find_judge(judge: CapsuleJudge | None, find: FindVerdict) -> JudgeAll:
    """Return what judges requests: a judge that decides by rules is asked, of another one the kept verdict is found."""
    if judge is not None and judge.rules is not None:
        spec = read_component("judge", judge.rules, f"judge {judge}")
        assert isinstance(spec, JudgeSpec)
        return verdicts_of(spec)

    def kept(requests: Sequence[JudgeRequest]) -> list[Verdict | Unscored]:
        found = [find(_as_asked(request, judge)) for request in requests]
        return [one or Unscored("the capsule holds no verdict on this request") for one in found]

    return kept


def verdicts_of(spec: JudgeSpec) -> JudgeAll:
    """Return what asks a judge about requests."""
    built = spec.build()

    def ask(requests: Sequence[JudgeRequest]) -> list[Verdict | Unscored]:
        asked = [request if built.prompted else request.plain() for request in requests]
        said = dict(built.judge(asked))
        return [said[index] for index in range(len(asked))]

    return ask


def _as_asked(request: JudgeRequest, judge: CapsuleJudge | None) -> JudgeRequest:
    return request if judge is not None and judge.prompts else request.plain()


def _pixels(fitted: FittedVideo) -> PixelsOutput:
    return PixelsOutput(
        shape=list(fitted.pixels.shape),
        content_box=list(fitted.content_box),
        num_frames_present=fitted.num_frames_present,
        sha256=digest(fitted.pixels.tobytes()),
    )


def _visual(video: EncodedVideo) -> VisualOutput:
    from vlmkit.evaluation.question_blocks import QuestionBlocks

    made = video.content
    if isinstance(made, QuestionBlocks):
        [made] = made.tokens.values()
    embeds_ND = made.features
    tokens, width = embeds_ND.shape
    try:
        found = sketch(embeds_ND.double().cpu().numpy())
    except ValueError as error:
        raise DataError(f"the visual tokens of this video: {error}") from None
    return VisualOutput(tokens=tokens, width=width, dtype=str(embeds_ND.dtype).removeprefix("torch."), sketch=found)


def _verdict(scored: ScoredAnswer, request: str | None) -> VerdictOutput:
    reading, verdict = scored.reading, scored.verdict
    said: dict[str, Any] = {"outcome": scored.outcome, "request": request, "values": dict(scored.values)}
    if reading is not None:
        said |= {"state": reading.state, "choice": reading.choice, "number": reading.number}
    if isinstance(verdict, Verdict):
        said |= {"correct": verdict.correct, "score": verdict.score}
    return VerdictOutput(**said)
