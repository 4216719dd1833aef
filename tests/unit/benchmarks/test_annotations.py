"""Annotation files become documents, in the layouts in which benchmarks circulate."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlmkit.api import DataError, Document
from vlmkit.benchmarks.annotation_files import annotation_file, content_sha256

Read = Callable[..., list[Document]]
Write = Callable[[dict[str, Any]], list[Path]]
ROW = {"id": 3, "question": "Who runs?", "answer": "man", "video": "v", "type": "subject"}
CHOICE = {"qid": 0, "video": "v", "q": "What?", "a0": "a cat", "a1": "a dog", "a2": "a cow", "answer": 1}
CHOOSE: dict[str, Any] = {
    "id": "{video}_{qid}", "question": "{q}", "options": ["a0", "a1", "a2"], "answer_is": "index",
}  # fmt: skip


def table(rows: Sequence[dict[str, Any]], delimiter: str = ",", end: str = "\n") -> str:
    lines: list[list[Any]] = [list(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(delimiter.join(map(str, line)) + end for line in lines)


def test_questions_with_answers(read: Read) -> None:
    assert read({"qa": [ROW]}) == [Document("3", "v", "Who runs?", "man", "subject")]
    first_word = {"template": "{question}", "pattern": r"\S+", "lower": True}
    assert read({"qa": [ROW]}, type=first_word)[0].type == "who"
    assert read({"qa": [ROW]}, type=None)[0].type == ""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_tables(read: Read, delimiter: str, end: str) -> None:
    rows = [{"": 0, **ROW}, {"": 1, **ROW, "id": 4, "question": '"Who, by the\nway?"', "type": ""}]
    text = table(rows, delimiter, end)
    expected = [Document("3", "v", "Who runs?", "man", "subject"), Document("4", "v", "Who, by the\nway?", "man")]
    for content in (text, f"\ufeff{text}", gzip.compress(text.encode())):
        assert read({"qa.csv": content}) == expected


def test_msvd_names_its_videos_in_a_table(read: Read) -> None:
    rows = [{"answer": "rifle", "id": 37349, "question": "what is it?", "video_id": 2}]
    [document] = read({"qa": rows, "mapping": "-4wsuPCjDBc_5_15 vid1\n_aaMGK6GGw_57_61 vid2\n"})
    assert document == Document("37349", "_aaMGK6GGw_57_61", "what is it?", "rifle")


@pytest.mark.parametrize("order", [1, -1])
def test_answers_in_a_second_file_are_matched_by_id(read: Read, order: int) -> None:
    questions = [{"video_name": "v", "question": f"how {i}?", "question_id": f"q{i}"} for i in range(3)]
    answers = [{"answer": str(i), "question_id": f"q{i}", "type": i} for i in (2, 0, 1)]
    files = dict([("q", questions), ("a", answers)][::order])
    documents = read(files)
    assert [(d.id, d.answer, d.type) for d in documents] == [("q0", "0", "0"), ("q1", "1", "1"), ("q2", "2", "2")]


@pytest.mark.parametrize("lines", [True, False])
def test_the_content_tells_what_a_file_is(read: Read, lines: bool) -> None:
    rows = [{**ROW, "id": i, "video": i} for i in (1, 2)]
    text = "".join(json.dumps(row) + "\r\n" for row in rows) if lines else json.dumps(rows, indent=2)
    for name in ("qa.json", "QA.JSON", "qa.jsonl", "qa.txt", "qa.csv", "qa.json.gz"):
        for encoding in ("utf-8", "utf-8-sig"):
            files = {name: text.encode(encoding), "names.txt": "first vid1\r\n\r\nsecond vid2".encode(encoding)}
            assert [document.video for document in read(files)] == ["first", "second"]


def test_nested_by_video_and_aspect(read: Read) -> None:
    rows = {"v1": {"speed": [ROW, {**ROW, "question": "How?"}], "order": [ROW]}, "v2": {"speed": [ROW]}}
    documents = read(
        {"yes_no.json": rows}, nested=["clip", "aspect"], id="{file}/{clip}/{aspect}/{index}/{row}",
        video="{clip}", type="{aspect}",
    )  # fmt: skip
    assert [(d.id, d.video, d.type) for d in documents] == [
        ("yes_no/v1/speed/0/0", "v1", "speed"),
        ("yes_no/v1/speed/1/1", "v1", "speed"),
        ("yes_no/v1/order/0/2", "v1", "order"),
        ("yes_no/v2/speed/0/3", "v2", "speed"),
    ]
    single = {"Adaptation": {"0": ROW, "1": {**ROW, "id": 4}}}
    documents = read({"a.json": single}, nested=["track", "number"], task="{track}", id="{number}")
    assert [(d.id, d.task) for d in documents] == [("0", "Adaptation"), ("1", "Adaptation")]


def test_rows_inside_entries(read: Read) -> None:
    entries = [{"video_id": "001", "duration": "short", "questions": [{**ROW, "video": None}, {**ROW, "id": 4}]}]
    documents = read({"q": entries}, rows="questions", tags={"duration": "{duration}"}, video="{video_id}")
    assert [(d.id, d.video, d.tags) for d in documents] == [(i, "001", {"duration": "short"}) for i in ("3", "4")]


@pytest.mark.parametrize(
    ("answer", "kind"), [(1, "index"), ("1", "index"), (2, "number"), ("B", "letter"), ("a dog", "text")]
)
def test_options_in_columns(read: Read, answer: Any, kind: str) -> None:
    files = {"q": [{**CHOICE, "answer": answer}]}
    [document] = read(files, **{**CHOOSE, "answer_is": kind})
    assert document == Document("v_0", "v", "What?", "a dog", options=("a cat", "a dog", "a cow"), correct=1)


@pytest.mark.parametrize(
    "options", [["(A) a cat", "(B) a dog"], {"A": "(A) a cat", "B": "(B) a dog"}], ids=["list", "mapping"]
)
def test_options_in_one_column(read: Read, options: Any) -> None:
    row = {**ROW, "options": options, "answer": "(B) a dog"}
    [document] = read({"q": [row]}, options={"column": "options"})
    assert (document.options, document.correct) == (("(A) a cat", "(B) a dog"), 1)
    [document] = read({"q": [row]}, options={"column": "options", "pattern": r"\([A-D]\) (.*)"})
    assert (document.options, document.correct, document.answer) == (("a cat", "a dog"), 1, "a dog")
    nothing: list[Any] = [[], None, {"A": "", "B": ""}]
    for empty in nothing:
        [document] = read({"q": [{**row, "options": empty}]}, options={"column": "options"})
        assert (document.options, document.answer, document.references) == ((), "(B) a dog", ("(B) a dog",))


def test_options_in_lines_of_the_question(read: Read) -> None:
    question = "Which is\nbetter?\nCaption A: A man.\nCaption B: A dog."
    line = r"(?P<label>Caption [AB]): (?P<text>.*)"
    [document] = read(
        {"q": [{**ROW, "question": question, "answer": "Caption B: A dog."}]},
        options={"line": line}, tags={"whole": "{question}"},
    )  # fmt: skip
    assert (document.question, document.options, document.correct) == ("Which is\nbetter?", ("A man.", "A dog."), 1)
    assert document.tags == {"whole": question, "labels": "Caption A\nCaption B"}
    of = {"line": line, "of": "{other}"}
    [document] = read({"q": [{**ROW, "other": question, "answer": "A man."}]}, options=of)
    assert (document.question, document.options, document.correct) == ("Who runs?", ("A man.", "A dog."), 0)


def test_of_equal_options_the_last_is_right(read: Read) -> None:
    [document] = read({"q": [{**CHOICE, "a0": "x", "a2": "x", "answer": "x"}]}, **CHOOSE | {"answer_is": "text"})
    assert document.correct == 2


def test_questions_with_known_faults_count(read: Read) -> None:
    rows = [{**CHOICE, "answer": "a horse"}, {**CHOICE, "qid": 1, "q": "", "a0": "", "a1": "", "a2": "", "answer": ""}]
    options = {**CHOOSE, "answer_is": "text", "flawed": ["v_0", "v_1"]}
    first, second = read({"q": rows}, **options)
    assert (first.correct, first.answer) == (None, "a horse")
    assert (second.correct, second.question, second.options) == (2, "", ("", "", ""))


def test_lookups_in_other_files(read: Read) -> None:
    files = {
        "q.json": [{**CHOICE, "answer": None}, {**CHOICE, "qid": 1, "answer": None}],
        "right.json": {"v": {"0": 2}},
        "more.json": [{"key": "v-1", "note": {"text": "hard"}}],
    }
    columns = {
        "right": {"file": "right.json", "path": ["{video}", "{qid}"]},
        "note": {"file": "more.json", "by": "{key}", "path": ["{video}-{qid}", "note.text"]},
    }
    documents = read(files, **CHOOSE, answer="{right}", unanswered=True, columns=columns, tags={"note": "{note}"})
    assert [(d.correct, d.answer, d.tags) for d in documents] == [(2, "a cow", {}), (None, "", {"note": "hard"})]


def test_several_references(read: Read) -> None:
    files = {"q.json": [{**ROW, "more": ["boy", "man", "guy"]}, {**ROW, "id": 4}], "second.json": {"v": {"3": "child"}}}
    documents = read(
        files, columns={"second": {"file": "second.json", "path": ["{video}", "{id}"]}},
        references=["{second}", "{more}"],
    )  # fmt: skip
    assert [document.references for document in documents] == [("man", "child", "boy", "guy"), ("man",)]


def test_rows_with_two_questions_and_companions(read: Read) -> None:
    row = {"Q1": "What is it?", "Q2": "Tell what it is.", "A": "a dog", "video_name": "v"}
    documents = read(
        {"q": [row]}, id="{row}_{n}", question="{q}", answer="{A}", companion="{row}_{other}",
        variants=[{"q": "{Q1}", "n": "1", "other": "2"}, {"q": "{Q2}", "n": "2"}],
    )  # fmt: skip
    assert [(d.id, d.question, d.companion) for d in documents] == [
        ("0_1", "What is it?", "0_2"), ("0_2", "Tell what it is.", ""),
    ]  # fmt: skip


def test_groups_types_spans_and_rows_that_count(read: Read) -> None:
    rows = [
        {**ROW, "video": "7_reverse", "type": "TP", "start": 1.5, "end": 3, "lvl": True, "points": ["a", 2]},
        {**ROW, "id": 4, "video": "8", "type": "CW"},
        {**ROW, "id": 5, "type": "XX"},
    ]
    documents = read(
        {"q": rows}, group={"template": "{video}", "pattern": "[^_]+"}, span=["{start}", "{end}"],
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


def test_options_of_single_files(read: Read) -> None:
    files = {"choice.json": [CHOICE], "open.json": [{**CHOICE, "answer": "it is"}]}
    own = {"open*": {"options": None, "id": "open", "tags": {"b": "2"}}}
    choice, free = read(files, **CHOOSE, files=own, tags={"a": "1"})
    assert (choice.options, choice.tags) == (("a cat", "a dog", "a cow"), {"a": "1"})
    assert (free.id, free.options, free.answer, free.tags) == ("open", (), "it is", {"a": "1", "b": "2"})


def test_answers_that_are_not_public(read: Read) -> None:
    [document] = read({"q": [{**CHOICE, "answer": None}]}, **CHOOSE, answer=None)
    assert (document.answer, document.correct, document.references) == ("", None, ())


def test_whole_numbers_are_names_and_answers_and_no_questions(read: Read) -> None:
    row = {"id": 1, "video": 2, "question": "how many?", "answer": 3, "type": 4}
    assert read({"qa": [row]}) == [Document("1", "2", "how many?", "3", "4")]
    with pytest.raises(DataError, match="`question` should be text, found 5"):
        read({"qa": [{**ROW, "question": 5}]})


def test_null_is_as_good_as_absent(read: Read) -> None:
    rows = [{"id": None, "question_id": 1, "video": None, "video_name": "v", "question": "who is it?", "answer": None}]
    documents = read({"q": rows, "a": [{"question_id": "1", "answer": "she", "type": None}]})
    assert documents == [Document("1", "v", "who is it?", "she")]


def test_a_file_is_the_same_as_gzip(write_files: Write, tmp_path: Path) -> None:
    plain, zipped = write_files({"a.json": "[1]", "b.json.gz": gzip.compress(b"[1]")})
    assert annotation_file(plain) == plain
    assert annotation_file(tmp_path / "b.json") == zipped
    assert annotation_file(tmp_path / "c.json") == tmp_path / "c.json"
    assert content_sha256(plain) == content_sha256(zipped)


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(str.strip)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=5))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_kinds_of_files_say_the_same(read: Read, texts: list[tuple[str, str, str]]) -> None:
    rows = [
        {"id": number, "video": video, "question": question, "answer": answer}
        for number, (video, question, answer) in enumerate(texts)
    ]
    expected = [Document(str(number), *three) for number, three in enumerate(texts)]
    lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    contents: list[Any] = [rows, lines, gzip.compress(lines.encode())]
    for delimiter in (",", "\t"):
        written = io.StringIO()
        table = csv.DictWriter(written, rows[0], delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
        contents.append(written.getvalue())
    for content in contents:
        assert read({"questions.any": content}) == expected
