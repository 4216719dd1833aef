"""Answers made elsewhere are written as the answers of a run, with verdicts under the name of their judge."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit.answers.answer_formats import ReadOptions
from vlmkit.answers.entry_questions import entry_questions
from vlmkit.answers.imported import StoredVerdict
from vlmkit.answers.importing import AnswerSource, Imported, import_answers
from vlmkit.answers.stored_verdicts import StoredVerdicts, request_of_each
from vlmkit.api import JudgeRequest, Unscored, Verdict
from vlmkit.benchmarks.entries import Benchmark, read_benchmark
from vlmkit.benchmarks.protocols import Rules, build_rules
from vlmkit.errors import DataError
from vlmkit.evaluation.answers import read_answers
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.records import JudgeName, read_result
from vlmkit.evaluation.rescoring import read_scored
from vlmkit.files import file_sha256

ROWS = [
    {"id": f"{video}{number}", "video": video, "question": f"what {number}?", "answer": f"ref {number}", "type": "what"}
    for video in "ab"
    for number in range(3)
]


@pytest.fixture
def entry(tmp_path: Path) -> Benchmark:
    """A benchmark of open-ended questions with two splits, its files beside the entry."""
    folder = tmp_path / "entries" / "tiny"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("Tiny.")
    splits = {}
    for name, rows in (("test", ROWS), ("val", ROWS[:2])):
        (folder / f"{name}.json").write_text(json.dumps(rows))
        sha256 = file_sha256(folder / f"{name}.json")
        splits[name] = {"questions": len(rows), "files": [{"name": f"{name}.json", "sha256": sha256, "source": "none"}]}
    content = {
        "title": "Tiny", "paper": "none", "license": "none", "version": "3", "default_split": "test", "splits": splits,
        "video": {"file": "{video}.mp4"}, "generation": {"max_new_tokens": 5}, "evaluator": {"type": "open-ended-qa"},
        "metrics": ["accuracy", "score"],
    }  # fmt: skip
    (folder / "benchmark.yaml").write_text(yaml.safe_dump(content))
    return read_benchmark(folder)


def rules_of(entry: Benchmark) -> Rules:
    return build_rules(entry.protocol(None), entry.folder)


def take(entry: Benchmark, to: Path, content: Any, split: str = "test", **more: Any) -> Imported:
    file = to.parent / "answers.json"
    file.write_text(json.dumps(content))
    source = AnswerSource([file], options=ReadOptions(), **more)
    return import_answers(source, entry, entry_questions(entry, split, None), rules_of(entry), "ada-7b", to)


def pair(row: dict[str, str], said: str, correct: bool, score: int) -> list[Any]:
    verdict = {"pred": "yes" if correct else "no", "score": score}
    return [verdict, {"q": row["question"], "a": row["answer"], "pred": said}]


def test_answers_are_written_in_the_order_of_the_benchmark(entry: Benchmark, tmp_path: Path) -> None:
    given = [{"id": row["id"], "answer": row["id"].upper()} for row in reversed(ROWS)]
    imported = take(entry, tmp_path / "run", [*given[:-1], {**given[-1], "answer": None}])
    answers = read_answers(tmp_path / "run" / "eval" / "tiny" / "predictions.jsonl")
    assert [answer.prediction for answer in answers.values()] == ["", "A1", "A2", "B0", "B1", "B2"]
    assert [answer.document for answer in answers.values()] == entry_questions(entry, None, None).documents
    record, result = imported.record, imported.result
    assert (record.model, result.benchmark, result.version, result.split) == ("ada-7b", "tiny", "3", "test")
    assert (record.answers, record.unanswered, record.missing, record.matched_by) == (6, 1, 0, "id")
    assert result.judge is not None
    assert (result.judge.name, result.n, result.metrics["accuracy"].value) == ("exact", 6, 0)
    assert read_result(imported.folder / "result.json") == result
    said = json.loads((imported.folder / "import.json").read_text())
    assert said["files"] == [{"path": str(tmp_path / "answers.json"), "sha256": file_sha256(tmp_path / "answers.json")}]


def test_verdicts_come_along_under_the_name_of_their_judge(entry: Benchmark, tmp_path: Path) -> None:
    imported = take(
        entry, tmp_path / "run", {row["id"]: pair(row, f"I see {n}", n < 2, 4) for n, row in enumerate(ROWS)}
    )
    assert imported.record.verdicts == {"gpt-3.5-turbo-0125": 6}
    prompts = ["video-chatgpt-qa@1"]
    assert imported.result.judge == JudgeName(name="gpt-3.5-turbo-0125", version="stored", prompts=prompts)
    assert imported.result.metrics["accuracy"].value == pytest.approx(1 / 3)
    assert [one.is_right for one in read_scored(imported.folder, more=[str(entry.folder.parent)])] == [
        True,
        True,
    ] + 4 * [False]
    answers = list(read_answers(imported.folder / "predictions.jsonl").values())
    requests = list(request_of_each(answers, rules_of(entry)).values())
    with closing(VerdictStore(imported.folder / "verdicts.sqlite", read_only=True)) as store:
        judging = store.judging(imported.result.judge, None)
        verdicts = judging(requests)
        assert isinstance(store.find("exact", "stored", requests[0]), type(None))
    found = [verdict for verdict in verdicts if isinstance(verdict, Verdict)]
    assert [verdict.correct for verdict in found] == [True, True, False, False, False, False]
    assert {(verdict.score, verdict.model, verdict.cost) for verdict in found} == {(4.0, "gpt-3.5-turbo-0125", None)}
    assert json.loads(found[0].raw) == {"pred": "yes", "score": 4}


def test_a_judge_that_says_two_things_of_one_answer_is_counted(entry: Benchmark, tmp_path: Path) -> None:
    said = [True, True, False, False, False, False]
    given = {row["id"]: pair(row, "a cup", said[n], 4) for n, row in enumerate(ROWS)}  # a0 is asked as b0 is, a1 as b1
    imported = take(entry, tmp_path / "run", given)
    assert imported.record.contradicted == 2
    answers = list(read_answers(imported.folder / "predictions.jsonl").values())
    verdicts = {
        row["id"]: StoredVerdict("gpt", right, 4.0, judged="a cup") for row, right in zip(ROWS, said, strict=True)
    }
    requests = request_of_each(answers, rules_of(entry))
    judge = StoredVerdicts("gpt", verdicts, requests)
    found = [verdict for _, verdict in judge.judge(list(requests.values()))]
    assert [isinstance(verdict, Verdict) and verdict.correct for verdict in found] == said


def test_an_answer_without_a_stored_verdict_is_unscored() -> None:
    asked = JudgeRequest("Who?", ("Ada",), "Bob")
    [(_, found)] = StoredVerdicts("gpt", {}, {}).judge([asked])
    assert found == Unscored("there is no stored verdict of gpt on this answer")


def test_a_verdict_about_another_answer_is_left_out(entry: Benchmark, tmp_path: Path) -> None:
    judged = tmp_path / "judged.json"
    judged.write_text(json.dumps({row["id"]: pair(row, "a cup", True, 5) for row in ROWS}))
    given = [{"id": row["id"], "answer": "a cup" if row is ROWS[0] else "a hat"} for row in ROWS]
    imported = take(entry, tmp_path / "run", given, verdicts=[judged])
    assert (imported.record.verdicts, imported.record.refused) == ({"gpt-3.5-turbo-0125": 1}, 5)
    assert (imported.result.n, imported.result.unscored) == (1, 5)
    imported = take(entry, tmp_path / "other", given, verdicts=[judged], take_judged=True)
    assert (imported.record.verdicts, imported.record.refused) == ({"gpt-3.5-turbo-0125": 6}, 0)


def test_another_split_is_found_by_its_ids_and_its_number_of_questions(entry: Benchmark, tmp_path: Path) -> None:
    given = [{"id": row["id"], "answer": "x"} for row in ROWS]
    with pytest.raises(
        DataError, match=r"split val: it has 2 questions, and none for 4 of 6 .*'test', which has as many"
    ):
        take(entry, tmp_path / "run", given, "val")
    message = (
        r"split test: it has 6 questions, and 4 of them have no answer, .*e.g. 'val', which has as many .*--partial"
    )
    with pytest.raises(DataError, match=message):
        take(entry, tmp_path / "run", given[:2])
    imported = take(entry, tmp_path / "run", given[:2], partial=True)
    assert (imported.record.answers, imported.record.missing) == (2, 4)
    assert imported.missing == ["a2", "b0", "b1", "b2"]


def test_answers_are_never_written_over_others(entry: Benchmark, tmp_path: Path) -> None:
    given = [{"id": row["id"], "answer": "x"} for row in ROWS]
    take(entry, tmp_path / "run", given)
    with pytest.raises(DataError, match="there is an evaluation already; remove it, or give another --to"):
        take(entry, tmp_path / "run", given)


def test_an_import_that_fails_leaves_nothing(entry: Benchmark, tmp_path: Path) -> None:
    given = [{"id": row["id"], "answer": "x"} for row in ROWS]
    broken = entry.model_copy(update={"break_down": ("aspect",)})
    with pytest.raises(DataError, match="has no 'aspect', by which scores are told apart"):
        take(broken, tmp_path / "run", given)
    assert list((tmp_path / "run" / "eval").iterdir()) == []
    take(entry, tmp_path / "run", given)


def test_questions_of_a_dataset_are_no_benchmark_for_answers_of_others(entry: Benchmark) -> None:
    drawn = entry.splits["test"].model_copy(update={"dataset": {"type": "moving-shapes"}, "files": ()})
    with pytest.raises(DataError, match="its questions come from the dataset 'moving-shapes'"):
        entry_questions(entry.model_copy(update={"splits": {"test": drawn}}), None, None)
