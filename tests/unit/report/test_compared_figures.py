"""Figures of compared systems as inline SVG."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from vlmkit.report.compared_figures import LossLine, SizePoint, overlaid_curves, size_figure
from vlmkit.training.metrics import MetricsLine

POINTS = [
    SizePoint("ours $x$ <b>", 45e6, 0.6, (0.55, 0.65), 0),
    SizePoint("ours, smaller", 30e6, 0.55, (0.5, 0.6), 1),
    SizePoint("theirs", 425e6, 0.58, None, None),
]


@pytest.mark.parametrize("narrow", [False, True])
def test_every_system_is_named_beside_its_point(narrow: bool) -> None:
    svg = size_figure(POINTS, "accuracy", "a", narrow)
    for label in (
        "ours $x$ &lt;b&gt;",
        "ours, smaller",
        "theirs",
        "accuracy, %",
        "parameters of the visual part, millions",
    ):
        assert f">{label}<" in svg
    assert {"s0", "s1", "muted"} <= set(re.findall(r"var\(--(\w+)\)", svg))
    assert "#0a" not in svg
    assert "http" not in svg


def test_a_size_figure_is_reproducible() -> None:
    assert size_figure(POINTS, "accuracy", "a", False) == size_figure(POINTS, "accuracy", "a", False)


def test_labels_of_close_points_do_not_lie_on_each_other() -> None:
    close = [SizePoint(f"system {i}", 30e6 + i * 1e4, 0.5 + i / 1000, (0.4, 0.6), i) for i in range(3)]
    svg = size_figure([*close, POINTS[2]], "accuracy", "a", False)
    found = re.findall(r"<text ([^>]*)>system", svg)
    assert len(found) == 3
    for left in (True, False):
        some = [float(text.partition(' y="')[2].partition('"')[0]) for text in found if ("anchor: end" in text) == left]
        assert all(after - before >= 8 for before, after in pairwise(sorted(some)))


def test_long_labels_are_cut() -> None:
    svg = size_figure([SizePoint("long " * 60, 1e6, 0.5, None, None), *POINTS], "accuracy", "a", True)
    assert "long long long" in svg
    assert "long " * 8 not in svg


def test_each_run_has_a_line_in_each_loss_that_any_of_them_logged() -> None:
    plain = [MetricsLine(step=i, language_loss=4 / i) for i in range(1, 50)]
    taught = [MetricsLine(step=i, language_loss=3 / i, distillation_loss=0.5) for i in range(1, 50)]
    svg = overlaid_curves([LossLine(0, plain), LossLine(1, taught), LossLine(1, taught)], "a", stacked=False)
    assert ">distillation loss<" in svg
    assert svg.count("stroke: var(--s0)") == 1
    assert svg.count("stroke: var(--s1)") == 4


def test_long_logs_are_thinned() -> None:
    lines = [MetricsLine(step=i, language_loss=float(i % 7)) for i in range(9000)]
    assert len(overlaid_curves([LossLine(0, lines)], "a", stacked=True)) < 30_000
