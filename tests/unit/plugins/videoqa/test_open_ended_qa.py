"""The evaluator `open-ended-qa`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vlmkit.api import DataError, Document, Verdict
from vlmkit_videoqa.spec import OpenEndedQaSpec

ROW = {"id": 3, "question": "Who runs?", "answer": "man", "video": "v", "type": "subject"}


def write(folder: Path, **files: Any) -> list[Path]:
    paths = []
    for name, content in files.items():
        text = isinstance(content, str)
        path = folder / f"{name}.{'txt' if text else 'json'}"
        path.write_text(content if text else json.dumps(content))
        paths.append(path)
    return paths


def test_prompt_and_scores() -> None:
    evaluator = OpenEndedQaSpec(prompt="<video>\nQ: {question} In {one} word.").build()
    document = Document("1", "v", "who {is} it?", "man", "who")
    assert evaluator.prompt(document) == "<video>\nQ: who {is} it? In {one} word."
    assert evaluator.score(document, Verdict(True, 4.0)) == {"accuracy": 1.0, "score": 4.0}
    assert evaluator.score(document, Verdict(False, 2.0)) == {"accuracy": 0.0, "score": 2.0}
    assert evaluator.metrics() == {"accuracy": (0, 1), "score": (0, 5)}


@pytest.mark.parametrize("prompt", ["{question}", "<video>", "<video><video>{question}"])
def test_a_prompt_has_video_and_question_once(prompt: str) -> None:
    with pytest.raises(ValidationError, match="exactly once in the prompt"):
        OpenEndedQaSpec(prompt=prompt)


def test_questions_with_answers(tmp_path: Path) -> None:
    files = write(tmp_path, qa=[ROW])
    assert OpenEndedQaSpec().build().documents(files) == [Document("3", "v", "Who runs?", "man", "who")]
    given = OpenEndedQaSpec(question_type="given").build()
    assert given.documents(files) == [Document("3", "v", "Who runs?", "man", "subject")]


def test_msvd_names_its_videos_in_a_mapping(tmp_path: Path) -> None:
    rows = [{"answer": "rifle", "id": 37349, "question": "what is it?", "video_id": 2}]
    files = write(tmp_path, qa=rows, mapping="-4wsuPCjDBc_5_15 vid1\n_aaMGK6GGw_57_61 vid2\n")
    [document] = OpenEndedQaSpec().build().documents(files)
    assert document == Document("37349", "_aaMGK6GGw_57_61", "what is it?", "rifle", "what")


@pytest.mark.parametrize("order", [1, -1])
def test_video_chatgpt_has_two_files(tmp_path: Path, order: int) -> None:
    questions = [{"video_name": "v", "question": f"how {i}?", "question_id": f"q{i}"} for i in range(3)]
    answers = [{"answer": str(i), "question_id": f"q{i}", "type": i} for i in (2, 0, 1)]
    files = write(tmp_path, q=questions, a=answers)[::order]
    documents = OpenEndedQaSpec(question_type="given").build().documents(files)
    assert [(d.id, d.answer, d.type) for d in documents] == [("q0", "0", "0"), ("q1", "1", "1"), ("q2", "2", "2")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"qa": {"a": 1}}, r"qa\.json: expected a JSON list of objects"),
        ({"qa": []}, r"qa\.json: expected a JSON list of objects"),
        (
            {"qa": [ROW, {**ROW, "id": 1}, ROW]},
            r"qa\.json: the id '3' belongs to more than one question",
        ),
        (
            {"qa": [{"question": "who?", "id": 1, "answer": "x"}]},
            r"qa\.json, entry 0: expected 'video' or 'video_name'",
        ),
        ({"qa": [{"question": "who?", "answer": "x"}]}, r"qa\.json, entry 0: expected 'id' or 'question_id'"),
        (
            {"q": [{"question": "who?", "id": 1, "video": "v"}]},
            r"q\.json, entry 0: no file has an answer to question '1'",
        ),
        ({"qa": [ROW, {**ROW, "id": 4, "answer": None}]}, r"qa\.json, entry 1: expected 'answer', found the keys id, "),
        ({"one": [ROW], "two": [ROW]}, "exactly one JSON file with questions, found 2"),
        ({"a": [{"answer": "x", "id": 1}]}, "exactly one JSON file with questions, found 0"),
        ({"q": [ROW], "a": [{"answer": "x", "id": 1}] * 2}, r"a\.json, entry 1: the id '1' stands there a second time"),
        ({"qa": [{**ROW, "answer": "a \ud83d"}]}, r"qa\.json, entry 0: '\\ud83d' is half a character"),
        ({"qa": [ROW], "mapping": "name vid1\n"}, r"qa\.json, entry 0: video 'v' is not in the mapping of names"),
        ({"qa": [ROW], "mapping": "name vid1\nvid2\n"}, r"mapping\.txt, line 2: expected NAME vidNUMBER, found 'vid2'"),
    ],
)
def test_malformed_annotations(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        OpenEndedQaSpec().build().documents(write(tmp_path, **files))


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "qa.json"
    path.write_text("{")
    with pytest.raises(DataError, match=r"qa\.json: expected a JSON list"):
        OpenEndedQaSpec().build().documents([path])
    path.write_text("[" * 5000 + "]" * 5000)
    with pytest.raises(DataError, match=r"qa\.json: expected a JSON list.*: maximum recursion depth"):
        OpenEndedQaSpec().build().documents([path])
