"""Judges on the same answers, and a judge against human labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import Verdict
from vlmkit.errors import DataError
from vlmkit.evaluation.finished import FinishedEvaluation, find_finished
from vlmkit.evaluation.judge_agreement import compare_judges, judged_by, read_labels
from vlmkit.statistics.agreement import agreement
from vlmkit.statistics.calibration import calibrate

SAID = {"a1": "lime", "a2": "grass", "b1": "brick", "c1": "moss", "d1": "sky"}
KIND = {
    "lime": Verdict(True, 5.0),
    "grass": Verdict(True, 4.0),
    "brick": Verdict(False, 0.0),
    "moss": Verdict(True, 3.0),
}
STERN = {
    "lime": Verdict(True, 4.0),
    "grass": Verdict(False, 2.0),
    "brick": Verdict(False, 1.0),
    "sky": Verdict(None, 2.5),
}


@pytest.fixture
def judged(finished_runs: Any) -> FinishedEvaluation:
    run = finished_runs.add("mine", "words", SAID)
    finished_runs.judge("mine", "kind", KIND)
    finished_runs.judge("mine", "stern", STERN, prompted=True)
    return find_finished(run, None, [str(finished_runs.entries)])


def test_ratings_are_those_of_the_same_answers(judged: FinishedEvaluation) -> None:
    kind, stern = judged_by(judged)
    assert (kind.name, stern.name) == ("kind 1", "stern 1")
    assert kind.labels == ["right", "right", "wrong", "right", None]
    assert stern.numbers == [4.0, 2.0, 1.0, None, 2.5]
    assert (kind.scores().unscored, kind.scores({"a1"}).n, kind.counted) == (1, 1, {"a1", "a2", "b1", "c1"})
    compared = compare_judges([kind, stern])
    assert compared.agreement["labels"] == agreement([kind.labels, stern.labels], clusters=list("aabcd"))
    assert compared.agreement["scores"].answers == 3
    table = compared.confusion["kind 1", "stern 1"]
    assert (table.labels, table.counts) == (("right", "wrong"), ((1, 1), (0, 1)))
    assert [(one.answer.document.id, one.said) for one in compared.disagreements] == [
        ("a2", {"kind 1": KIND["grass"], "stern 1": STERN["grass"]})
    ]


def test_judges_that_give_scores_alone(finished_runs: Any) -> None:
    run = finished_runs.add("mine", "words", SAID)
    for name, scores in (("one", (4.0, 3.0)), ("two", (4.0, 2.0))):
        finished_runs.judge(
            "mine", name, {said: Verdict(None, score) for said, score in zip(("lime", "moss"), scores, strict=True)}
        )
    compared = compare_judges(judged_by(find_finished(run, None, [str(finished_runs.entries)])))
    assert [*compared.agreement] == ["scores"]
    assert compared.confusion["one 1", "two 1"].labels == (2.0, 3.0, 4.0)
    assert [one.answer.document.id for one in compared.disagreements] == ["c1"]


def test_chosen_judges_and_none(judged: FinishedEvaluation, finished_runs: Any) -> None:
    assert [one.name for one in judged_by(judged, ["stern"])] == ["stern 1"]
    more = [str(finished_runs.entries)]
    with pytest.raises(DataError, match="there are no verdicts; `vlmkit judge` asks for them"):
        judged_by(find_finished(finished_runs.add("new", "words", SAID), None, more))
    with pytest.raises(DataError, match="protocol authors@1 leaves no answer to a judge"):
        judged_by(find_finished(finished_runs.add("choice", "colors", {"a1": "B"}), None, more))
    finished_runs.judge("new", "kind", {"lime": KIND["lime"]})
    finished_runs.judge("new", "stern", {"sky": STERN["sky"]})
    apart = judged_by(find_finished(finished_runs.root / "new", None, more))
    with pytest.raises(DataError, match="no two of these judges have judged the same answer: kind 1, stern 1"):
        compare_judges(apart)


def test_a_judge_against_people(judged: FinishedEvaluation, tmp_path: Path) -> None:
    [kind] = judged_by(judged, ["kind"])
    file = tmp_path / "labels.csv"
    file.write_text("id,label,note\na1,right,sure\na2,Wrong,\nb1, 0 ,\nd1,yes,\n")
    found, unused = read_labels(file).calibrate(kind)
    assert found == calibrate([True, True, False, True], [True, False, False, None], list("aabc"))
    assert unused == 1, "d1 has no verdict"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id;label\na1;right\n", "row 2: expected the columns id and label, found id;label"),
        ("id,label\na1\n", "row 2: expected the columns id and label"),
        ("id,label\na1,perhaps\n", 'row 2: expected a label, right or wrong, found "perhaps"'),
        ("id,label\na1,right\na1,wrong\n", "row 3: there is a label of 'a1' above already"),
        ("id,label\n", "found no row"),
        ('id,label\n"a1,right\n', "expected csv with the columns id and label; unexpected end of data"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(content)
    with pytest.raises(DataError, match=said):
        read_labels(file)


def test_labels_of_other_answers(judged: FinishedEvaluation, tmp_path: Path) -> None:
    [kind] = judged_by(judged, ["kind"])
    file = tmp_path / "labels.csv"
    file.write_text("id,label\na1,right\na22,wrong\n")
    with pytest.raises(DataError, match=r"1 of 2 labels are about questions that are not there, e.g. 'a22'; did you"):
        read_labels(file).calibrate(kind)
    file.write_text("id,label\na1,right\na2,wrong\n")
    with pytest.raises(DataError, match="expected labels of answers about at least two videos that kind 1 has scored"):
        read_labels(file).calibrate(kind)
