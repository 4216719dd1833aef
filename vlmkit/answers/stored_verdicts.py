"""Verdicts that others' judges gave, as a judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from vlmkit.answers.imported import StoredVerdict
from vlmkit.answers.matching import AnsweredDocument
from vlmkit.api.judge import Judge, Unscored, Verdict
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.benchmarks.protocols import Rules
from vlmkit.evaluation.answers import Answer, document_fields
from vlmkit.evaluation.scores import judge_request

__all__ = ["StoredVerdicts", "as_answers", "request_of_each"]


def as_answers(answered: Sequence[AnsweredDocument]) -> list[Answer]:
    """Return lines of predictions.jsonl. What a tool got no answer to is an empty one, which each protocol counts in
    its way: a question that was skipped would be left out."""
    return [Answer(**document_fields(one.document), prediction=one.answer or "") for one in answered]


def request_of_each(answers: Sequence[Answer], rules: Rules) -> dict[str, JudgeRequest]:
    """Return what a judge would be asked about each answer, by the id of the question."""
    by_id = {answer.id: answer for answer in answers}
    return {
        answer.id: judge_request(answer.document, answer.prediction or "", rules, by_id.get(answer.companion))
        for answer in answers
    }


class StoredVerdicts(Judge):
    """One judge's verdicts, found by what it was asked. Answers that it did not judge are unscored.

    A judge that was asked the same more than once may have said different things: they are given in the order of the
    questions.
    """

    version = "stored"

    def __init__(self, name: str, verdicts: Mapping[str, StoredVerdict], requests: Mapping[str, JudgeRequest]) -> None:
        """Take verdicts and requests by the id of the question; those of other judges than `name` are left out."""
        self.name = name
        self.requests = [
            request for key, request in requests.items() if key in verdicts and verdicts[key].judge == name
        ]
        """About which there is a verdict."""
        self._said: dict[str, list[StoredVerdict]] = {}
        for key, request in requests.items():
            if key in verdicts and verdicts[key].judge == name:
                self._said.setdefault(request.sha256, []).append(verdicts[key])

    @property
    def contradicted(self) -> int:
        """How many verdicts differ from the first one about the same question and answer."""
        return sum(
            one.correct != said[0].correct or one.score != said[0].score for said in self._said.values() for one in said
        )

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Verdict | Unscored]]:
        """Yield the stored verdicts."""
        seen: Counter[str] = Counter()
        for index, request in enumerate(requests):
            said = self._said.get(request.sha256)
            if said is None:
                yield index, Unscored(f"there is no stored verdict of {self.name} on this answer")
                continue
            found = said[min(seen[request.sha256], len(said) - 1)]
            seen[request.sha256] += 1
            yield index, Verdict(found.correct, found.score, found.raw, cost=None, model=self.name)
