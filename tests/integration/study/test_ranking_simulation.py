"""Simulated studies whose true order is known: how often intervals of ranks and of Kendall's tau hold it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from vlmkit.statistics.ranking import compare_rankings, rank_rows, rank_settings

QUESTIONS, SEEDS = 300, 3
CLIPS = [number // 3 for number in range(QUESTIONS)]
STEPS = np.linspace(0, 0.6, 7)
SWAPPED = STEPS[[1, 0, 3, 2, 5, 4, 6]]
MIXED = STEPS[[3, 0, 6, 1, 5, 2, 4]]


def answers(rng: np.random.Generator, effects: np.ndarray) -> list[np.ndarray]:
    """Of rows with these effects, on the scale of a probit model with effects of clips, questions, rows and seeds."""
    hard = rng.normal(0, 0.8, QUESTIONS) + rng.normal(0, 0.4, QUESTIONS // 3)[CLIPS]
    rows = []
    for effect in effects:
        level = 0.5 + effect + hard + rng.normal(0, 0.3, QUESTIONS) + rng.normal(0, 0.06, (SEEDS, 1))
        rows.append((rng.random((SEEDS, QUESTIONS)) < ndtr(level + rng.normal(0, 0.4, (SEEDS, QUESTIONS)))) * 1.0)
    return rows


def tau(one: np.ndarray, other: np.ndarray) -> float:
    upper = np.triu_indices(len(one), 1)
    return float(np.mean((np.sign(one[:, None] - one) * np.sign(other[:, None] - other))[upper]))


@pytest.mark.parametrize("effects", [STEPS, STEPS / 4, STEPS * 0], ids=["apart", "near", "equal"])
def test_intervals_of_ranks_hold_the_true_rank(effects: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(120):
        found = rank_rows(answers(rng, effects), CLIPS, draws=600)  # type: ignore[arg-type]
        true = [1 + int(np.sum(effects > effect)) for effect in effects]
        held += [low <= rank <= high for (low, high), rank in zip(found.rank_intervals, true, strict=True)]
    assert np.mean(held) >= 0.95


@pytest.mark.parametrize(
    ("first", "second"),
    [(STEPS, STEPS), (STEPS, SWAPPED), (STEPS, MIXED), (STEPS / 4, MIXED / 4), (STEPS, STEPS[::-1])],
    ids=["same", "swapped", "mixed", "mixed-near", "opposite"],
)
def test_intervals_of_tau_hold_the_true_one(first: np.ndarray, second: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    truth, held = tau(first, second), []
    for _ in range(120):
        rows = answers(rng, np.concatenate([first, second]))
        settings = rank_settings([rows[: len(first)], rows[len(first) :]], CLIPS, draws=600)  # type: ignore[list-item]
        found = compare_rankings(*settings).tau
        held.append(found.low - 1e-9 <= truth <= found.high + 1e-9)
    assert np.mean(held) >= 0.95


def test_the_loss_of_the_shorter_setting_is_within_its_bound() -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(150):
        rows = answers(rng, np.concatenate([STEPS / 3, STEPS / 3]))
        first, second = rank_settings([rows[:7], rows[7:]], CLIPS, draws=600)  # type: ignore[list-item]
        spread = np.sqrt(1 + 0.8**2 + 0.4**2 + 0.3**2 + 0.06**2 + 0.4**2)
        true = ndtr((0.5 + STEPS / 3) / spread)
        lost = true.max() - true[int(np.argmax(first.scores))]
        held.append(lost <= compare_rankings(first, second).loss.high)
    assert np.mean(held) >= 0.95
