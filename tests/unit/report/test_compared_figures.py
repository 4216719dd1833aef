"""Figures of compared systems as inline SVG."""

from __future__ import annotations

import itertools
import re
from itertools import pairwise

import pytest

from vlmkit.report.compared_figures import LossLine, SizePoint, overlaid_curves, size_figure
from vlmkit.report.page import page_templates
from vlmkit.svg import standalone
from vlmkit.training.metrics import MetricsLine

POINTS = [
    SizePoint("ours", 45e6, 0.6, (0.55, 0.65), 0),
    SizePoint("ours, smaller", 30e6, 0.55, (0.5, 0.6), 1),
    SizePoint("theirs $x$ <b>", 425e6, 0.58, None, None),
]


@pytest.mark.parametrize("narrow", [False, True])
def test_published_scores_are_named_beside_their_points_and_systems_have_their_colors(narrow: bool) -> None:
    svg = size_figure(POINTS, "accuracy", "a", narrow)
    for label in ("theirs $x$ &lt;b&gt;", "accuracy, %", "parameters of the visual part, millions"):
        assert f">{label}<" in svg
    assert "ours" not in svg
    assert {"s0", "s1", "muted"} <= set(re.findall(r"var\(--(\w+)\)", svg))
    assert "#0a" not in svg
    assert "http" not in svg


def test_a_size_figure_is_reproducible() -> None:
    assert size_figure(POINTS, "accuracy", "a", False) == size_figure(POINTS, "accuracy", "a", False)


def many(number: int) -> list[SizePoint]:
    return [SizePoint(f"system {i}", 2e7 * 1.3**i, 0.5 + i / 1000, (0.4, 0.6), i) for i in range(number)]


def test_systems_are_named_where_colors_come_again_and_labels_do_not_lie_on_each_other() -> None:
    assert "system" not in size_figure([*many(8), POINTS[2]], "accuracy", "a", False)
    svg = size_figure([*many(9), POINTS[2]], "accuracy", "a", False)
    found = [
        (float(x), float(y), "anchor: end" in text)
        for text in re.findall(r"<text ([^>]*)>system", svg)
        for x, y in re.findall(r' x="([\d.]+)" y="([\d.]+)"', text)
    ]
    assert len(found) == 9
    for (x, y, left), (other_x, other_y, other_left) in itertools.combinations(found, 2):
        assert left != other_left or abs(x - other_x) > 30 or abs(y - other_y) > 8


def test_systems_of_one_size_stand_side_by_side() -> None:
    same = [one._replace(parameters=30e6) for one in many(3)]
    svg = size_figure([*same, POINTS[2]], "accuracy", "a", False)
    places = [float(x) for x in re.findall(r'<use href="[^"]*" x="([\d.]+)"[^>]*var\(--s\d\)', svg)]
    assert [after - before for before, after in pairwise(places)] == pytest.approx([8, 8], abs=0.01)


def test_long_labels_are_cut() -> None:
    svg = size_figure([SizePoint("long " * 60, 1e6, 0.5, None, None), *POINTS], "accuracy", "a", True)
    assert "long long long" in svg
    assert "long " * 8 not in svg


def test_each_run_that_logged_a_loss_has_a_line_and_the_base_a_broad_one() -> None:
    plain = [MetricsLine(step=i, language_loss=4 / i) for i in range(1, 50)]
    taught = [MetricsLine(step=i, language_loss=3 / i, distillation_loss=0.5) for i in range(1, 50)]
    logs = [LossLine(0, plain), LossLine(1, taught), LossLine(8, taught)]
    svg = overlaid_curves(logs, "language_loss", "a")
    colors = re.findall(r"stroke: var\(--s(\d)\); (?:stroke-opacity: [\d.]+; )?stroke-width: ([\d.]+)", svg)
    assert colors == [("0", "3.2"), ("1", "1.2"), ("0", "1.2")], "colors come again after eight"
    svg = overlaid_curves(logs, "distillation_loss", "a")
    assert svg.count("var(--s1)") == 1


def test_long_logs_are_thinned() -> None:
    lines = [MetricsLine(step=i, language_loss=float(i % 7)) for i in range(9000)]
    assert len(overlaid_curves([LossLine(0, lines)], "language_loss", "a")) < 30_000


def test_a_file_of_its_own_has_the_colors_of_the_page_in_light_mode() -> None:
    svg = size_figure(POINTS, "accuracy", "a", False, title="theirs", all_named=True, write=standalone)
    css = page_templates().loader.get_source(page_templates(), "comparison.css")[0]  # type: ignore[union-attr]
    light = re.findall(r"--s\d: (#\w{6})", css.partition("@media")[0])
    assert len(light) == 8
    assert [light[0] in svg, light[1] in svg, light[2] in svg] == [True, True, False]
    assert ">ours, smaller<" in svg
    assert ">theirs, %<" in svg
