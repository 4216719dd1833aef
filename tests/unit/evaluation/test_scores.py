"""From answers to scores: what is read, what is judged, what counts, and how values come together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import DataError, Document, JudgeRequest, Unscored, Verdict
from vlmkit.benchmarks.protocols import Rules, build_rules, read_protocols
from vlmkit.evaluation.answers import Answer, document_fields
from vlmkit.evaluation.pairing import compare_control
from vlmkit.evaluation.scores import ScoredAnswer, score_answers, summarize
from vlmkit.statistics.intervals import estimate, macro

CHOICE: dict[str, Any] = {
    "version": "1",
    "generation": {"max_new_tokens": 4},
    "evaluator": {"type": "multiple-choice", "extractor": {"type": "video-mme"}},
    "metrics": ["accuracy"],
}
OPEN: dict[str, Any] = {**CHOICE, "evaluator": {"type": "open-ended-qa"}, "metrics": ["accuracy", "score"]}


def rules(entry: dict[str, Any] = CHOICE, **changes: Any) -> Rules:
    return build_rules(read_protocols({**entry, **changes})["authors"], Path("here"))


def answer(key: str, said: str | None, **document: Any) -> Answer:
    options = ("red", "green", "blue")
    about = {
        "video": f"v{key[0]}",
        "question": "which?",
        "options": options,
        "correct": 1,
        "answer": "green",
        **document,
    }
    return Answer(**document_fields(Document(key, **about)), prediction=said)


def nobody(requests: Sequence[JudgeRequest]) -> list[Verdict]:
    raise AssertionError("no judge is needed")


def score(answers: Sequence[Answer], of: Rules | None = None) -> list[ScoredAnswer]:
    return score_answers(answers, of or rules(), nobody)


def test_rules_decide_without_a_judge() -> None:
    scored = score([answer("a1", "B"), answer("a2", "C"), answer("b1", "no idea"), answer("c1", None)])
    assert [(one.outcome, dict(one.values)) for one in scored] == [
        ("scored", {"accuracy": 1.0}),
        ("scored", {"accuracy": 0.0}),
        ("dropped", {}),
        ("skipped", {}),
    ]
    assert [one.is_right for one in scored] == [True, False, None, None]
    scores = summarize(scored, rules())
    assert (scores.n, scores.dropped, scores.skipped, scores.unreadable) == (2, 1, 1, 0)
    assert scores.metrics["accuracy"].value == 0.5


def test_an_answer_that_cannot_be_read_is_wrong_or_left_out_as_the_protocol_says() -> None:
    said = [answer("a1", "B"), answer("b1", "no idea")]
    strict = rules(evaluator={"type": "multiple-choice", "extractor": {"type": "strict"}})
    counted = summarize(score(said, strict), strict)
    assert (counted.n, counted.unreadable, counted.metrics["accuracy"].value) == (2, 1, 0.5)
    left_out = summarize(score(said), rules())
    assert (left_out.n, left_out.dropped, left_out.metrics["accuracy"].value) == (1, 1, 1.0)


def test_without_public_answers_nothing_counts() -> None:
    scores = summarize(score([answer("a1", "B", answer="", correct=None)]), rules())
    assert (scores.n, scores.dropped, scores.metrics) == (0, 1, {})


def test_what_no_rule_decides_is_judged_once_for_all() -> None:
    asked: list[list[JudgeRequest]] = []

    def judge(requests: Sequence[JudgeRequest]) -> list[Verdict | Unscored]:
        asked.append(list(requests))
        found = {"yes": Verdict(True, 2.0), "no": Verdict(False, 1.0), "half": Verdict(None, 2.5)}
        return [found.get(request.answer, Unscored("no reply")) for request in requests]

    given = dict(zip("abcd", ("yes", "no", "half", "?"), strict=True))
    said = [answer(f"{key}1", text, options=(), correct=None) for key, text in given.items()]
    scored = score_answers(said, rules(OPEN), judge)
    assert [[request.answer for request in some] for some in asked] == [["yes", "no", "half", "?"]]
    assert asked[0][0].references == ("green",)
    assert [one.outcome for one in scored] == ["scored", "scored", "scored", "unscored"]
    scores = summarize(scored, rules(OPEN))
    assert (scores.n, scores.unscored, scores.contradictions) == (3, 1, 1)
    assert scores.metrics["accuracy"].value == 0.5, "partially correct is neither right nor wrong"
    assert scores.metrics["score"].value == pytest.approx(5.5 / 3)


def test_two_answers_are_judged_together() -> None:
    def judge(requests: Sequence[JudgeRequest]) -> list[Verdict]:
        [request] = requests
        assert (request.other_question, request.other_answer) == ("and?", "green too")
        return [Verdict(None, 4.0)]

    pair = [
        answer("a1", "green", options=(), correct=None, companion="a2"),
        answer("a2", "green too", options=(), correct=None, question="and?"),
    ]
    scored = score_answers(pair, rules(OPEN), judge)
    assert [one.outcome for one in scored] == ["scored", "companion"]
    scores = summarize(scored, rules(OPEN))
    assert (scores.n, scores.skipped, scores.metrics["score"].value) == (1, 0, 4.0)


def four() -> list[Answer]:
    """Two questions of task one about two videos, one each of task two about the same."""
    said = (("a1", "B", "one"), ("b1", "A", "one"), ("b2", "A", "one"), ("a2", "B", "two"))
    return [answer(key, text, task=task, tags={"aspect": key[1]}) for key, text, task in said]


def test_the_mean_over_tasks_is_none_over_questions() -> None:
    of = rules(aggregate={"over": "task"})
    scores = summarize(score(four(), of), of)
    expected = macro([1, 0, 0, 1], ["one", "one", "one", "two"], ["va", "vb", "vb", "va"])
    assert scores.metrics["accuracy"].value == pytest.approx((1 / 3 + 1) / 2)
    assert scores.metrics["accuracy"].ci95 == [expected.low, expected.high]
    assert {name: part.n for name, part in scores.by["task"].items()} == {"one": 3, "two": 1}
    plain = estimate([1, 0, 0, 1], ["va", "vb", "vb", "va"])
    assert summarize(score(four()), rules()).metrics["accuracy"].ci95 == [plain.low, plain.high]


def test_a_group_is_right_when_all_of_it_is() -> None:
    of = rules(aggregate={"all_right": True})
    said = [answer("a1", "B", group="g"), answer("a2", "B", group="g"), answer("b1", "B", group="h"),
            answer("b2", "C", group="h")]  # fmt: skip
    scores = summarize(score(said, of), of)
    assert (scores.n, scores.metrics["accuracy"].value) == (4, 0.5)


def test_scores_are_told_apart_by_columns() -> None:
    scores = summarize(score(four()), rules(), break_down=("task", "aspect"))
    assert {column: {name: part.n for name, part in parts.items()} for column, parts in scores.by.items()} == {
        "task": {"one": 3, "two": 1},
        "aspect": {"1": 2, "2": 2},
    }
    with pytest.raises(DataError, match="has no 'aspct', by which scores are told apart; did you mean 'aspect'"):
        summarize(score(four()), rules(), break_down=("aspct",))


def test_questions_without_a_tag_that_others_have_are_in_none_of_its_parts() -> None:
    some = score([answer("a1", "B", tags={"aspect": "speed"}), answer("b1", "C")])
    assert {name: part.n for name, part in summarize(some, rules(), break_down=("aspect",)).by["aspect"].items()} == {
        "speed": 1
    }


def test_answers_are_clustered_by_video_or_group() -> None:
    said = [answer(f"{key}1", "B" if key in "ab" else "C", group="g" if key in "ab" else "h") for key in "abcd"]
    by_video, by_group = (
        summarize(score(said), rules(), cluster).metrics["accuracy"] for cluster in ("video", "group")
    )
    assert by_video.value == by_group.value == 0.5
    assert by_group.ci95[0] < by_video.ci95[0] < by_video.ci95[1] < by_group.ci95[1]


def test_a_control_is_compared_question_by_question() -> None:
    own = score([answer("a1", "B"), answer("b1", "B"), answer("c1", "A"), answer("d1", "no idea")])
    control = score([answer("a1", "B"), answer("b1", "A"), answer("c1", "A"), answer("d1", "B")])
    found = compare_control(own, control, rules(), "video")["accuracy"]
    assert found.value == pytest.approx(1 / 3), "of the questions that count in both"
    assert found.ci95[0] < 0 < found.ci95[1]
