"""The plan of `moving-shapes`: balanced answers, disjoint splits, held-out pairs."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import pytest

from vlmkit_datasets._clips import (
    COLORS,
    DIRECTIONS,
    HELD_OUT,
    NUMBERS,
    SEEN,
    SHAPES,
    SPEEDS,
    Clip,
    ClipQuestion,
    Mover,
)
from vlmkit_datasets._levels import plan_clips

ANSWERS = {
    "colour": set(COLORS),
    "shape": set(SHAPES),
    "direction": set(DIRECTIONS),
    "speed": set(SPEEDS),
    "count": set(NUMBERS),
    "order": set(COLORS),
}
CHANCE = {
    # what the wording leaves open: five colors per shape and two or three shapes per color occur
    "simple": {"colour": 1 / 6, "shape": 1 / 3, "direction": 1 / 4, "speed": 1 / 2, "count": 1 / 4, "order": 1 / 6},
    "scenes": {"colour": 1 / 5, "shape": (1 / 2 + 1 / 3) / 2, "direction": 1 / 4, "speed": 1 / 2},
}
CLIPS = {"simple": 8 * 360, "scenes": 4 * 360}
"""So many that every deck is dealt out to the end."""


def _tested(clips: list[Clip]) -> list[ClipQuestion]:
    return [question for clip in clips for question in clip.questions[: clip.tested]]


def _blind(questions: list[ClipQuestion]) -> dict[str, float]:
    """The best accuracy by type of a guesser that knows every question's words and how often each answer is right."""
    by_words: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for question in questions:
        by_words[question.type, question.question][question.answer] += 1
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for (kind, _), answers in by_words.items():
        right[kind] += max(answers.values())
        total[kind] += sum(answers.values())
    return {kind: right[kind] / total[kind] for kind in total}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("level", ["simple", "scenes"])
def test_without_the_video_guessing_is_all_there_is(level: str, split: str) -> None:
    questions = _tested(plan_clips(level, split, CLIPS[level], 0))
    blind = _blind(questions)
    assert set(blind) == set(CHANCE[level])
    for kind, accuracy in blind.items():
        assert accuracy == pytest.approx(CHANCE[level][kind], abs=1e-9), kind
    assert sum(blind.values()) / len(blind) <= 0.40


@pytest.mark.parametrize("level", ["simple", "scenes"])
def test_types_and_answers_come_equally_often(level: str) -> None:
    questions = _tested(plan_clips(level, "test", CLIPS[level], 3))
    types = Counter(question.type for question in questions)
    assert len(set(types.values())) == 1
    for kind in types:
        answers = Counter(question.answer for question in questions if question.type == kind)
        assert set(answers) == ANSWERS[kind]
        if (level, kind) != ("scenes", "colour"):
            assert len(set(answers.values())) == 1, (kind, answers)


@pytest.mark.parametrize("clips", [100, 333])
def test_a_small_split_is_nearly_balanced(clips: int) -> None:
    # What a deck that is not dealt out to the end can give more than its share of, at the most.
    questions = _tested(plan_clips("simple", "test", clips, 1))
    for kind, answers in ANSWERS.items():
        found = Counter(question.answer for question in questions if question.type == kind)
        assert max(found.values()) - min(found[a] for a in answers) <= 6 * 2, (kind, found)


@pytest.mark.parametrize("level", ["simple", "scenes"])
def test_conversations_are_balanced_too(level: str) -> None:
    """Every question of a clip, not only the tested ones."""
    blind = _blind([question for clip in plan_clips(level, "train", CLIPS[level], 0) for question in clip.questions])
    for kind, accuracy in blind.items():
        assert accuracy <= CHANCE[level][kind] + 0.05, kind


def test_the_kind_of_a_simple_clip_tells_no_answer() -> None:
    clips = plan_clips("simple", "train", CLIPS["simple"], 0)
    for words in ({"What colour is the shape?"}, {"Which colour appears first?"}, {"Which colour appears last?"}):
        for tested_first in (True, False):
            chosen = [
                question
                for clip in clips
                for question in clip.questions
                if question.question in words and (clip.questions[0].question in words) == tested_first
            ]
            assert _blind(chosen)[chosen[0].type] == pytest.approx(1 / 6)


@pytest.mark.parametrize("level", ["simple", "scenes"])
def test_held_out_pairs_stand_in_compositional_alone(level: str) -> None:
    assert len(SEEN) + len(HELD_OUT) == len(COLORS) * len(SHAPES)
    for split in ("train", "val", "test"):
        shown = {(m.color, m.shape) for clip in plan_clips(level, split, 400, 0) for m in clip.movers}
        assert shown == set(SEEN), split
    for clip in plan_clips(level, "compositional", 400, 0):
        assert any((m.color, m.shape) in HELD_OUT for m in clip.movers)
        for question in clip.questions:
            assert _about(question, clip.movers) & set(HELD_OUT), question


def _about(question: ClipQuestion, movers: tuple[Mover, ...]) -> set[tuple[str, str]]:
    """The pairs that a question with its answer may be about."""
    words = set(question.question.rstrip("?").lower().split()) | {question.answer}
    named = [m for m in movers if (m.color in words or not words & set(COLORS))]
    return {(m.color, m.shape) for m in named if m.shape in words or not words & set(SHAPES)}


@pytest.mark.parametrize("split", ["train", "compositional"])
def test_a_question_about_one_of_several_has_one_answer(split: str) -> None:
    for clip in plan_clips("scenes", split, 600, 0):
        assert len(clip.movers) in (2, 3)
        for question in clip.questions:
            words = question.question.rstrip("?").split()
            meant = [m for m in clip.movers if (m.color in words) + (m.shape in words) == _named(words)]
            assert len(meant) == 1, (question, clip.movers)
            assert question.answer == _truth(question.type, meant[0])


def _named(words: list[str]) -> int:
    return sum(word in COLORS or word in SHAPES for word in words)


def _truth(kind: str, mover: Mover) -> str:
    length = sum(map(abs, mover.path))
    if kind == "speed":
        return "fast" if length > 0.4 else "slow"
    if kind == "direction":
        return next(d for d, (x, y) in DIRECTIONS.items() if x * mover.path[0] + y * mover.path[1] > 0)
    return mover.color if kind == "colour" else mover.shape


def test_simple_answers_are_true() -> None:
    for clip in plan_clips("simple", "train", 800, 0):
        movers = sorted(clip.movers, key=lambda m: m.appears)
        for question in clip.questions:
            if question.type == "count":
                assert NUMBERS[question.answer] == len(movers)
            elif question.type == "order":
                assert question.answer == movers[0 if "first" in question.question else 1].color
                assert movers[1].appears - movers[0].appears > 0.3
            else:
                assert len(movers) == 1
                assert question.answer == _truth(question.type, movers[0])


def test_no_question_says_an_answer() -> None:
    for level, split in itertools.product(("simple", "scenes"), ("train", "compositional")):
        for clip in plan_clips(level, split, 400, 0):
            words = {word for question in clip.questions for word in question.question.rstrip("?").lower().split()}
            assert not words & {question.answer for question in clip.questions}
            if level == "scenes" and len(clip.questions) > 1:
                assert {question.type for question in clip.questions} == {"direction", "speed"}


def test_plans_follow_from_the_seed_and_differ_otherwise() -> None:
    assert plan_clips("simple", "train", 40, 0) == plan_clips("simple", "train", 40, 0)
    assert plan_clips("simple", "train", 80, 0)[:40] == plan_clips("simple", "train", 40, 0)
    seen = {
        clip.movers
        for level in ("simple", "scenes")
        for split in ("train", "val", "test", "compositional")
        for seed in (0, 1)
        for clip in plan_clips(level, split, 50, seed)
    }
    assert len(seen) == 2 * 4 * 2 * 50
