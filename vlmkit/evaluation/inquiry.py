"""All that one result depends on, known before anything is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlmkit.api.judge import Judge
from vlmkit.evaluation.questions import Question, blind_questions, questions
from vlmkit.evaluation.selection import Selection
from vlmkit.spec.evaluation import EvaluationSpec
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import origins, versions

__all__ = ["Inquiry"]


@dataclass(frozen=True)
class Inquiry:
    """One benchmark, put to one model, before one judge."""

    selection: Selection
    options: EvaluationSpec
    asked: Mapping[str, Sequence[Question]]
    """The questions by task: the benchmark's own, and, where the spec wants them, the blind ones."""
    judge: Judge
    model_sha256: str
    answering: Mapping[str, str]
    """Package and version of each component that the answers depend on."""
    judging: Mapping[str, str]
    """The same of what reads the questions and scores the answers."""

    @classmethod
    def of(cls, selection: Selection, spec: ExperimentSpec, model_sha256: str) -> Inquiry:
        """What the spec wants to know of the selection, from the model of that checksum."""
        options = spec.evaluation
        assert options is not None
        asked = {selection.name: questions(selection)}
        if options.blind:
            asked[f"{selection.name}-blind"] = blind_questions(selection, spec.seed)
        answering = versions(origins(spec.model, spec.data.reader))
        judging = versions(selection.origins | origins(options.judge))
        return cls(selection, options, asked, options.judge.build(), model_sha256, answering, judging)

    @property
    def longest(self) -> int:
        """The longest answer in tokens."""
        return self.options.max_new_tokens or self.selection.benchmark.max_new_tokens

    @property
    def how(self) -> str:
        """What all answers depend on: the model, and how it is asked. Batches change the last digits of a forward."""
        return json.dumps([self.model_sha256, self.longest, self.options.batch_size, dict(self.answering)])

    @property
    def judge_version(self) -> str:
        """What the judge says of itself, and the package that it is from."""
        judge = self.options.judge
        return f"{self.judge.version} ({self.judging[f'{judge.kind}/{judge.address}']})"

    def described(self) -> dict[str, Any]:
        """What a result says of this: one that says otherwise is of something else."""
        prints = [question.fingerprint(self.how) for some in self.asked.values() for question in some]
        selection = self.selection
        return {
            "benchmark": selection.benchmark.name,
            "version": selection.benchmark.version,
            "split": selection.split,
            "limit": selection.limit,
            "annotations": {**selection.annotations.source, "registered": selection.annotations.registered},
            "asked": hashlib.sha256("".join(prints).encode()).hexdigest(),
            "model_sha256": self.model_sha256,
            "decoding": {"greedy": True, "max_new_tokens": self.longest, "batch_size": self.options.batch_size},
            "judge": {"name": self.options.judge.type, "version": self.judge_version},
            "components": {**self.answering, **self.judging},
        }
