"""Intervals hold the truth in 93 to 97 of 100 simulated benchmarks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vlmkit.statistics.intervals import Estimate, all_right, estimate, macro
from vlmkit.statistics.paired import paired

DRAWS = 2000


def _coverage(draw: Callable[[np.random.Generator], Estimate], truth: float) -> float:
    rng = np.random.default_rng(0)
    results = (draw(rng) for _ in range(DRAWS))
    return sum(result.low <= truth <= result.high for result in results) / DRAWS


@pytest.mark.parametrize(
    ("sizes", "alpha", "beta"),
    [  # questions per video, and the distribution of the videos' own shares of right answers
        ([6] * 40, 4.0, 1.0),
        ([10] * 8, 1.0, 1.0),
        ([3] * 150, 9.0, 1.0),
        ([1, 2, 3, 5, 8, 13, 21] * 12, 2.0, 3.0),
        ([1, 2, 3, 5, 8, 13, 21] * 4, 2.0, 3.0),
        ([100] + [4] * 50, 2.0, 3.0),
    ],
)
def test_clustered_mean(sizes: Sequence[int], alpha: float, beta: float) -> None:
    video = np.repeat(np.arange(len(sizes)), sizes)
    videos = video.tolist()

    def draw(rng: np.random.Generator) -> Estimate:
        return estimate((rng.random(len(video)) < rng.beta(alpha, beta, len(sizes))[video]).tolist(), videos)

    assert 0.93 <= _coverage(draw, alpha / (alpha + beta)) <= 0.97


@pytest.mark.parametrize("tasks_of_a_video", ["all", "one"])
@pytest.mark.parametrize("shares", [(0.9, 0.6, 0.5, 0.3), (0.95, 0.7, 0.6, 0.9)])
def test_macro(shares: Sequence[float], tasks_of_a_video: str) -> None:
    """Four tasks of 24, 48, 96 and 144 questions about videos with 13 questions in all tasks, or 3 in one."""
    task = np.repeat(np.arange(4), [24, 48, 96, 144])
    place = np.arange(len(task))
    video = place % 24 if tasks_of_a_video == "all" else place // 3
    share = np.array(shares)
    strength = 2 * np.minimum(share, 1 - share)
    tasks, videos = task.tolist(), video.tolist()

    def draw(rng: np.random.Generator) -> Estimate:
        effect = rng.beta(2, 2, video.max() + 1) - 0.5
        right = rng.random(len(task)) < share[task] + strength[task] * effect[video]
        return macro(right.tolist(), tasks, videos)

    assert 0.93 <= _coverage(draw, share.mean()) <= 0.97


@pytest.mark.parametrize("sizes", [[100] + [4] * 50, [1, 2, 3, 5, 8, 13, 21] * 4], ids=["one-third-in-one", "1-to-21"])
def test_macro_with_videos_of_many_sizes(sizes: Sequence[int]) -> None:
    video = np.repeat(np.arange(len(sizes)), sizes)
    task = np.arange(len(video)) % 3
    tasks, videos = task.tolist(), video.tolist()

    def draw(rng: np.random.Generator) -> Estimate:
        effect = rng.uniform(-0.25, 0.25, len(sizes))
        right = rng.random(len(video)) < np.array([0.3, 0.5, 0.7])[task] + effect[video]
        return macro(right.tolist(), tasks, videos)

    assert 0.93 <= _coverage(draw, 0.5) <= 0.97


def test_groups_that_have_to_be_all_right() -> None:
    """120 groups of four rotations, two groups per video, in three tasks."""
    group = np.repeat(np.arange(120), 4)
    columns = group.tolist(), (group // 2 % 3).tolist(), (group // 2).tolist()

    def draw(rng: np.random.Generator) -> Estimate:
        right = rng.random(480) < rng.beta(6, 2, 60)[group // 2]
        grouped, tasks, videos = all_right(right.tolist(), *columns)
        return macro(grouped, tasks, videos)

    truth = math.prod((6 + step) / (8 + step) for step in range(4))
    assert 0.93 <= _coverage(draw, truth) <= 0.97


@pytest.mark.parametrize("by_task", [False, True])
@pytest.mark.parametrize(
    ("sizes", "first", "second"),
    [([4] * 80, 0.10, 0.05), ([2] * 150, 0.03, 0.02), ([12] * 10, 0.2, 0.1), ([1, 2, 3, 5, 8, 13, 21] * 4, 0.1, 0.1)],
)
def test_paired_difference(sizes: Sequence[int], first: float, second: float, by_task: bool) -> None:
    """`first` and `second`: the shares of questions that one system alone answers, more in some videos than others."""
    video = np.repeat(np.arange(len(sizes)), sizes)
    names = video.tolist()
    strata = (np.arange(len(video)) % 4 // 3).tolist() if by_task else None

    def draw(rng: np.random.Generator) -> Estimate:
        luck, scale = rng.random(len(video)), 2 * rng.beta(3, 3, (2, len(sizes)))
        one, other = first * scale[0][video], second * scale[1][video]
        alone, other_alone = luck < one, (one <= luck) & (luck < one + other)
        return paired(alone.tolist(), other_alone.tolist(), names, strata=strata).difference

    assert 0.93 <= _coverage(draw, first - second) <= 0.97
