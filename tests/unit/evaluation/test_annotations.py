"""Annotation files become documents, in the layouts in which benchmarks circulate."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import DataError, Document
from vlmkit.evaluation.annotation_files import annotation_file, content_sha256
from vlmkit.evaluation.annotation_options import annotation_options
from vlmkit.evaluation.annotations import read_documents

ROW = {"id": 3, "question": "Who runs?", "answer": "man", "video": "v", "type": "subject"}
CHOICE = {"qid": 0, "video": "v", "q": "What?", "a0": "a cat", "a1": "a dog", "a2": "a cow", "answer": 1}
CHOOSE: dict[str, Any] = {
    "id": "{video}_{qid}", "question": "{q}", "options": ["a0", "a1", "a2"], "answer_is": "index",
}  # fmt: skip


def write(folder: Path, files: dict[str, Any]) -> list[Path]:
    paths = []
    for name, content in files.items():
        path = folder / (name if "." in name else f"{name}.{'txt' if isinstance(content, str) else 'json'}")
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        paths.append(path)
    return paths


def read(folder: Path, contents: dict[str, Any], **options: Any) -> list[Document]:
    return read_documents(write(folder, contents), annotation_options(options, where="entry"))


def table(rows: Sequence[dict[str, Any]], delimiter: str = ",", end: str = "\n") -> str:
    lines: list[list[Any]] = [list(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(delimiter.join(map(str, line)) + end for line in lines)


def test_questions_with_answers(tmp_path: Path) -> None:
    assert read(tmp_path, {"qa": [ROW]}) == [Document("3", "v", "Who runs?", "man", "subject")]
    first_word = {"template": "{question}", "pattern": r"\S+", "lower": True}
    assert read(tmp_path, {"qa": [ROW]}, type=first_word)[0].type == "who"
    assert read(tmp_path, {"qa": [ROW]}, type=None)[0].type == ""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_tables(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = [{"": 0, **ROW}, {"": 1, **ROW, "id": 4, "question": '"Who, by the\nway?"', "type": ""}]
    text = table(rows, delimiter, end)
    expected = [Document("3", "v", "Who runs?", "man", "subject"), Document("4", "v", "Who, by the\nway?", "man")]
    for content in (text, f"\ufeff{text}", gzip.compress(text.encode())):
        assert read(tmp_path, {"qa.csv": content}) == expected


def test_msvd_names_its_videos_in_a_table(tmp_path: Path) -> None:
    rows = [{"answer": "rifle", "id": 37349, "question": "what is it?", "video_id": 2}]
    [document] = read(tmp_path, {"qa": rows, "mapping": "-4wsuPCjDBc_5_15 vid1\n_aaMGK6GGw_57_61 vid2\n"})
    assert document == Document("37349", "_aaMGK6GGw_57_61", "what is it?", "rifle")


@pytest.mark.parametrize("order", [1, -1])
def test_answers_in_a_second_file_are_matched_by_id(tmp_path: Path, order: int) -> None:
    questions = [{"video_name": "v", "question": f"how {i}?", "question_id": f"q{i}"} for i in range(3)]
    answers = [{"answer": str(i), "question_id": f"q{i}", "type": i} for i in (2, 0, 1)]
    files = dict([("q", questions), ("a", answers)][::order])
    documents = read(tmp_path, files)
    assert [(d.id, d.answer, d.type) for d in documents] == [("q0", "0", "0"), ("q1", "1", "1"), ("q2", "2", "2")]


@pytest.mark.parametrize("lines", [True, False])
def test_the_content_tells_what_a_file_is(tmp_path: Path, lines: bool) -> None:
    rows = [{**ROW, "id": i, "video": i} for i in (1, 2)]
    text = "".join(json.dumps(row) + "\r\n" for row in rows) if lines else json.dumps(rows, indent=2)
    for name in ("qa.json", "QA.JSON", "qa.jsonl", "qa.txt", "qa.csv", "qa.json.gz"):
        for encoding in ("utf-8", "utf-8-sig"):
            files = {name: text.encode(encoding), "names.txt": "first vid1\r\n\r\nsecond vid2".encode(encoding)}
            assert [document.video for document in read(tmp_path, files)] == ["first", "second"]


def test_nested_by_video_and_aspect(tmp_path: Path) -> None:
    rows = {"v1": {"speed": [ROW, {**ROW, "question": "How?"}], "order": [ROW]}, "v2": {"speed": [ROW]}}
    documents = read(
        tmp_path, {"yes_no.json": rows}, nested=["clip", "aspect"], id="{file}/{clip}/{aspect}/{index}/{row}",
        video="{clip}", type="{aspect}",
    )  # fmt: skip
    assert [(d.id, d.video, d.type) for d in documents] == [
        ("yes_no/v1/speed/0/0", "v1", "speed"),
        ("yes_no/v1/speed/1/1", "v1", "speed"),
        ("yes_no/v1/order/0/2", "v1", "order"),
        ("yes_no/v2/speed/0/3", "v2", "speed"),
    ]
    single = {"Adaptation": {"0": ROW, "1": {**ROW, "id": 4}}}
    documents = read(tmp_path, {"a.json": single}, nested=["track", "number"], task="{track}", id="{number}")
    assert [(d.id, d.task) for d in documents] == [("0", "Adaptation"), ("1", "Adaptation")]


def test_rows_inside_entries(tmp_path: Path) -> None:
    entries = [{"video_id": "001", "duration": "short", "questions": [{**ROW, "video": None}, {**ROW, "id": 4}]}]
    documents = read(tmp_path, {"q": entries}, rows="questions", tags={"duration": "{duration}"}, video="{video_id}")
    assert [(d.id, d.video, d.tags) for d in documents] == [(i, "001", {"duration": "short"}) for i in ("3", "4")]


@pytest.mark.parametrize(
    ("answer", "kind"), [(1, "index"), ("1", "index"), (2, "number"), ("B", "letter"), ("a dog", "text")]
)
def test_options_in_columns(tmp_path: Path, answer: Any, kind: str) -> None:
    files = {"q": [{**CHOICE, "answer": answer}]}
    [document] = read(tmp_path, files, **{**CHOOSE, "answer_is": kind})
    assert document == Document("v_0", "v", "What?", "a dog", options=("a cat", "a dog", "a cow"), correct=1)


@pytest.mark.parametrize(
    "options", [["(A) a cat", "(B) a dog"], {"A": "(A) a cat", "B": "(B) a dog"}], ids=["list", "mapping"]
)
def test_options_in_one_column(tmp_path: Path, options: Any) -> None:
    row = {**ROW, "options": options, "answer": "(B) a dog"}
    [document] = read(tmp_path, {"q": [row]}, options={"column": "options"})
    assert (document.options, document.correct) == (("(A) a cat", "(B) a dog"), 1)
    [document] = read(tmp_path, {"q": [row]}, options={"column": "options", "pattern": r"\([A-D]\) (.*)"})
    assert (document.options, document.correct, document.answer) == (("a cat", "a dog"), 1, "a dog")
    nothing: list[Any] = [[], None, {"A": "", "B": ""}]
    for empty in nothing:
        [document] = read(tmp_path, {"q": [{**row, "options": empty}]}, options={"column": "options"})
        assert (document.options, document.answer, document.references) == ((), "(B) a dog", ("(B) a dog",))


def test_options_in_lines_of_the_question(tmp_path: Path) -> None:
    question = "Which is\nbetter?\nCaption A: A man.\nCaption B: A dog."
    line = r"(?P<label>Caption [AB]): (?P<text>.*)"
    [document] = read(
        tmp_path, {"q": [{**ROW, "question": question, "answer": "Caption B: A dog."}]},
        options={"line": line}, tags={"whole": "{question}"},
    )  # fmt: skip
    assert (document.question, document.options, document.correct) == ("Which is\nbetter?", ("A man.", "A dog."), 1)
    assert document.tags == {"whole": question, "labels": "Caption A\nCaption B"}
    of = {"line": line, "of": "{other}"}
    [document] = read(tmp_path, {"q": [{**ROW, "other": question, "answer": "A man."}]}, options=of)
    assert (document.question, document.options, document.correct) == ("Who runs?", ("A man.", "A dog."), 0)


def test_of_equal_options_the_last_is_right(tmp_path: Path) -> None:
    [document] = read(
        tmp_path, {"q": [{**CHOICE, "a0": "x", "a2": "x", "answer": "x"}]}, **CHOOSE | {"answer_is": "text"}
    )
    assert document.correct == 2


def test_questions_with_known_faults_count(tmp_path: Path) -> None:
    rows = [{**CHOICE, "answer": "a horse"}, {**CHOICE, "qid": 1, "q": "", "a0": "", "a1": "", "a2": "", "answer": ""}]
    options = {**CHOOSE, "answer_is": "text", "flawed": ["v_0", "v_1"]}
    first, second = read(tmp_path, {"q": rows}, **options)
    assert (first.correct, first.answer) == (None, "a horse")
    assert (second.correct, second.question, second.options) == (2, "", ("", "", ""))


def test_lookups_in_other_files(tmp_path: Path) -> None:
    files = {
        "q.json": [{**CHOICE, "answer": None}, {**CHOICE, "qid": 1, "answer": None}],
        "right.json": {"v": {"0": 2}},
        "more.json": [{"key": "v-1", "note": {"text": "hard"}}],
    }
    columns = {
        "right": {"file": "right.json", "path": ["{video}", "{qid}"]},
        "note": {"file": "more.json", "by": "{key}", "path": ["{video}-{qid}", "note.text"]},
    }
    documents = read(
        tmp_path, files, **CHOOSE, answer="{right}", unanswered=True, columns=columns, tags={"note": "{note}"}
    )
    assert [(d.correct, d.answer, d.tags) for d in documents] == [(2, "a cow", {}), (None, "", {"note": "hard"})]


def test_several_references(tmp_path: Path) -> None:
    files = {"q.json": [{**ROW, "more": ["boy", "man", "guy"]}, {**ROW, "id": 4}], "second.json": {"v": {"3": "child"}}}
    documents = read(
        tmp_path, files, columns={"second": {"file": "second.json", "path": ["{video}", "{id}"]}},
        references=["{second}", "{more}"],
    )  # fmt: skip
    assert [document.references for document in documents] == [("man", "child", "boy", "guy"), ("man",)]


def test_rows_with_two_questions_and_companions(tmp_path: Path) -> None:
    row = {"Q1": "What is it?", "Q2": "Tell what it is.", "A": "a dog", "video_name": "v"}
    documents = read(
        tmp_path, {"q": [row]}, id="{row}_{n}", question="{q}", answer="{A}", companion="{row}_{other}",
        variants=[{"q": "{Q1}", "n": "1", "other": "2"}, {"q": "{Q2}", "n": "2"}],
    )  # fmt: skip
    assert [(d.id, d.question, d.companion) for d in documents] == [
        ("0_1", "What is it?", "0_2"), ("0_2", "Tell what it is.", ""),
    ]  # fmt: skip


def test_groups_types_spans_and_rows_that_count(tmp_path: Path) -> None:
    rows = [
        {**ROW, "video": "7_reverse", "type": "TP", "start": 1.5, "end": 3, "lvl": True, "points": ["a", 2]},
        {**ROW, "id": 4, "video": "8", "type": "CW"},
        {**ROW, "id": 5, "type": "XX"},
    ]
    documents = read(
        tmp_path, {"q": rows}, group={"template": "{video}", "pattern": "[^_]+"}, span=["{start}", "{end}"],
        type={"template": "{type}", "map": {"TP": "TN"}}, where={"type": ["TP", "CW"]},
        tags={"level": "{lvl}", "points": "{points}"},
    )  # fmt: skip
    assert documents == [
        Document(
            "3",
            "7_reverse",
            "Who runs?",
            "man",
            "TN",
            group="7",
            span=(1.5, 3.0),
            tags={"level": "true", "points": "a\n2"},
        ),
        Document("4", "8", "Who runs?", "man", "CW"),
    ]


def test_options_of_single_files(tmp_path: Path) -> None:
    files = {"choice.json": [CHOICE], "open.json": [{**CHOICE, "answer": "it is"}]}
    own = {"open*": {"options": None, "id": "open", "tags": {"b": "2"}}}
    choice, free = read(tmp_path, files, **CHOOSE, files=own, tags={"a": "1"})
    assert (choice.options, choice.tags) == (("a cat", "a dog", "a cow"), {"a": "1"})
    assert (free.id, free.options, free.answer, free.tags) == ("open", (), "it is", {"a": "1", "b": "2"})


def test_answers_that_are_not_public(tmp_path: Path) -> None:
    [document] = read(tmp_path, {"q": [{**CHOICE, "answer": None}]}, **CHOOSE, answer=None)
    assert (document.answer, document.correct, document.references) == ("", None, ())


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
        ({"q.csv": table([{**ROW, "answer": ""}])}, r"q\.csv, line 2: no file has an answer to question '3'"),
        ({"q.csv": table([ROW]).encode("utf-16")}, r"q\.csv: expected .* in UTF-8, found the byte 0xff at offset 0"),
        ({"q.gz": gzip.compress(b"[" * 100)[:-9]}, r"q\.gz: expected .* gzip; it is damaged or cut off: .*; get it"),
        ({"q": f"[{json.dumps(ROW)}, {{"}, r"q\.txt: expected .*; this is no JSON"),
        ({"q": f"{json.dumps(ROW)}\n{{"}, r"q\.txt, line 2: expected .*; this is no JSON"),
    ],
)  # fmt: skip
def test_malformed_annotations(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, files)


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
def test_options_that_do_not_fit_the_files(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    files = {"q.json": [CHOICE]} | ({"right.json": {"x": 1}} if "right.json" in str(options) else {})
    with pytest.raises(DataError, match=message):
        read(tmp_path, files, **CHOOSE | options)


@pytest.mark.parametrize("key", ["id", "video", "question", "answer", "type"])
@pytest.mark.parametrize("value", [["red", "crimson"], {"text": "red"}, True, False, 1.5, float("nan"), "", " \n"])
def test_a_field_of_a_wrong_type_is_no_text(tmp_path: Path, key: str, value: Any) -> None:
    files = {"qa": [ROW, {**ROW, "id": 1, key: value}]}
    if key == "type" and isinstance(value, str):  # it is not needed
        assert read(tmp_path, files)[1].type == value
        return
    with pytest.raises(DataError, match=rf"qa\.json, entry 1: `{key}` (should be text|is empty)"):
        read(tmp_path, files)


@pytest.mark.parametrize("answer", [["a dog"], True, float("nan"), 1.0, -1, 3, "", "10000000000", "one"])
def test_answers_that_name_no_option(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(DataError, match=r"q\.json, entry 1: (expected the position|`answer` should be text)"):
        read(tmp_path, {"q": [CHOICE, {**CHOICE, "qid": 1, "answer": answer}]}, **CHOOSE)


@pytest.mark.parametrize(("value", "message"), [(None, "there is no option `a1`"), (1.5, "`a1` should be text")])
def test_malformed_options(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"q\.json, entry 0: {message}"):
        read(tmp_path, {"q": [{**CHOICE, "a1": value}]}, **CHOOSE)
    [document] = read(tmp_path, {"q": [{**CHOICE, "a2": None}]}, **CHOOSE)
    assert document.options == ("a cat", "a dog")


def test_whole_numbers_are_names_and_answers_and_no_questions(tmp_path: Path) -> None:
    row = {"id": 1, "video": 2, "question": "how many?", "answer": 3, "type": 4}
    assert read(tmp_path, {"qa": [row]}) == [Document("1", "2", "how many?", "3", "4")]
    with pytest.raises(DataError, match="`question` should be text, found 5"):
        read(tmp_path, {"qa": [{**ROW, "question": 5}]})


def test_null_is_as_good_as_absent(tmp_path: Path) -> None:
    rows = [{"id": None, "question_id": 1, "video": None, "video_name": "v", "question": "who is it?", "answer": None}]
    documents = read(tmp_path, {"q": rows, "a": [{"question_id": "1", "answer": "she", "type": None}]})
    assert documents == [Document("1", "v", "who is it?", "she")]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    contents = {
        "{": r"qa\.txt, line 1: expected a JSON list",
        "[" * 100_000 + "]" * 100_000: "expected a JSON list.* nested too deeply",
        f'[{{"id": {"9" * 5000}}}]': "too many digits",
        "[1": "this is no JSON",
    }
    for content, message in contents.items():
        with pytest.raises(DataError, match=message) as error:
            read(tmp_path, {"qa.txt": content})
        assert len(str(error.value)) < 500
    with pytest.raises(DataError, match="`question` should be text") as error:
        read(tmp_path, {"qa": [{**ROW, "question": ["x" * 5_000_000]}]})
    assert len(str(error.value)) < 500
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for odd in (path, tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="expected questions or answers"):
            read_documents([odd], annotation_options(where="entry"))


def test_a_file_is_the_same_as_gzip(tmp_path: Path) -> None:
    plain, zipped = write(tmp_path, {"a.json": "[1]", "b.json.gz": gzip.compress(b"[1]")})
    assert annotation_file(plain) == plain
    assert annotation_file(tmp_path / "b.json") == zipped
    assert annotation_file(tmp_path / "c.json") == tmp_path / "c.json"
    assert content_sha256(plain) == content_sha256(zipped)
