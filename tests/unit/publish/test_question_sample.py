"""The questions that a capsule shows."""

from __future__ import annotations

from collections import Counter

from vlmkit.publish.question_sample import AnsweredQuestion, sample_questions

QUESTIONS = [
    AnsweredQuestion(benchmark, kind, "wrong" if number % 20 == 0 else "right", f"{kind}-{number}")
    for benchmark, count in (("big", 400), ("small", 40))
    for kind in ("what", "where", "how")
    for number in range(count)
]


def test_every_benchmark_type_and_outcome_is_there() -> None:
    found = sample_questions(QUESTIONS, 16, seed=0)
    assert len(set(found)) == 16
    cells = Counter(one[:3] for one in found)
    assert len(cells) == 12
    assert max(cells.values()) == 2


def test_few_questions_are_of_all_benchmarks() -> None:
    for seed in range(20):
        found = sample_questions(QUESTIONS, 2, seed)
        assert {one.benchmark for one in found} == {"big", "small"}
        assert len({one[:3] for one in sample_questions(QUESTIONS, 9, seed)}) == 9


def test_the_seed_decides_and_the_order_does_not() -> None:
    found = sample_questions(QUESTIONS, 16, seed=1)
    assert sample_questions(QUESTIONS[::-1], 16, seed=1) == found
    assert sample_questions(QUESTIONS, 16, seed=2) != found


def test_all_are_taken_where_there_are_fewer() -> None:
    assert set(sample_questions(QUESTIONS[:5], 16, seed=0)) == set(QUESTIONS[:5])
    assert sample_questions([], 16, seed=0) == []
