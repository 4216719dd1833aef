"""`vlmkit bench systems`, and docs/equal-footing.md, which it writes: the counted columns are true."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from vlmkit.bench import vision
from vlmkit.bench.systems import SystemLimits, Systems, SystemTimings, TimedSystem, count_systems, systems_of
from vlmkit.bench.systems_page import counts_table, systems_page
from vlmkit.cli import app
from vlmkit.study.rows import load_study
from vlmkit.summary import Summary

STUDY = """
vlmkit: 1
study: two
base: {spec: quickstart.yaml, label: STAB}
seeds: [1]
variants: [{name: narrow, label: <narrow>, set: {model.aligner.width: 32}}]
"""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "_ROUND", 0.0001)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "two.yaml").write_text(STUDY)
    return tmp_path / "two.yaml"


def bench(folder: Path, *arguments: str | Path) -> Result:
    options = [
        "--study",
        folder / "two.yaml",
        "--to",
        folder / "page.md",
        "--output",
        folder / "runs",
        "--threads",
        "1",
    ]
    return CliRunner().invoke(app, ["bench", "systems", *map(str, [*arguments, *options])])


def summary(parameters: int, macs: int = 10**9, **parts: int) -> Summary:
    """The counts of a system."""
    return Summary(
        name="x", parts={"aligner": parameters, "backbone": 7, **parts}, tokens={"square": 12}, macs=macs, frames=8,
        stages=[],
    )  # fmt: skip


def test_a_page_is_measured_and_written_again_with_the_same_times(tmp_path: Path, study: Path) -> None:
    done = bench(tmp_path, "specs/quickstart.yaml", "--rounds", "2")
    assert done.exit_code == 0, done.output
    page, times = (tmp_path / "page.md").read_text(), json.loads((tmp_path / "page.json").read_text())
    assert [len(times["systems"]["quickstart"][key]) for key in ("forward", "fractions")] == [2, 2]
    assert [len(times["rows"]["<narrow>"][key]) for key in ("forward", "forward_backward", "step")] == [2, 2, 2]
    small = count_systems({row.label: row.experiment for row in load_study(study).rows})
    assert counts_table(small) in page
    assert "| \\<narrow\\> | " in page
    assert "`vlmkit bench systems specs/quickstart.yaml --rounds 2 --threads 1 --device cpu`" in page
    assert "Not trained yet: `vlmkit ablate specs/studies/two.yaml`" in page
    again = bench(tmp_path, "specs/quickstart.yaml", "--keep-times")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "page.md").read_text() == page


def test_times_of_another_model_are_refused(tmp_path: Path, study: Path) -> None:
    one = TimedSystem(parameters=5, forward=[1.0], fractions=[0.5], forward_backward=[1.0], step=[1.0])
    file = SystemTimings(command="c", machine="m", systems={"quickstart": one}, rows={"STAB": one})
    (tmp_path / "page.json").write_text(json.dumps(file.data()))
    message = str(bench(tmp_path, "specs/quickstart.yaml", "--keep-times").exception)
    assert "quickstart was timed with a visual part of 5 parameters and has 126,976 now; leave --keep-times" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["specs/quickstart.yaml", "specs/quickstart.yaml"],
            "expected specs of different names, found quickstart, quick",
        ),
        (["specs/quickstart.yaml", "--most-macs", "10"], "quickstart, which the others are compared with, needs more"),
        (["specs/quickstart.yaml", "--memory", "0"], "raise --memory or --most-macs"),
        (["specs/quickstart.yaml", "--keep-times"], "leave --keep-times out, so that all are timed"),
    ],
)
def test_mistakes(tmp_path: Path, study: Path, arguments: list[str], message: str) -> None:
    assert message in str(bench(tmp_path, *arguments).exception)
    assert not (tmp_path / "page.md").exists()


def test_small_systems_are_timed_before_large_ones() -> None:
    counted = {"first": summary(2**28), "large": summary(2**30), "slow": summary(1, 10**12), "small": summary(1)}
    assert SystemLimits(memory=2, macs=10**10).choose(counted) == ["first", "small"]
    assert SystemLimits(memory=6).choose(counted) == ["first", "large", "slow", "small"]


def _page(study: Path, systems: Mapping[str, TimedSystem], **more: Any) -> str:
    counted = {"a": summary(10), "b": summary(20, layers=30)}
    times = SystemTimings(command="measure", machine="a machine", systems=dict(systems), rows=dict(systems))
    return systems_page(Systems(counted, load_study(study), counted, more.get("scores", ""), times))


def test_ratios_are_medians_over_the_rounds(study: Path) -> None:
    a = TimedSystem(
        parameters=10, forward=[1.0, 2.0, 4.0], fractions=[0.5] * 3, forward_backward=[1.0] * 3, step=[1.0] * 3
    )
    b = a.model_copy(update={"forward": [3.0, 3.0, 8.0], "step": [2.0, 3.0, 4.0]})
    page = _page(study, {"a": a, "b": b}, scores="| the table |")
    assert "| b | 3,000.0 ms | 3,000\N{EN DASH}8,000 ms | 2.00 | 50% |" in page
    assert "| b | 3,000.0 ms | 2.00 | 1,000.0 ms | 1.00 | 3,000.0 ms | 3.00 |" in page
    assert "| b | 20 | 30 | 7 | 8 | 12 | 1 G |" in page
    assert "Not timed" not in page
    assert page.endswith("\n\n| the table |\n")


def test_systems_that_are_not_timed_are_named(study: Path) -> None:
    a = TimedSystem(parameters=10, forward=[1.0], fractions=[0.5], forward_backward=[1.0], step=[1.0])
    assert "Not timed, for their memory or operations: b." in _page(study, {"a": a})


def test_the_counted_columns_of_the_page_are_true(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    page = (root / "docs" / "equal-footing.md").read_text(encoding="utf-8")
    rows = {row.label: row.experiment for row in load_study(root / "specs/studies/moving-shapes-systems.yaml").rows}
    for systems in (systems_of([]), rows):
        assert counts_table(count_systems(systems)) in page, "run `vlmkit bench systems --keep-times`"
