"""Loss curves as inline SVG."""

from __future__ import annotations

import re

from vlmkit.report.loss_curves import POINTS, curves, smooth
from vlmkit.training.metrics import MetricsLine

LINES = [MetricsLine(step=10 * i, language_loss=4 / (i + 1), distillation_loss=0.5) for i in range(50)]


def test_smoothing_keeps_constants_and_ends_inside_the_values() -> None:
    assert smooth([2.0] * 90) == [2.0] * 90
    assert smooth([5.0]) == [5.0]
    smoothed = smooth([0.0, 3.0, 0.0])
    assert smoothed == [1.5, 1.0, 1.5]


def test_colors_are_the_pages_variables() -> None:
    svg = curves(LINES, "a", stacked=False)
    assert set(re.findall(r"var\(--(\w+)\)", svg)) == {"ink", "muted", "rule", "accent"}
    assert not re.search(r"#0[1-4]0", svg)


def test_it_is_one_svg_that_asks_for_nothing() -> None:
    svg = curves(LINES, "a", stacked=False)
    assert svg.startswith("<svg viewBox=")
    assert svg.rstrip().endswith("</svg>")
    assert "metadata" not in svg
    assert "http" not in svg
    assert all(reference.startswith("#") for reference in re.findall(r'href="([^"]*)"', svg))


def test_a_panel_for_each_loss_that_was_logged() -> None:
    assert ">distillation loss<" in curves(LINES, "a", stacked=False)
    alone = curves([MetricsLine(step=1, language_loss=2.0)], "a", stacked=False)
    assert ">language loss<" in alone
    assert "distillation" not in alone


def test_two_figures_share_no_id_and_one_is_reproducible() -> None:
    first, again, second = (curves(LINES, salt, stacked=False) for salt in "aab")
    assert first == again
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in (first, second)]
    assert all(ids)
    assert not ids[0] & ids[1]


def test_a_single_point_is_a_dot_at_its_step() -> None:
    svg = curves([MetricsLine(step=3, language_loss=2.0)], "a", stacked=False)
    assert svg.count("<use") == 1, "a marker"
    assert re.findall(r">(\d+)</text>", svg).count("3") == 1


def test_long_logs_are_thinned() -> None:
    lines = [MetricsLine(step=i, language_loss=float(i % 7)) for i in range(20 * POINTS)]
    assert len(curves(lines, "a", stacked=True)) < 60_000
