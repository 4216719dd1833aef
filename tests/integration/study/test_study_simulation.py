"""Simulated studies, in which questions and seeds are left to chance: false alarms, power as foretold, intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import ndtr

from vlmkit.statistics.seeds import SeededMean, holm, seeded_mean
from vlmkit.statistics.sequential import always_valid
from vlmkit.statistics.study_power import StudyPower

Answers = np.ndarray
"""(S, n) of 0 and 1."""


class World(NamedTuple):
    """What systems and questions are drawn from: a probit model with effects of questions, clips, systems and seeds."""

    questions: int = 600
    per_clip: int = 3
    seeds: int = 3
    seed_spread: float = 0.06
    interaction: float = 0.4

    @property
    def clips(self) -> list[int]:
        return (np.arange(self.questions) // self.per_clip).tolist()

    def difficulty(self, rng: np.random.Generator) -> np.ndarray:
        clips = np.array(self.clips)
        return rng.normal(0, 0.8, self.questions) + rng.normal(0, 0.4, clips.max() + 1)[clips]

    def answers(self, rng: np.random.Generator, difficulty: np.ndarray, effect: float, seeds: int = 0) -> Answers:
        """Of one system; `effect` on the scale of the model."""
        seeds = seeds or self.seeds
        own = rng.normal(0, 0.3, self.questions)  # what this system finds hard
        of_seed = rng.normal(0, self.seed_spread, (seeds, 1))
        each = rng.normal(0, self.interaction, (seeds, self.questions))
        return (rng.random((seeds, self.questions)) < ndtr(0.5 + effect + difficulty + own + of_seed + each)) * 1.0

    def truth(self, effect: float) -> float:
        variance = 1 + 0.8**2 + 0.4**2 + 0.3**2 + self.seed_spread**2 + self.interaction**2
        return float(ndtr((0.5 + effect) / np.sqrt(variance)) - ndtr(0.5 / np.sqrt(variance)))

    def study(self, rng: np.random.Generator, effects: list[float], pooled: bool = True) -> list[SeededMean]:
        """Differences of systems with these effects to a base; `pooled` as `seed_variance` of a study."""
        difficulty = self.difficulty(rng)
        base, *rows = (self.answers(rng, difficulty, effect) for effect in (0.0, *effects))
        pooled_difference = None
        if pooled:
            variance = float(np.mean([np.var(row.mean(1), ddof=1) for row in (base, *rows)]))
            pooled_difference = 2 * variance, (len(effects) + 1) * (self.seeds - 1.0)
        return [seeded_mean(row - base, self.clips, pooled=pooled_difference) for row in rows]


WORLDS = [World(), World(seed_spread=0.0), World(seed_spread=0.2), World(per_clip=1, seeds=2), World(seeds=5)]


@pytest.mark.parametrize("pooled", [False, True], ids=["own", "pooled"])
@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_intervals_hold_the_truth(world: World, pooled: bool) -> None:
    rng = np.random.default_rng(1)
    truth = world.truth(0.1)
    rows = (row for _ in range(300) for row in world.study(rng, [0.1] * 3, pooled))
    assert 0.93 <= np.mean([low <= truth <= high for _, low, high in (row.interval() for row in rows)]) <= 0.975


@pytest.mark.parametrize("pooled", [False, True], ids=["own", "pooled"])
def test_without_an_effect_few_corrected_tables_find_one(pooled: bool) -> None:
    rng = np.random.default_rng(5)
    alarms = [min(holm([row.p for row in World().study(rng, [0.0] * 4, pooled)])) < 0.05 for _ in range(1000)]
    assert np.mean(alarms) <= 0.05


@pytest.mark.parametrize("comparisons", [1, 4])
def test_an_effect_that_is_called_detectable_is_found_as_often_as_was_said(comparisons: int) -> None:
    world = World(seeds=4)
    rng = np.random.default_rng(3)
    pilot = [seeded_mean(world.answers(rng, hard, 0.15, 60) - world.answers(rng, hard, 0.0, 60), world.clips)
             for hard in (world.difficulty(rng) for _ in range(12))]  # fmt: skip
    plan = StudyPower(
        world.seeds,
        float(np.mean([one.question_variance for one in pilot])),
        float(np.mean([one.seed_deviation**2 for one in pilot])),
        (comparisons + 1) * (world.seeds - 1),
        comparisons,
    )
    wanted = plan.detectable()
    effect = next(float(one) for one in np.linspace(0, 1.2, 2000) if world.truth(float(one)) >= wanted)
    found = [
        holm([row.p for row in world.study(rng, [effect, *[0.0] * (comparisons - 1)])])[0] < 0.05 for _ in range(1000)
    ]
    assert 0.77 <= np.mean(found) <= 0.83


def test_a_row_may_be_looked_at_after_every_seed() -> None:
    """The interval that is said to allow it holds after all seeds at once; the ordinary one does not."""
    world = World(questions=150, seeds=8)
    rng = np.random.default_rng(2)
    truth = world.truth(0.15)
    always, ordinary = [], []
    for _ in range(150):
        difficulty = world.difficulty(rng)
        rows = [world.answers(rng, difficulty, effect) for effect in (0.0, 0.15, 0.0, 0.0)]
        looks = []
        for seeds in range(2, world.seeds + 1):
            pooled = float(np.mean([row[:seeds].mean(1).var(ddof=1) for row in rows]))
            pooled_difference = 2 * pooled, len(rows) * (seeds - 1.0)
            looks.append(seeded_mean(rows[1][:seeds] - rows[0][:seeds], world.clips, pooled=pooled_difference))
        intervals = [always_valid(look) for look in looks]
        always.append(all(one.low <= truth <= one.high for one in intervals))
        ordinary.append(all(one.low <= truth <= one.high for one in (look.interval() for look in looks)))
    assert np.mean(always) >= 0.95
    assert np.mean(ordinary) < 0.93
