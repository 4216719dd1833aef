"""A benchmark of vlmkit's registry as a task of lm-eval."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import Task, TaskConfig
from lm_eval.filters import build_filter_ensemble
from pydantic import ValidationError

from vlmkit.api import DataError, JudgeRequest, Unscored, UserError, Verdict, shown
from vlmkit.evaluation import (
    Aggregate,
    Answer,
    EvaluationSpec,
    ScoredAnswer,
    aggregate,
    document_fields,
    is_error,
    judge_of,
    own_questions,
    prepare_benchmark,
    score_answers,
)

__all__ = ["BenchmarkTask"]

_log = logging.getLogger(f"lm_eval.{__name__}")


class BenchmarkTask(Task):
    """Questions about videos, answered freely and judged.

    A document of lm-eval is the question as `{id, video, question, answer, type}`; the arguments of an instance are the
    user's words, the generation settings and `{visual: [path of the video], system, reply, sampling?, span?,
    continuations?}`. What the judge fails on is in no metric. Aggregates are those of the protocol: over all questions,
    of the means by task, of groups that are right as a whole.
    """

    OUTPUT_TYPE = "generate_until"
    MULTIMODAL = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Find and verify annotations and videos, draw clips where the benchmark says so.

        `config` has the name of the benchmark under `task`. What a spec file says of it under `evaluation.benchmarks`,
        and the judge, is in the metadata under that name: `{msvd-qa: {video_root: …, judge: exact}}`.
        """
        name = config["task"]
        options = (config.get("metadata") or {}).get(name, {})
        evaluation = _read_options(name, options)
        try:
            prepared = prepare_benchmark(evaluation.benchmarks[0])
        except DataError as error:
            where = f"--metadata '{{\"{name}\": {{…}}}}'"
            raise DataError(f"{error} (lm-eval takes options of a benchmark from {where})") from None
        benchmark = prepared.benchmark
        self.VERSION = benchmark.version
        self._rules, self._metrics = prepared.rules, prepared.rules.protocol.metrics
        self._questions = {question.document.id: question for question in own_questions(prepared)}
        self._companions = {question.document.companion for question in self._questions.values()}
        self._cluster = benchmark.cluster
        judge = judge_of(evaluation, prepared)
        self._judge = None if judge is None else judge.build()
        # Task.__init__ would load a data set of the hub; like lm-eval's ConfigurableTask, this one does without it.
        self._config = TaskConfig(
            task=name,
            task_alias=config.get("task_alias"),
            num_fewshot=0,
            generation_kwargs={"max_gen_toks": prepared.rules.base.max_new_tokens, "do_sample": False, "until": []},
            metadata={"version": benchmark.version, "split": prepared.split, "options": options},
        )
        self._filters = [build_filter_ensemble("none", [["take_first", None]])]
        self._instances: list[Instance] = []

    def has_training_docs(self) -> bool:
        """Return False: there are none."""
        return False

    def has_validation_docs(self) -> bool:
        """Return False: there are none."""
        return False

    def has_test_docs(self) -> bool:
        """Return True: all documents are."""
        return True

    def test_docs(self) -> list[dict[str, Any]]:
        """Return the questions, in the order of the benchmark."""
        return [document_fields(question.document) for question in self._questions.values()]

    def doc_to_text(self, doc: Mapping[str, str]) -> str:
        """Return the prompt, with `<video>` where the video stands."""
        return self._questions[doc["id"]].prompt.user

    def doc_to_target(self, doc: Mapping[str, str]) -> str:
        """Return the reference answer."""
        return doc["answer"]

    def doc_to_image(self, doc: Mapping[str, str]) -> list[str]:
        """Return the path of the video. A DataError where there is no file."""
        question = self._questions[doc["id"]]
        if question.path is None:
            raise DataError(
                f"{self.task_name}, question {doc['id']}: {question.problem}; lm-eval cannot leave questions "
                "out: add the file, or use `vlmkit eval`, which counts them"
            )
        return [str(question.path)]

    def build_all_requests(
        self,
        *,
        limit: int | None = None,
        samples: list[int] | None = None,
        rank: int = 0,
        world_size: int = 1,
        system_instruction: str | None = None,
        **_: Any,
    ) -> None:
        """Make one request per question, without examples before it; the model applies the chat template."""
        if system_instruction is not None:
            raise UserError(
                f"{self.task_name}: --system_instruction cannot be set: the benchmarks of vlmkit have a prompt of "
                "their own; give it to text tasks alone"
            )
        chosen = self.doc_iterator(rank=rank, limit=limit, samples=samples, world_size=world_size)
        self._instances = [
            self.construct_requests(doc, self.doc_to_text(doc), metadata=(self.task_name, index, 1))
            for index, doc in chosen
        ]

    def construct_requests(self, doc: dict[str, str], ctx: str, **kwargs: Any) -> Instance:
        """Return the request of one question."""
        question = self._questions[doc["id"]]
        shown: dict[str, Any] = {
            "visual": self.doc_to_image(doc),
            "system": question.prompt.system,
            "reply": question.prompt.reply,
        }
        more: dict[str, Any] = {
            "sampling": self._rules.protocol.frames,
            "span": question.document.span,
            "continuations": question.continuations,
        }
        shown |= {name: value for name, value in more.items() if value}
        generation = dict(self.config.generation_kwargs)
        if generation["max_gen_toks"] == self._rules.base.max_new_tokens:  # the user has not set another one
            generation["max_gen_toks"] = question.max_new_tokens
        arguments = (ctx, generation, shown)
        return Instance("generate_until", doc, arguments, 0, metadata=kwargs["metadata"])

    def process_results(self, doc: Mapping[str, str], results: Sequence[str]) -> Mapping[str, float]:
        """Return the values of one question by metric; none where the judge failed, or where it is judged together with
        another one, or should be with one that was not asked.
        """
        document = self._questions[doc["id"]].document
        answers = [self._answer(document.id, results[0])]
        if document.id in self._companions:
            return {}
        if document.companion:
            replies = {instance.doc["id"]: instance.filtered_resps["none"] for instance in self._instances}
            if document.companion not in replies:
                return {}
            answers.append(self._answer(document.companion, replies[document.companion]))
        scored, *_ = score_answers(answers, self._rules, self._judge_all)
        if isinstance(scored.verdict, Unscored):
            _log.warning(
                "%s, question %s: left out of all metrics: %s", self.task_name, doc["id"], scored.verdict.reason
            )
        return {metric: _Value.of(scored, value) for metric, value in scored.values.items()}

    def _answer(self, key: str, prediction: str) -> Answer:
        return Answer.to(self._questions[key], prediction)

    def _judge_all(self, requests: Sequence[JudgeRequest]) -> list[Verdict | Unscored]:
        assert self._judge is not None  # rules that alone decide ask for none
        requests = requests if self._judge.prompted else [request.plain() for request in requests]
        return [verdict for _, verdict in sorted(self._judge.judge(requests), key=lambda given: given[0])]

    def aggregation(self) -> dict[str, Callable[[Sequence[Any]], float]]:
        """Return the mean or, where the protocol says something else, that, for each metric."""
        if self._rules.protocol.aggregate == Aggregate():
            return dict.fromkeys(self._metrics, mean)  # of which lm-eval knows the standard error
        return {metric: partial(self._aggregate, metric) for metric in self._metrics}

    def _aggregate(self, metric: str, values: Sequence[_Value]) -> float:
        return aggregate([value.scored for value in values], metric, self._rules, self._cluster)

    def higher_is_better(self) -> dict[str, bool]:
        """Return False for errors, and True for all other metrics."""
        return {metric: not is_error(metric) for metric in self._metrics}


class _Value(float):
    """The value of one question, which knows where it comes from, for aggregates that are no mean over questions."""

    scored: ScoredAnswer

    @classmethod
    def of(cls, scored: ScoredAnswer, value: float) -> Self:
        """Return the value of a scored answer."""
        own = cls(value)
        own.scored = scored
        return own


def _read_options(name: str, options: Any) -> EvaluationSpec:
    """Return the benchmark with its judge. A DataError where an option is none of a benchmark."""
    if not isinstance(options, Mapping):
        raise DataError(f"--metadata: expected the options of {name} as a mapping, found {shown(options)}")
    own = {key: value for key, value in options.items() if key != "judge"} | {"name": name}
    judge = {"judge": options["judge"]} if "judge" in options else {}
    try:
        return EvaluationSpec.model_validate({"benchmarks": [own], **judge})
    except ValidationError as error:
        problems = [f"{item['loc'][-1]}: {item['msg']}" for item in error.errors()]
        raise DataError(f"--metadata, options of {name}: {'; '.join(problems)}") from None
