"""The ranking of a study, and of two studies with the same rows, from invented answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vlmkit.errors import UserError
from vlmkit.json_files import write_record
from vlmkit.study import study_ranking
from vlmkit.study.cells import make_cells
from vlmkit.study.ranking_formats import comparison_text, ranking_text, write_ranking
from vlmkit.study.rows import Study, load_study
from vlmkit.study.run_values import MeasuredColumn, RunValues
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.study_ranking import compare_studies, rank_study
from vlmkit.study.table_records import Column
from vlmkit.summary import Summary

from .test_rows import STUDY, write

VARIANTS = [*STUDY["variants"], {"name": "again", "set": {"model.aligner.fsra": True}}]
COSTS = {"base": 300, "without-fsra": 200, "pooled": 100}
Rights = Mapping[str, float]


def column(
    rights: Rights, name: str = "clips", questions: int = 300, seeds: tuple[int, ...] = (3, 5)
) -> MeasuredColumn:
    rng = np.random.default_rng(len(name) + questions)

    def run(right: float) -> RunValues:
        of = {f"q{number}": float(rng.random() < right) for number in range(questions)}
        return RunValues(of, {key: str(int(key[1:]) // 3) for key in of}, None)

    about = Column(benchmark=name, metric="accuracy", protocol="p", judge="none", split="test", questions=questions)
    return MeasuredColumn(
        about, (0.0, 1.0), {row: {seed: run(right) for seed in seeds} for row, right in rights.items()}
    )


class Studies:
    """Studies whose folders hold what a test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.columns: dict[Path, list[MeasuredColumn]] = {}
        monkeypatch.setattr(study_ranking, "measured_columns", lambda study, folder: iter(self.columns[folder.path]))

    def new(self, name: str, *columns: MeasuredColumn) -> tuple[Study, StudyFolder]:
        study = load_study(write(self.folder, study=name, variants=VARIANTS).rename(self.folder / f"{name}.yaml"))
        folder = StudyFolder(self.folder / "runs" / name)
        self.columns[folder.path] = list(columns)
        for row, cost in COSTS.items():
            path = folder.path / f"{row}-seed3"
            path.mkdir(parents=True)
            summary = Summary(name=row, parts={"aligner": cost}, tokens={"square": 4}, macs=7, frames=4, stages=[])
            write_record(path / "model.json", summary.model_dump())
        return study, folder


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studies:
    return Studies(tmp_path, monkeypatch)


CLEAR = {"base": 0.6, "without-fsra": 0.9, "pooled": 0.3}


def test_rows_stand_by_their_scores_with_their_costs(studies: Studies) -> None:
    ranking = rank_study(*studies.new("a", column(CLEAR)))
    assert [(row.name, row.rank, row.rank_ci95) for row in ranking.rows] == [
        ("without-fsra", 1, (1, 1)), ("base", 2, (2, 2)), ("pooled", 3, (3, 3))
    ]  # fmt: skip
    assert [row.on_front for row in ranking.rows] == [True, False, True]  # the base costs more than what is better
    assert [row.summary.parts["aligner"] for row in ranking.rows if row.summary] == [200, 300, 100]
    low, high = ranking.rows[0].score.ci95
    assert low < ranking.rows[0].score.value < high <= 1
    assert (ranking.significant, ranking.pairs) == (3, 3)
    assert ranking.above[0][1] > 0.99


def test_scores_have_the_intervals_of_the_table(studies: Studies) -> None:
    measured = column(dict.fromkeys(CLEAR, 1.0))  # whose questions alone show no variance
    study, folder = studies.new("a", measured)
    cells = make_cells(study, measured, {})
    ranked = rank_study(study, folder).rows
    assert {row.name: row.score for row in ranked} == {row.name: cells[row.name].score for row in ranked}


def test_a_reader_sees_ranks_pairs_and_what_counts(studies: Studies) -> None:
    study, folder = studies.new("a", column(CLEAR))
    ranking = rank_study(study, folder)
    text = ranking_text(ranking)
    assert "a, clips accuracy: 3 rows, 2 seeds, 300 questions" in text
    assert "3 of 3 pairs differ significantly" in text
    assert "Rows that are the same experiment are ranked once: base, again" in text
    assert "One training each" not in text
    files = write_ranking(ranking, folder.path)
    assert [file.name for file in files] == ["ranking.md", "ranking.svg"]
    assert "| 1 | 1 | w/o FSRA |" in files[0].read_text()
    rows = tuple(replace(row, label="w/o <row>") for row in ranking.rows)
    assert r"| 1 | 1 | w/o \<row\> |" in write_ranking(replace(ranking, rows=rows), folder.path)[0].read_text()
    assert "<svg" in files[1].read_text()


def test_with_one_seed_it_is_said_what_is_not_counted(studies: Studies) -> None:
    assert "chance of seeds is not counted" in ranking_text(rank_study(*studies.new("a", column(CLEAR, seeds=(3,)))))


def test_only_questions_that_all_have_answered_count(studies: Studies) -> None:
    full = column(CLEAR)
    del full.rows["base"][3].of["q0"]
    assert [row.name for row in rank_study(*studies.new("a", full)).rows] == ["without-fsra", "base", "pooled"]
    few = column(CLEAR, questions=3)
    with pytest.raises(UserError, match="at least two videos that all runs answered, found 3 questions"):
        rank_study(*studies.new("b", few))


def test_a_column_is_chosen_by_its_name(studies: Studies) -> None:
    opened = studies.new("a", column(CLEAR), column({**CLEAR, "pooled": 0.99}, "scenes"))
    assert rank_study(*opened, "scenes/accuracy").rows[0].name == "pooled"
    with pytest.raises(UserError, match=r"did you mean 'scenes/accuracy'.*columns: clips/accuracy, scenes/accuracy"):
        rank_study(*opened, "scene/accuracy")


def test_what_is_not_there_is_told(studies: Studies) -> None:
    with pytest.raises(UserError, match="nothing has been measured yet"):
        rank_study(*studies.new("a"))
    with pytest.raises(UserError, match="at least two measured rows, found base alone"):
        rank_study(*studies.new("b", column({"base": 0.5})))


def test_two_settings_are_compared(studies: Studies) -> None:
    short = studies.new("short", column({"base": 0.5, "without-fsra": 0.52, "pooled": 0.2}))
    compared = compare_studies(*short, *studies.new("long", column(CLEAR)))
    assert compared.same_questions
    assert (compared.agreement.pairs, compared.agreement.significant, compared.agreement.opposite) == (3, 3, 0)
    text = comparison_text(compared)
    assert "A  short, clips accuracy: 3 rows, 2 seeds" in text
    assert "B  long, clips accuracy: 3 rows, 2 seeds" in text
    assert f"Kendall's tau is {compared.agreement.tau.value:.2f}" in text
    assert "not the same" not in text


def test_what_differs_between_two_settings_is_said(studies: Studies) -> None:
    one, other = studies.new("one", column(CLEAR)), studies.new("other", column(CLEAR, "scenes", questions=240))
    compared = compare_studies(*one, *other)
    assert compared.agreement.tau.value == 1.0
    text = comparison_text(compared)
    assert "not the same: benchmark, clips (A) against scenes (B)" in text
    assert "not the same questions" in text


def test_rows_that_one_study_lacks_are_left_out(studies: Studies) -> None:
    part = {row: CLEAR[row] for row in ("base", "pooled")}
    compared = compare_studies(*studies.new("one", column(CLEAR)), *studies.new("other", column(part)))
    assert [row.name for row in compared.first.rows] == ["base", "pooled"]
    alone = studies.new("alone", column({"without-fsra": 0.5, "new": 0.4}))
    with pytest.raises(UserError, match="same names that were measured in both, found without-fsra"):
        compare_studies(*studies.new("third", column(CLEAR)), *alone)
