"""The evaluator `open-ended-qa`."""

from __future__ import annotations

import json
import os
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
        ({"qa": {"a": 1}}, r"qa\.json, entry 0: expected 'id' or 'question_id', found the keys a"),
        ({"qa": {"a": {"b": [1]}, "c": 2}}, r"qa\.json, entry 0: expected 'id' or 'question_id', found the keys a, c"),
        ({"qa": []}, r"qa\.json: expected a JSON list of questions or answers, found an empty one"),
        ({"qa": [ROW, 3]}, r"qa\.json, entry 1: expected an object with the keys question, answer, …; found 3"),
        (
            {"qa": [ROW, {**ROW, "id": 1}, ROW]},
            r"qa\.json, entry 2: the id '3' belongs to more than one question \(entry 0\)",
        ),
        ({"qa": [ROW, {**ROW, "id": "3"}]}, "entry 1: the id '3' belongs to more than one question"),
        (
            {"qa": [{"question": "who?", "id": 1, "answer": "x"}]},
            r"qa\.json, entry 0: expected 'video' or 'video_name'",
        ),
        ({"qa": [{"question": "who?", "answer": "x"}]}, r"qa\.json, entry 0: expected 'id' or 'question_id'"),
        (
            {"q": [{"question": "who?", "id": 1, "video": "v"}]},
            r"q\.json, entry 0: no file has an answer to question '1'",
        ),
        ({"qa": [ROW, {**ROW, "id": 4, "answer": None}]}, r"qa\.json, entry 1: no file has an answer to question '4'"),
        ({"qa": [{**ROW, "question": None}]}, r"qa\.json, entry 0: expected 'question', found the keys id, "),
        ({"qa": [{"id": 1}, ROW]}, r"qa\.json, entry 0: no file has an answer to question '1'"),
        (
            {"q": [ROW], "a": [{"id": 3, "answer": "cat"}]},
            "'3' has the answer 'man' here and 'cat' in the file",
        ),
        ({"one": [ROW], "two": [ROW]}, "exactly one JSON file with questions, found 2"),
        ({"a": [{"answer": "x", "id": 1}]}, "exactly one JSON file with questions, found 0"),
        ({"q": [ROW], "a": [{"answer": "x", "id": 1}] * 2}, r"a\.json, entry 1: the id '1' stands there a second time"),
        ({"qa": [{**ROW, "answer": "a \ud83d"}]}, r"qa\.json, entry 0: '\\ud83d' is half a character"),
        ({"qa": [ROW], "mapping": "name vid1\n"}, r"qa\.json, entry 0: video 'v' is not in the mapping of names"),
        ({"qa": [ROW], "mapping": "name vid1\nvid2\n"}, r"mapping\.txt, line 2: expected NAME vidNUMBER; found 'vid2'"),
        ({"qa": [ROW], "mapping": "a vid1\nb vid1\n"}, r"mapping\.txt, line 2: vid1 has two names, 'a' and 'b'"),
        ({"qa": [ROW], "mapping": "a 1\n"}, r"mapping\.txt, line 1: expected questions as a JSON list or JSON lines"),
        ({"qa": [ROW], "mapping": ""}, r"mapping\.txt: expected questions as a JSON list .*; the file is empty"),
    ],
)
def test_malformed_annotations(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        OpenEndedQaSpec().build().documents(write(tmp_path, **files))


@pytest.mark.parametrize("key", ["id", "video", "question", "answer", "type"])
@pytest.mark.parametrize("value", [["red", "crimson"], {"text": "red"}, True, False, 1.5, float("nan"), "", " \n"])
def test_a_field_of_a_wrong_type_is_no_text(tmp_path: Path, key: str, value: Any) -> None:
    files = write(tmp_path, qa=[ROW, {**ROW, "id": 1, key: value}])
    with pytest.raises(DataError, match=rf"qa\.json, entry 1: `{key}` (should be text|is empty)"):
        OpenEndedQaSpec(question_type="given").build().documents(files)


def test_whole_numbers_are_names_and_answers_and_no_questions(tmp_path: Path) -> None:
    evaluator = OpenEndedQaSpec(question_type="given").build()
    files = write(tmp_path, qa=[{"id": 1, "video": 2, "question": "how many?", "answer": 3, "type": 4}])
    assert evaluator.documents(files) == [Document("1", "2", "how many?", "3", "4")]
    with pytest.raises(DataError, match="`question` should be text, found 5"):
        evaluator.documents(write(tmp_path, qa=[{**ROW, "question": 5}]))


def test_null_is_as_good_as_absent(tmp_path: Path) -> None:
    rows = [{"id": None, "question_id": 1, "video": None, "video_name": "v", "question": "who is it?", "answer": None}]
    files = write(tmp_path, q=rows, a=[{"question_id": "1", "answer": "she", "type": None}])
    assert OpenEndedQaSpec().build().documents(files) == [Document("1", "v", "who is it?", "she", "who")]


@pytest.mark.parametrize("lines", [True, False])
def test_the_content_tells_what_a_file_is(tmp_path: Path, lines: bool) -> None:
    rows = [{**ROW, "id": i, "video": i} for i in (1, 2)]
    text = "".join(json.dumps(row) + "\r\n" for row in rows) if lines else json.dumps(rows, indent=2)
    for name in ("qa.json", "QA.JSON", "qa.jsonl", "qa.txt", "qa"):
        for encoding in ("utf-8", "utf-8-sig"):
            (tmp_path / name).write_text(text, encoding=encoding)
            (tmp_path / "names.txt").write_text("first vid1\r\n\r\nsecond vid2", encoding=encoding)
            documents = OpenEndedQaSpec().build().documents([tmp_path / name, tmp_path / "names.txt"])
            assert [document.video for document in documents] == ["first", "second"]


def test_other_layouts_are_told_which_there_are(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("gif_name\tquestion\tanswer\nfirst\twhat is it?\tdog\n")
    with pytest.raises(DataError, match=r"q\.csv, line 1: expected questions as a JSON list or .*gif_name"):
        OpenEndedQaSpec().build().documents([tmp_path / "q.csv"])


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "qa.json"
    contents = {
        "{": r"qa\.json, line 1: expected a JSON list",
        "[" * 100_000 + "]" * 100_000: "expected a JSON list.* nested too deeply",
        f'[{{"id": {"9" * 5000}}}]': "too many digits",
        "": "the file is empty",
        "[1": "this is no JSON",
    }
    for content, message in contents.items():
        path.write_text(content)
        with pytest.raises(DataError, match=message) as error:
            OpenEndedQaSpec().build().documents([path])
        assert len(str(error.value)) < 500
    path.write_text(json.dumps([{**ROW, "question": ["x" * 5_000_000]}]))
    with pytest.raises(DataError, match="`question` should be text") as error:
        OpenEndedQaSpec().build().documents([path])
    assert len(str(error.value)) < 500
    path.unlink()
    os.mkfifo(path)
    for odd in (path, tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="expected questions or answers"):
            OpenEndedQaSpec().build().documents([odd])
