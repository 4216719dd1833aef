"""Malformed annotation files, and options that do not fit them: one message each, with file and entry."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import DataError, Document
from vlmkit.benchmarks.annotation_options import annotation_options
from vlmkit.benchmarks.annotations import read_documents

Read = Callable[..., list[Document]]
ROW = {"id": 3, "question": "Who runs?", "answer": "man", "video": "v", "type": "subject"}
CHOICE = {"qid": 0, "video": "v", "q": "What?", "a0": "a cat", "a1": "a dog", "a2": "a cow", "answer": 1}
CHOOSE: dict[str, Any] = {
    "id": "{video}_{qid}", "question": "{q}", "options": ["a0", "a1", "a2"], "answer_is": "index",
}  # fmt: skip


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"qa": {"a": 1}}, r"qa\.json: `question` names the column 'question', which no row has; columns: a"),
        ({"qa": []}, r"qa\.json: expected a JSON list of questions or answers, found an empty one"),
        ({"qa": [ROW, 3]}, r"qa\.json, entry 1: expected an object with the keys question, answer, …; found 3"),
        (
            {"qa": [ROW, {**ROW, "id": 1}, ROW]},
            r"qa\.json, entry 2: the id '3' belongs to more than one question, this and .*qa\.json, entry 0",
        ),
        ({"qa": [ROW, {**ROW, "id": "3"}]}, "entry 1: the id '3' belongs to more than one question"),
        (
            {"one": [ROW], "two": [ROW]},
            r"two\.json, entry 0: the id '3' belongs to more than one question, this and .*one\.json, entry 0",
        ),
        (
            {"qa": [{"question": "who?", "id": 1, "answer": "x"}]},
            r"qa\.json, entry 0: expected 'video' or 'video_name' or 'video_id', found the keys question, id, answer",
        ),
        ({"qa": [{"question": "who?", "answer": "x"}]}, r"qa\.json, entry 0: expected 'id' or 'question_id'"),
        (
            {"q": [{"question": "who?", "id": 1, "video": "v"}]},
            r"q\.json, entry 0: no file has an answer to question '1'",
        ),
        ({"qa": [ROW, {**ROW, "id": 4, "answer": None}]}, r"qa\.json, entry 1: no file has an answer to question '4'"),
        ({"qa": [ROW, {**ROW, "question": None}]}, r"qa\.json, entry 1: expected 'question', found the keys id, "),
        (
            {"q": [ROW], "a": [{"id": 3, "answer": "cat"}]},
            r"q\.json, entry 0: the answer is 'man' here and 'cat' in .*a\.json, entry 0; remove one",
        ),
        ({"q": [ROW], "a": [{"answer": "x", "id": 1}] * 2}, r"a\.json, entry 1: the id '1' stands there a second time"),
        ({"qa": [{**ROW, "answer": "a \ud83d"}]}, r"qa\.json, entry 0: '\\ud83d' is half a character"),
        (
            {"qa": [{**ROW, "video": ["v", "w"]}]},
            r"qa\.json, entry 0: `video` is a list of 2 videos; a question .* name it \(`video: '{video\.0}'`\), or",
        ),
        ({"qa": [ROW], "mapping": "name vid1\n"}, r"qa\.json, entry 0: video 'v' is not in the mapping of names"),
        ({"qa": [ROW], "mapping": "name vid1\nvid2\n"}, r"mapping\.txt, line 2: expected NAME vidNUMBER; found 'vid2'"),
        ({"qa": [ROW], "mapping": "a vid1\nb vid1\n"}, r"mapping\.txt, line 2: vid1 has two names, 'a' and 'b'"),
        ({"qa": [ROW], "mapping": "a 1\n"}, r"mapping\.txt, line 1: expected questions as a JSON list or JSON lines"),
        ({"qa": [ROW], "mapping": ""}, r"mapping\.txt: expected questions as a JSON list .*; the file is empty"),
        ({"names": "a vid1"}, "expected a file with questions, found none among: names.txt"),
        ({"q.csv": "id,question,answer,video\n1,who?,he,v\n2,wh"}, r"q\.csv, line 3: expected 4 columns .*cut off"),
        ({"q.csv": 'id,question,answer,video\n1,"who?,he,v\n'}, r"q\.csv, line 2: expected a table; .*cut off"),
        ({"q.csv": "id,question,answer,video\n"}, r"q\.csv: expected rows below the line of column names, found none"),
        ({"q.csv": "id,question,id\n1,a,b\n"}, r"q\.csv, line 1: two columns have the name 'id'"),
        ({"q.csv": "id,question,answer,video\n3,who?,,v\n"}, r"q\.csv, line 2: no file has an answer to question '3'"),
        ({"q.csv": "id,question\n3,who?\n".encode("utf-16")}, r"q\.csv: expected .* in UTF-8, found the byte 0xff at"),
        ({"q.gz": gzip.compress(b"[" * 100, mtime=0)[:-9]}, r"q\.gz: expected .* gzip; it is damaged or cut off: "),
        ({"q": f"[{json.dumps(ROW)}, {{"}, r"q\.txt: expected .*; this is no JSON"),
        ({"q": f"{json.dumps(ROW)}\n{{"}, r"q\.txt, line 2: expected .*; this is no JSON"),
    ],
)  # fmt: skip
def test_malformed_annotations(read: Read, files: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(files)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "{vid}_{qid}"}, "`id` names the column 'vid', which no row has; did you mean 'video'"),
        ({"tags": {"x": "{nothing}"}}, r"q\.json: `tags\.x` names the column 'nothing', which no row has; columns"),
        ({"options": ["a0", "a3"]}, r"`options\.1` names the column 'a3'"),
        ({"where": {"kind": "x"}}, r"`where\.kind` names the column 'kind'"),
        ({"where": {"video": "x"}}, r"q\.json: none of its 1 rows is one that `where`"),
        ({"columns": {"a": {"file": "none.json", "path": ["{qid}"]}}}, "expected a file none.json among .* q.json"),
        ({"columns": {"a": {"file": "right.json", "path": ["{qid}"]}}}, "none of its 1 questions has an entry in"),
        ({"type": {"template": "{q}", "pattern": "[0-9]+"}}, r"entry 0: `type` is made of 'What\?', in which the"),
        ({"companion": "v_8"}, r"q\.json, entry 0: there is no question 'v_8' to judge with this one"),
        ({"span": ["{qid}", "{video}"]}, r"entry 0: expected two numbers as `span`, .* found \['0', 'v'\]"),
        ({"span": ["{answer}", "{qid}"]}, "entry 0: expected two numbers as `span`"),
        ({"nested": ["video"]}, r"q\.json: expected an object whose keys are `video`, found \["),
        ({"rows": "questions"}, r"q\.json, entry 0: expected a list of rows under `questions`, found None"),
        ({"answer_is": "text"}, "entry 0: the answer '1' is none of the options"),
        ({"answer_is": "letter"}, "entry 0: expected a letter from A to C as answer, found '1'"),
        ({"answer_is": "number", "answer": "{qid}"}, "expected the position of one of the 3 options, from 1 to 3"),
        ({"options": ["a0"]}, "expected the position of one of the 1 options, from 0 to 0 as answer, found '1'"),
        ({"options": {"column": "q"}}, r"entry 0: expected a list of options as `q`, found 'What\?'"),
        ({"answer": None, "options": {"line": "(?P<text>W.*)", "of": "What\nis\n{q}"}}, "entry 0: expected an option"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_the_files(read: Read, options: dict[str, Any], message: str) -> None:
    files = {"q.json": [CHOICE]} | ({"right.json": {"x": 1}} if "right.json" in str(options) else {})
    with pytest.raises(DataError, match=message):
        read(files, **CHOOSE | options)


@pytest.mark.parametrize("key", ["id", "video", "question", "answer", "type"])
@pytest.mark.parametrize("value", [["red", "crimson"], {"text": "red"}, True, False, 1.5, float("nan"), "", " \n"])
def test_a_field_of_a_wrong_type_is_no_text(read: Read, key: str, value: Any) -> None:
    files = {"qa": [ROW, {**ROW, "id": 1, key: value}]}
    if key == "type" and isinstance(value, str):  # it is not needed
        assert read(files)[1].type == value
        return
    with pytest.raises(DataError, match=rf"qa\.json, entry 1: `{key}` (should be text|is empty|is a list of 2)"):
        read(files)


@pytest.mark.parametrize("answer", [["a dog"], True, float("nan"), 1.0, -1, 3, "", "10000000000", "one"])
def test_answers_that_name_no_option(read: Read, answer: Any) -> None:
    with pytest.raises(DataError, match=r"q\.json, entry 1: (expected the position|`answer` should be text)"):
        read({"q": [CHOICE, {**CHOICE, "qid": 1, "answer": answer}]}, **CHOOSE)


@pytest.mark.parametrize(("value", "message"), [(None, "there is no option `a1`"), (1.5, "`a1` should be text")])
def test_malformed_options(read: Read, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"q\.json, entry 0: {message}"):
        read({"q": [{**CHOICE, "a1": value}]}, **CHOOSE)
    [document] = read({"q": [{**CHOICE, "a2": None}]}, **CHOOSE)
    assert document.options == ("a cat", "a dog")


def test_a_file_that_cannot_be_read(read: Read, tmp_path: Path) -> None:
    contents = {
        "{": r"qa\.txt, line 1: expected a JSON list",
        "[" * 100_000 + "]" * 100_000: "expected a JSON list.* nested too deeply",
        f'[{{"id": {"9" * 5000}}}]': "too many digits",
        "[1": "this is no JSON",
    }
    for content, message in contents.items():
        with pytest.raises(DataError, match=message) as error:
            read({"qa.txt": content})
        assert len(str(error.value)) < 500
    with pytest.raises(DataError, match="`question` should be text") as error:
        read({"qa": [{**ROW, "question": ["x" * 5_000_000]}]})
    assert len(str(error.value)) < 500
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for odd in (path, tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="expected questions or answers"):
            read_documents([odd], annotation_options(where="entry"))
