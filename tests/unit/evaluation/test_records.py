"""Records of an evaluation on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vlmkit.api import Document, Unscored, Verdict
from vlmkit.errors import RunError
from vlmkit.evaluation.records import (
    Answer,
    AnswerFile,
    BenchmarkResult,
    JudgedAnswer,
    Question,
    read_pending,
    read_result,
    release_answers,
    write_pending,
    write_result,
)
from vlmkit.json_files import write_record

RESULT: dict[str, Any] = {
    "benchmark": "tiny",
    "version": "7",
    "split": "test",
    "limit": None,
    "annotations": {"files": [{"path": "a.json", "sha256": "0"}], "registered": False},
    "asked": "1",
    "model_sha256": "2",
    "decoding": {"greedy": True, "max_new_tokens": 5, "batch_size": 8},
    "judge": {"name": "exact", "version": "2"},
    "components": {"judge/exact": "vlmkit 0.1.0"},
    "n": 1,
    "skipped": 1,
    "unscored": 0,
    "metrics": {"accuracy": {"value": 1.0, "ci95": [0.2, 1.0]}},
    "by_type": {
        "who": {"n": 1, "metrics": {"accuracy": {"value": 1.0, "ci95": [0.2, 1.0]}}},
        "why": {"n": 0, "metrics": {}},
    },
    "files": {},
    "counting": "n are …",
    "seconds": 0.5,
    "spec_sha256": "3",
    "plugins": {"judges": "vlmkit 0.1.0"},
    "vlmkit_version": "0.1.0",
}


def question(key: str, answer: str = "a", shown: str = "v") -> Question:
    return Question(Document(key, "v", "q?", answer, "t"), "<video>\nq?", shown, None, "", "0")


def answers(*keys: str, said: str = "Grüße") -> list[Answer]:
    return [Answer.to(question(key), f"{said}, {key}") for key in keys]


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    AnswerFile(tmp_path / "eval" / "j.jsonl").append(answers("a", "b"))
    file = AnswerFile(tmp_path / "eval" / "j.jsonl")
    assert list(file.answers) == ["a", "b"]
    assert list(file.answers.values()) == answers("a", "b")


def test_a_line_has_the_keys_of_its_question_and_what_was_said(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "j.jsonl")
    file.append([Answer.to(question("a", shown="w"), "yes"), Answer.to(question("b"), None, "torn")])
    document = {"id": "a", "video": "v", "question": "q?", "answer": "a", "type": "t"}
    seen, skipped = (json.loads(line) for line in file.path.read_text().splitlines())
    assert list(seen.items())[:-1] == list({**document, "shown": "w", "asked": "0", "prediction": "yes"}.items())
    said = {"asked": "0", "prediction": None, "skipped": "torn"}
    assert list(skipped.items())[:-1] == list({**document, "id": "b", **said}.items())


def test_a_torn_line_is_cut_off_wherever_it_tears(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    AnswerFile(path).append(answers("a", "b"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        file = AnswerFile(path)
        assert list(file.answers.values()) == answers("a")
        file.append(answers("b"))
        assert path.read_bytes() == whole


def test_the_last_line_of_an_id_counts(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "j.jsonl")
    for said in ("old", "new"):
        file.append(answers("a", said=said))
    assert AnswerFile(file.path).answers["a"].prediction == "new, a"


def test_rewriting_leaves_these_answers_in_this_order_and_brings_them_up_to_date(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "j.jsonl")
    file.append(answers("a", "b", "c", "a"))
    file.rewrite([question("c", answer="new"), question("a")])
    c, a = answers("c", "a")
    assert list(file.answers.values()) == [c.model_copy(update={"answer": "new"}), a]
    assert AnswerFile(file.path).answers == file.answers


def test_rewriting_keeps_what_a_line_has_beside(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text(json.dumps({**answers("a")[0].data(), "confidence": 0.5}) + "\n")
    AnswerFile(path).rewrite([question("a", answer="new")])
    [line] = map(json.loads, path.read_text().splitlines())
    assert (line["answer"], line["confidence"]) == ("new", 0.5)


def test_a_line_that_is_no_answer_is_named(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "j.jsonl")
    file.append(answers("a"))
    with file.path.open("a") as stream:
        stream.write('{"prediction": "left"}\n')
    with pytest.raises(RunError, match=r"j\.jsonl, line 2: expected the key id, which is missing; remove the line"):
        AnswerFile(file.path)


@pytest.mark.parametrize(
    ("verdict", "correct", "unscored"),
    [(Verdict(True, 5.0), True, None), (Verdict(False, 0.0), False, None), (Unscored("why"), None, "why")],
)
def test_a_judged_answer_tells_what_became_of_it(
    verdict: Verdict | Unscored, correct: bool | None, unscored: str | None
) -> None:
    judged = JudgedAnswer(**dict(answers("a")[0]), verdict=verdict)
    assert (judged.correct, judged.unscored, judged.verdict) == (correct, unscored, verdict)


@pytest.mark.parametrize("blind", [False, True])
def test_a_result_is_written_as_it_was_read(tmp_path: Path, blind: bool) -> None:
    path = tmp_path / "result.json"
    scores = {key: RESULT[key] for key in ("n", "skipped", "unscored", "metrics", "by_type")}
    before = {key: value for key, value in RESULT.items() if list(RESULT).index(key) < list(RESULT).index("files")}
    after = {key: value for key, value in RESULT.items() if key not in before}
    write_record(path, {**before, **({"blind": scores} if blind else {}), **after})
    text = path.read_text()
    result = read_result(path)
    write_result(path, result)
    assert path.read_text() == text
    assert result.metrics["accuracy"].ci95 == [0.2, 1.0]
    assert (result.blind is not None) == blind
    with pytest.raises(ValidationError):
        result.n = 3


def test_a_result_of_an_older_version_has_less(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    needed = ("benchmark", "version", "split", "judge", "n", "skipped", "unscored", "metrics", "by_type", "spec_sha256")
    path.write_text(json.dumps({key: RESULT[key] for key in needed}))
    assert read_result(path).components == {}
    for key in needed:
        path.write_text(json.dumps({other: RESULT[other] for other in needed if other != key}))
        with pytest.raises(RunError, match=f"expected the key {key}, which is missing; remove the file and run"):
            read_result(path)


@pytest.mark.parametrize(
    ("key", "value"), [("n", "1"), ("n", -1), ("seconds", "1"), ("judge", {"name": "exact"}), ("components", [])]
)
def test_a_value_of_another_type_is_refused(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(RESULT | {key: value}))
    with pytest.raises(RunError, match=rf"result\.json.*{key}.*remove the file and run `vlmkit eval`"):
        read_result(path)


def test_a_result_stands_while_its_answers_are_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    release_answers(path)
    assert not path.exists()
    entry = {"bytes": 1, "xxh3_128": "0"}
    write_record(path, RESULT | {"files": {"predictions.jsonl": entry}, "later": 1})
    (tmp_path / "predictions.jsonl").write_text("another")
    with pytest.raises(RunError, match=r"predictions\.jsonl: expected 1 bytes, found 7 bytes"):
        read_result(path)
    release_answers(path)
    written = json.loads(path.read_text())
    assert written == {key: value for key, value in RESULT.items() if key != "files"} | {
        "later": 1,
        "checksum": written["checksum"],
    }
    assert isinstance(read_result(path), BenchmarkResult)


def test_the_file_of_pending_observers_goes_with_the_last_one(tmp_path: Path) -> None:
    folder = tmp_path / "eval" / "tiny"
    assert read_pending(folder) == []
    write_pending(folder, ["board"])
    assert read_pending(folder) == ["board"]
    assert list(json.loads((folder / "untold.json").read_text())) == ["plugins", "checksum"]
    write_pending(folder, [])
    assert list(folder.iterdir()) == []
