"""The page of a study: every row with its seeds, differences, losses, costs and samples; and of one that goes on."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vlmkit.cli import app
from vlmkit.errors import UserError
from vlmkit.formatting import difference, figure
from vlmkit.study import running
from vlmkit.study.rows import load_study
from vlmkit.study.running import run_study
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.table import build_table

from .conftest import HereLauncher, WriteStudy

pytestmark = pytest.mark.usefixtures("quick")
PUBLISHED = {"source": "A paper, Table 4", "judge": "a person"}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_PAUSE", 0.0)


def report(*words: str | Path) -> str:
    done = CliRunner().invoke(app, ["report", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def text(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2].partition("<script")[0])).split())


def samples(page: str) -> dict[str, Any]:
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return dict(json.loads(data))


def test_the_page_of_a_study(write_study: WriteStudy, tmp_path: Path) -> None:
    base = {"spec": "base.yaml", "label": "STAB <b>", "published": {"moving-shapes": {"accuracy": 0.4321}}}
    file = write_study(base=base, published=PUBLISHED)
    study = load_study(file)
    folder = StudyFolder.open(study, tmp_path / "runs")
    run_study(study, folder, HereLauncher(broken="slower-seed2"), study.runs)
    assert report(file, "--output", tmp_path / "runs") == f"report: {folder.path / 'study.html'}\n"
    page = (folder.path / "study.html").read_text()
    assert "<b>" not in page
    said = text(page)
    table = build_table(study, folder)
    for line in table.rows:
        cell = line.cells["moving-shapes/accuracy"]
        assert f"{line.label} {figure(cell.score.value, 'accuracy')}" in said
        if cell.difference is not None:
            assert f"{line.label} {difference(cell.difference.value, 'accuracy')}" in said
    for told in ("43.2%", "A paper, Table 4", "Ticks are single seeds.", "Not all seeds have a result: slower (1).",
                 "slower seed 1; failed: seed 2", "Answers are those of the first seed of each row.",
                 f"{table.rows[0].parameters:,}"):  # fmt: skip
        assert told in said, told
    assert page.count('class="seed s0"') == 2, "seeds of the base"
    data = samples(page)
    assert data["systems"] == [line.label for line in table.rows]
    first = [
        json.loads(one)
        for one in (folder.run_folder(study.runs[0]).path / "eval/moving-shapes/predictions.jsonl").open()
    ]
    assert [one["answers"][0]["said"] for one in data["samples"]] == [one["prediction"] for one in first]


def test_the_page_of_a_study_that_goes_on(write_study: WriteStudy, tmp_path: Path) -> None:
    file = write_study()
    study = load_study(file)
    folder = StudyFolder.open(study, tmp_path / "runs")
    run_study(study, folder, HereLauncher(), study.runs[:1])
    report(file, "--output", tmp_path / "runs", "--to", tmp_path / "early.html", "--samples", "5")
    page = (tmp_path / "early.html").read_text()
    assert "without-fsra" not in text(page)
    assert "STAB the base seed 1; without a result: seed 2 w/o FSRA without a result: seeds 1, 2" in text(page)
    assert "the base again the runs of STAB; seed 1;" in text(page)
    assert len(samples(page)["samples"]) == 5
    assert "5 of 45 questions" in text(page)


def test_a_study_that_has_not_begun_has_no_page(write_study: WriteStudy, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing has been measured yet"):
        report(write_study(), "--output", tmp_path)
