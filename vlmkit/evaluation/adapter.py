"""Our model as a model of lm-eval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from vlmkit.data import BadSamples, FittedVideo
from vlmkit.errors import UnreadableVideo
from vlmkit.evaluation.journal import Journal
from vlmkit.evaluation.questions import Question
from vlmkit.evaluation.respond import Respond
from vlmkit.progress import Progress

__all__ = ["VideoLMAdapter"]


class VideoLMAdapter(LM):
    """Answers requests batch by batch and keeps every batch in the journal of its task.

    Requests are put in order of the videos that they show, so that a video is decoded once for all its questions, blind
    ones included, and cut into batches. The same requests always give the same batches, and a batch that a kill has cut
    short, or in which a video was repaired, is asked again as a whole: no answer depends on where an evaluation was
    interrupted.
    """

    MULTIMODAL = True

    def __init__(
        self,
        respond: Respond,
        load_video: Callable[[str], FittedVideo],
        journals: Mapping[str, Journal],
        bad: BadSamples,
        batch_size: int,
        how: str,
        title: str = "evaluation",
    ) -> None:
        """`journals` by task name; `bad` counts videos; `how` as in `Question.fingerprint`; `title` stands before the
        progress."""
        super().__init__()
        self._respond = respond
        self._load_video = load_video
        self._journals = journals
        self._bad = bad
        self._batch_size = batch_size
        self._how = how
        self._title = title
        self._videos: dict[str, FittedVideo] = {}
        self._repaired: dict[str, bool] = {}

    def generate_until(self, requests: Sequence[Instance]) -> list[str | None]:
        """The answers in the order of the requests; None where a video could not be read."""
        first: dict[str, int] = {}
        for request in requests:
            first.setdefault(request.doc.shown, len(first))
        order = iter(sorted(requests, key=lambda request: first[request.doc.shown]))
        with Progress(self._title, len(requests)) as progress:
            while batch := list(islice(order, self._batch_size)):
                if not all(self._is_done(request) for request in batch):
                    self._answer(batch)
                self._count(batch)
                progress.advance(len(batch))
                progress.tell(f"{progress.done} of {progress.total} questions")
        self._bad.finish()
        self._videos = {}
        return [self._kept(request)["prediction"] for request in requests]

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Not offered."""
        raise NotImplementedError("the tasks of vlmkit ask for free answers; likelihoods are not offered")

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        """Not offered."""
        raise NotImplementedError("the tasks of vlmkit ask for free answers; likelihoods are not offered")

    def _is_done(self, request: Instance) -> bool:
        journal, question = self._journals[request.task_name], request.doc
        key = question.document.id
        if key not in journal or journal[key]["asked"] != question.fingerprint(self._how):
            return False
        return "skipped" not in journal[key] or not self._is_repaired(question)

    def _is_repaired(self, question: Question) -> bool:
        """Whether a video that could not be read can be by now; its path and size do not tell."""
        name = question.shown
        if name not in self._repaired:
            self._repaired[name] = not self._decode([question])
        return self._repaired[name]

    def _answer(self, batch: Sequence[Instance]) -> None:
        problems = self._decode([request.doc for request in batch])
        seen = [request for request in batch if request.doc.shown not in problems]
        answers: Sequence[str] = []
        if seen:
            videos = [self._videos[request.doc.shown] for request in seen]
            answers = self._respond([request.args[0] for request in seen], videos, _longest(seen[0]))
        predictions = dict(zip(map(id, seen), answers, strict=True))
        for name, journal in self._journals.items():
            lines = [
                self._line(request.doc, predictions.get(id(request)), problems)
                for request in batch
                if request.task_name == name
            ]
            if lines:
                journal.append(lines)

    def _decode(self, questions: Sequence[Question]) -> dict[str, str]:
        """Make a batch's videos ready, where possible from the batch before. What cannot be read, with the reason."""
        before, self._videos, problems = self._videos, {}, {}
        for question in questions:
            name = question.shown
            if name in self._videos or name in problems:
                continue
            if question.path is None:
                problems[name] = question.problem
            elif name in before:
                self._videos[name] = before[name]
            else:
                try:
                    self._videos[name] = self._load_video(str(question.path))
                except UnreadableVideo as error:
                    problems[name] = str(error)
        return problems

    def _count(self, batch: Sequence[Instance]) -> None:
        for request in batch:
            question, reason = request.doc, self._kept(request).get("skipped")
            if reason is None:
                self._bad.good(question.shown)
            else:
                self._bad.record(question.shown, question.path and str(question.path), reason)

    def _line(self, question: Question, prediction: str | None, problems: Mapping[str, str]) -> dict[str, Any]:
        line = {**question.entry(), "asked": question.fingerprint(self._how), "prediction": prediction}
        return line if prediction is not None else {**line, "skipped": problems[question.shown]}

    def _kept(self, request: Instance) -> dict[str, Any]:
        return self._journals[request.task_name][request.doc.document.id]


def _longest(request: Instance) -> int:
    return int(request.args[1]["max_gen_toks"])
