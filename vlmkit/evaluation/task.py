"""A benchmark as a task of lm-eval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import Task, TaskConfig
from lm_eval.filters import build_filter_ensemble

from vlmkit.api.evaluator import Document, Evaluator
from vlmkit.api.judge import Unscored, Verdict
from vlmkit.evaluation.questions import Question

__all__ = ["BenchmarkTask"]


class BenchmarkTask(Task):
    """Questions about videos, answered freely and scored by a judge.

    A document of lm-eval is a `Question`; an instance's arguments are the prompt, the generation settings and
    `{"visual": [path]}`. What was skipped or not scored takes no part in any metric.
    """

    OUTPUT_TYPE = "generate_until"
    MULTIMODAL = True

    def __init__(
        self,
        name: str,
        version: str,
        asked: Sequence[Question],
        evaluator: Evaluator,
        metrics: Sequence[str],
        judge: Callable[[Document, str], Verdict | Unscored],
        max_new_tokens: int,
    ) -> None:
        self.VERSION = version
        self.asked = list(asked)
        self.evaluator = evaluator
        self.metrics = tuple(metrics)
        self.judge = judge
        self.generation = {"max_gen_toks": max_new_tokens, "do_sample": False, "until": []}
        # Task.__init__ would load a dataset of the hub; like lm-eval's ConfigurableTask, this one does without it.
        self._config = TaskConfig(
            task=name, num_fewshot=0, generation_kwargs=self.generation, metadata={"version": version}
        )
        self._filters = [build_filter_ensemble("none", [["take_first", None]])]
        self._instances: list[Instance] = []

    def has_training_docs(self) -> bool:
        """None."""
        return False

    def has_validation_docs(self) -> bool:
        """None."""
        return False

    def has_test_docs(self) -> bool:
        """All of them."""
        return True

    def test_docs(self) -> list[Question]:
        """The questions."""
        return self.asked

    def doc_to_text(self, doc: Question) -> str:
        """The prompt."""
        return doc.prompt

    def doc_to_target(self, doc: Question) -> str:
        """The reference answer."""
        return doc.document.answer

    def doc_to_image(self, doc: Question) -> list[str]:
        """The video's path, which lm-eval hands on untouched."""
        return [str(doc.path)]

    def build_all_requests(
        self,
        *,
        limit: int | None = None,
        samples: list[int] | None = None,
        rank: int = 0,
        world_size: int = 1,
        **_: Any,
    ) -> None:
        """One request per question, without examples before it and without lm-eval's progress bar."""
        chosen = self.doc_iterator(rank=rank, limit=limit, samples=samples, world_size=world_size)
        self._instances = [
            self.construct_requests(doc, self.doc_to_text(doc), metadata=(self.task_name, index, 1))
            for index, doc in chosen
        ]

    def construct_requests(self, doc: Question, ctx: str, **kwargs: Any) -> Instance:
        """One generation."""
        arguments = (ctx, dict(self.generation), {"visual": self.doc_to_image(doc)})
        return Instance("generate_until", doc, arguments, 0, metadata=kwargs["metadata"])

    def process_results(self, doc: Question, results: Sequence[str | None]) -> Mapping[str, float]:
        """The values of one question; none where it was skipped or the judge failed."""
        [prediction] = results
        verdict = None if prediction is None else self.judge(doc.document, prediction)
        if not isinstance(verdict, Verdict):
            return {}
        scores = self.evaluator.score(doc.document, verdict)
        return {name: scores[name] for name in self.metrics}

    def aggregation(self) -> dict[str, Callable[[Sequence[float]], float]]:
        """The mean, for all metrics."""
        return dict.fromkeys(self.metrics, mean)

    def higher_is_better(self) -> dict[str, bool]:
        """Always."""
        return dict.fromkeys(self.metrics, True)
