"""The table for readers: what ended early, how many seeds each row has, and measured times are said."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from vlmkit.evaluation.records import Metric
from vlmkit.study.row_timings import aligners_of, keep_timings, read_timings
from vlmkit.study.rows import load_study
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.table_formats import captions, write_tables
from vlmkit.study.table_records import Cell, Column, Difference, StudyTable, TableRow

from .test_rows import write

NAME = "shapes/accuracy"


@pytest.fixture
def table() -> StudyTable:
    column = Column(benchmark="shapes", metric="accuracy", protocol="open", judge="none", split="test", questions=400)
    lost = Difference(value=-0.2, ci95=(-0.3, -0.1), p=0.001, p_corrected=0.002, seeds=3)

    def cell(value: float, seeds: int, difference: Difference | None = None) -> Cell:
        score = Metric(value=value, ci95=[value - 0.05, value + 0.05])
        return Cell(score=score, seeds=dict.fromkeys(range(seeds), value), seed_deviation=0.01, difference=difference)

    rows = [
        TableRow(name="base", label="all of it", cells={NAME: cell(0.7, 5)}, milliseconds=12.345),
        TableRow(name="less", label="w/o a|b", cells={NAME: cell(0.5, 3, lost)}, stopped="found", milliseconds=9.5),
        TableRow(name="other", label="other", cells={NAME: cell(0.69, 5, lost)}, missing=[4]),
    ]
    return StudyTable(
        study="parts", title="Parts", columns={NAME: column}, rows=rows, correction="holm", seed_variance="pooled",
        stop_when=2.0, decided_by=NAME, timed_on="a CPU, float32, 2 threads",
    )  # fmt: skip


def test_captions_say_what_ended_early(table: StudyTable) -> None:
    said = "\n".join(captions(table))
    assert "Means over 3 to 5 seeds" in said
    assert "hold after every seed at once, and are wider for it. Ended early: w/o a|b (significant difference)" in said
    assert "to 'all of it', question by question and seed by seed; p is two-sided, corrected by Holm for 2 rows" in said
    assert "Not all seeds have a result: other (1)" in said
    small = table.rows[1].model_copy(update={"stopped": "small"})
    fewer = table.model_copy(update={"rows": [table.rows[0], small]})
    assert "w/o a|b (within 2 points of the base)" in "\n".join(captions(fewer))
    score = fewer.model_copy(update={
        "columns": {**table.columns, "talk/score": table.columns[NAME].model_copy(update={"metric": "score"})},
        "decided_by": "talk/score",
    })  # fmt: skip
    assert "w/o a|b (within 2 of the base)" in "\n".join(captions(score))
    assert "hold after every seed" not in "\n".join(captions(table.model_copy(update={"stop_when": None})))


def test_measured_times_are_a_column_with_their_machine(table: StudyTable, tmp_path: Path) -> None:
    write_tables(table, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "| ms |" in text
    assert "| 12.3 |" in text
    assert "medians, a CPU, float32, 2 threads" in text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert [row["milliseconds"] for row in rows] == ["12.345", "9.5", ""]


def test_rows_with_one_model_share_its_time_and_a_changed_model_has_none(tmp_path: Path) -> None:
    longer = {"name": "longer", "set": {"training.stages.both.steps": 9}}
    study = load_study(write(tmp_path, variants=[longer, {"name": "wider", "set": {"model.aligner.width": 32}}]))
    folder = StudyFolder.open(study, tmp_path / "runs")
    assert read_timings(folder) is None
    models = aligners_of(study)
    assert [spec.name for spec in models.values()] == ["base", "wider"]
    keep_timings(folder, "a CPU", dict(zip(models, [2.0, 3.0], strict=True)))
    times = read_timings(folder)
    assert times is not None
    assert [times.of(row.experiment) for row in study.rows] == [2.0, 2.0, 3.0]
    changed = load_study(write(tmp_path, set={"model.aligner.width": 48}))
    assert times.of(changed.rows[0].experiment) is None


@pytest.mark.parametrize(
    ("label", "markdown", "latex", "cell"),
    [
        ("w/o <row>", r"w/o \<row\>", r"w/o \textless{}row\textgreater{}", "w/o <row>"),
        ("<b>x</b> | [a](b)", r"\<b\>x\</b\> \| \[a\](b)", r"\textless{}b\textgreater{}x", "<b>x</b> | [a](b)"),
        ("&lt; 50% of $x_1^2$", r"\&lt; 50%", r"\&lt; 50\% of \$x\_1\textasciicircum{}2\$", "&lt; 50% of $x_1^2$"),
        ("*a* `b` \\", r"\*a\* \`b\` \\\\", r"{}*a* `b` \textbackslash{}", "*a* `b` \\"),
        ("[2] two\nlines", r"| \[2\] two lines |", "    {}[2] two lines &", "[2] two\nlines"),
        ("=1+1", "| =1+1 |", "=1+1 &", "'=1+1"),
        ("+ FSRA", "| + FSRA |", "+ FSRA &", "'+ FSRA"),
        ('@a, "b"', '| @a, "b" |', '@a, "b" &', '\'@a, "b"'),
        ("Größe 一", "| Größe 一 |", "Größe 一 &", "Größe 一"),
    ],
)
def test_labels_are_text_in_every_format(
    table: StudyTable, tmp_path: Path, label: str, markdown: str, latex: str, cell: str
) -> None:
    base = table.rows[0].model_copy(update={"label": label})
    write_tables(table.model_copy(update={"rows": [base, *table.rows[1:]], "title": label}), tmp_path)
    assert markdown in (tmp_path / "table.md").read_text()
    assert latex in (tmp_path / "table.tex").read_text()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text(), newline="")))
    assert rows[0]["label"] == cell
    lengths = {line.replace(r"\|", "").count("|") for line in (tmp_path / "table.md").read_text().splitlines()[2:7]}
    assert len(lengths) == 1
