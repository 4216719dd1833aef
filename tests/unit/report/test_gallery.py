"""The choice of answers that the gallery shows."""

from __future__ import annotations

from collections import Counter

import pytest

from vlmkit.api import Reading, Unscored, Verdict
from vlmkit.evaluation.answers import Answer
from vlmkit.evaluation.scores import ScoredAnswer
from vlmkit.report.gallery import choose, outcome


def answer(key: str, kind: str, correct: bool | None) -> ScoredAnswer:
    verdict = Unscored("no") if correct is None else Verdict(correct, float(correct))
    said = Answer(id=key, type=kind, video="v", question="?", answer="left", asked="0", prediction="left")
    outcome, values = ("unscored", {}) if correct is None else ("scored", {"accuracy": float(correct)})
    return ScoredAnswer(said, said.document, outcome, Reading("judge"), verdict, values)


def predictions(counts: dict[tuple[str, bool | None], int]) -> list[ScoredAnswer]:
    groups = counts.items()
    return [answer(f"{kind}-{correct}-{i}", kind, correct) for (kind, correct), n in groups for i in range(n)]


def test_outcomes_come_in_proportion_to_within_one() -> None:
    every = predictions({("colour", True): 490, ("colour", False): 10, ("speed", True): 275, ("speed", False): 225})
    for seed in range(20):
        wrong = sum(not p.is_right for p in choose(every, 15, seed))
        assert wrong in (3, 4)  # 15 * 235 / 1000 = 3.5


def test_types_come_in_proportion_within_an_outcome() -> None:
    every = predictions({("what", True): 600, ("who", True): 300, ("when", True): 100})
    assert Counter(p.document.type for p in choose(every, 10, 3)) == {"what": 6, "who": 3, "when": 1}


def test_a_seed_fixes_the_choice_whatever_the_order_of_the_file() -> None:
    every = predictions({("what", True): 60, ("who", False): 40})
    assert choose(every, 8, 5) == choose(every[::-1], 8, 5)
    assert choose(every, 8, 5) != choose(every, 8, 6)


@pytest.mark.parametrize("have", [0, 1, 3])
def test_all_are_shown_once_where_there_are_few(have: int) -> None:
    every = predictions({("what", True): have})
    assert sorted(p.document.id for p in choose(every, 15, 0)) == sorted(p.document.id for p in every)


def test_unscored_is_neither_correct_nor_wrong() -> None:
    assert [outcome(answer("q", "what", value)) for value in (True, False, None)] == ["correct", "wrong", "unscored"]
