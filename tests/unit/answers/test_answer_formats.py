"""Answer files of other tools become plain records; what is wrong with them is said once, with its place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from vlmkit.answers.answer_formats import read_answer_files
from vlmkit.answers.imported import ImportedAnswer, StoredVerdict, without_letters
from vlmkit.errors import DataError

Read = Callable[..., list[ImportedAnswer]]

LOG = {
    "model_configs": {"task": "tiny_vqa"},
    "logs": [
        {
            "doc_id": 4,
            "doc": {"video": "ada.mp4", "question": "Which?", "candidates": ["(A) a cup", "(B) a hat"],
                    "answer": "(B) a hat", "question_type": ["things"]},
            "target": "(B) a hat",
            "resps": [["B"]],
            "filtered_resps": ["B"],
            "tiny_accuracy": {"pred_answer": "B", "gt_answer": "B", "score": 1},
        }
    ],
}  # fmt: skip
PAIRS = [
    [{"pred": "correct", "score": 4.5, "reason": "yes"}, {"q": "Who?", "a": "Ada", "pred": "Ada."}],
    [[{"pred": "incorrect", "score": 0, "reason": "no"}], {"q": "Who?", "a": "Bob", "pred": "Ada"}],
    [{"type": "partially correct", "score": 3}, {"q": "What?", "a": "a cup", "pred": "a mug"}],
]


def first(answers: list[ImportedAnswer]) -> tuple[str, str | None, str, str]:
    """Id, answer, video and reference of the first record."""
    found = answers[0]
    return found.document.id, found.answer, found.document.video, found.document.answer


def test_a_log_of_lmms_eval(read: Read) -> None:
    (found,) = read(LOG)
    document = found.document
    assert (document.id, document.video, document.options, document.correct) == (
        "tiny_vqa/4",
        "ada",
        ("a cup", "a hat"),
        1,
    )
    assert (found.answer, document.type) == ("B", "things")
    assert found.verdict == StoredVerdict("", True, raw="B", judged="B")


def test_newer_logs_of_lmms_eval_are_json_lines(read: Read) -> None:
    scored = {"question_id": "7-1", "duration": "short", "pred_answer": "C", "answer": "C"}
    lines = [{"doc_id": n, "target": "C", "resps": [["C."]], "filtered_resps": ["C."],
              "score": {**scored, "question_id": f"7-{n}"}} for n in (1, 2)]  # fmt: skip
    assert first(read("\n".join(map(json.dumps, lines)), "samples_tiny.jsonl")) == ("7-1", "C.", "", "C")


def test_two_processes_that_answered_a_sample_must_agree(read: Read) -> None:
    sample = {"doc_id": 0, "target": "A", "resps": [["A"], ["A"]]}
    assert read({"logs": [sample]})[0].answer == "A"
    with pytest.raises(DataError, match=r"row 1: expected one response in `resps`, found \[\[\"A\"\], \[\"B\"\]\]"):
        read({"logs": [{**sample, "resps": [["A"], ["B"]]}]})


def test_tempcompass_is_told_by_video_aspect_and_position(read: Read) -> None:
    rows = {"7_reverse": {"speed": [{"question": "Fast?", "answer": "no", "prediction": None},
                                    {"question": "Slow?", "answer": "yes", "prediction": "Yes"}]}}  # fmt: skip
    answers = read(rows, "yes_no.json")
    assert [(answer.document.id, answer.answer) for answer in answers] == [
        ("yes_no/7_reverse/speed/0", None), ("yes_no/7_reverse/speed/1", "Yes")
    ]  # fmt: skip
    assert {(answer.document.task, answer.document.type, answer.document.group) for answer in answers} == {
        ("yes_no", "speed", "7")
    }


def test_ratings_of_tempcompass_say_who_gave_them(read: Read) -> None:
    row = {"question": "?", "gt-answer": "A. up", "video-llm-prediction": "up", "match_success": False, "rating": 1}
    caption = {"gt-answer": "A. up", "video-llm-prediction": "It rises.", "chatgpt-answer": "B. down", "rating": 0,
               "chatgpt-reasoning": "It falls."}  # fmt: skip
    failed, refusal = {**row, "rating": -1}, {**row, "rating": 0, "video-llm-prediction": None}
    rows = [row, {**row, "chatgpt-response": "Correct"}, caption, failed, refusal]
    rule, judge, shown, none, refused = read({"7": {"speed": rows}})
    assert rule.verdict == StoredVerdict("", True, judged="up")
    assert judge.verdict == StoredVerdict("gpt-3.5-turbo-1106", True, None, "Correct", "up")
    assert shown.verdict == StoredVerdict(
        "gpt-3.5-turbo-1106", False, None, "Reasoning: It falls. Answer: B. down", "It rises."
    )
    assert none.verdict is None
    assert refused.verdict == StoredVerdict("gpt-3.5-turbo-1106", False, raw="(no answer)")


def test_pairs_of_verdict_and_answer_as_judges_write_them(read: Read) -> None:
    answers = read(PAIRS, "counting.json")
    verdicts = [answer.verdict for answer in answers if answer.verdict]
    assert [(verdict.correct, verdict.score) for verdict in verdicts] == [(True, 4.5), (False, 0.0), (None, 3.0)]
    assert {answer.document.type for answer in answers} == {"counting"}
    assert [answer.document.id for answer in answers] == ["counting/0", "counting/1", "counting/2"]
    assert read({"v7_2": PAIRS[0]})[0].document.id == "v7_2"


@pytest.mark.parametrize("verdict", [{"pred": "yes"}, {"score": 3}, {"pred": "yes", "score": True}, "yes", [1, 2]])
def test_a_verdict_without_label_or_score_is_refused(read: Read, verdict: Any) -> None:
    with pytest.raises(DataError, match=r"answers/0: expected a verdict with `pred` and a `score` of 0 to 5, found"):
        read([[verdict, PAIRS[0][1]]])


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ({"7_3": {"prediction": 1, "answer": 4}}, "val.json", ("7_3", "B", "7", "E")),
        ({"7_3": {"prediction": -1, "answer": 0}}, "val.json", ("7_3", None, "7", "A")),
        ({"a-b": {"answer": 3, "label": 2, "corr": 0}}, "run.json", ("a-b", "D", "a-b", "C")),
        ({"7": {"3": "a cup", "4": "two"}}, "val.json", ("7_3", "a cup", "7", "")),
        ("id,answer\n7,a cup\n8,\n", "plain.csv", ("7", "a cup", "", "")),
        ("id\tprediction\n7\ta, b\n", "plain.tsv", ("7", "a, b", "", "")),
        ('{"id": 7, "answer": "a cup"}\n{"id": 8, "answer": ""}\n', "plain.jsonl", ("7", "a cup", "", "")),
        ([{"id": "1", "question": "What?", "answer": "cup", "pred": "a cup"}], "merge.json", ("1", "a cup", "", "cup")),
        ([{"question_id": "AR_0", "question_type": "order", "option": "D"}], "test_res.json", ("AR_0", "D", "", "")),
        ("question_id,video_id,reference,answer\n7-1,7,C,A\n", "answers.csv", ("7-1", "A", "7", "C")),
    ],
)  # fmt: skip
def test_formats_are_recognized_by_their_content(
    read: Read, content: Any, name: str, expected: tuple[str, str | None, str, str]
) -> None:
    assert first(read(content, name)) == expected


def test_numbers_stand_for_words_of_a_vocabulary_from_one_on(read: Read) -> None:
    content = {"1": {"prediction": 2, "answer": 0}, "2": {"prediction": 30, "answer": 1}}
    with pytest.raises(DataError, match=r"0 to 25, found 30; .*with --vocabulary"):
        read(content)
    with pytest.raises(DataError, match=r"the number of one of 2 words, or 0, found 30"):
        read(content, vocabulary=("cup", "hat"))
    words = tuple(f"w{number}" for number in range(1, 31))
    assert [(answer.answer, answer.document.answer) for answer in read(content, vocabulary=words)] == [
        ("w2", ""), ("w30", "w1")
    ]  # fmt: skip


def test_a_table_of_vlmevalkit_has_options_and_what_its_rule_said(read: Read) -> None:
    (found,) = read("index,video,question,A,B,C,answer,prediction,hit,log\n5,ada,Which?,cup,hat,,B,B.,1,matched\n")
    assert found.document.options == ("cup", "hat")
    assert (found.answer, found.document.answer, found.document.video) == ("B.", "B", "ada")
    assert found.verdict == StoredVerdict("", True, raw="matched", judged="B.")


def test_an_empty_cell_is_no_answer_but_an_empty_text_is_one(read: Read) -> None:
    assert [answer.answer for answer in read("id,answer\n1,\n2,x\n", "a.csv")] == [None, "x"]
    assert [answer.answer for answer in read([{"id": "1", "answer": ""}])] == [""]


def test_one_setting_of_a_wide_table_is_chosen(read: Read) -> None:
    wide = "sample_id,16f,32f\n7-1,A,\n7-2,B,C\n"
    with pytest.raises(DataError, match=r"answers of 2 settings; name one of them with --column: 16f, 32f$"):
        read(wide, "wide.csv")
    with pytest.raises(DataError, match=r"found '16', did you mean '16f'"):
        read(wide, "wide.csv", column="16")
    assert [answer.answer for answer in read(wide, "wide.csv", column="32f")] == [None, "C"]


def test_tries_of_a_question_of_vnbench_are_a_group(read: Read) -> None:
    row = {"video_path": "./V/v_7_ord.mp4", "pred": "B", "task_type": "ord", "model_id": "m"}
    rows = [
        {**row, "prompt": "user\nOrder?\nA. x, y\nB. y, x\nAnswer with the letter.", "gt": "B", "try": 0},
        {**row, "prompt": "user\nOrder?\nA. y, x\nB. x, y\nAnswer with the letter.", "gt": "A", "try": 1},
    ]
    answers = read("\n".join(map(json.dumps, rows)), "vn.jsonl")
    assert [(answer.document.correct, answer.document.answer) for answer in answers] == [(1, "y, x"), (0, "y, x")]
    assert {answer.document.group for answer in answers} == {"v_7_ord"}
    with pytest.raises(DataError, match=r"row 1: expected in `gt` the letter of an option, found \"C\""):
        read([{**rows[0], "gt": "C"}])


def test_yes_or_no_questions_of_event_hallusion(read: Read) -> None:
    asked = {"question": "Did it fall?", "answer": "Yes.", "prediction": "No."}
    answers = read({"entire": {"e_1": {"qa": [asked, asked], "desc": "d"}}, "misleading": {"m_1": {"qa": [asked]}}})
    assert [(answer.document.id, answer.document.type) for answer in answers] == [
        ("e_1/0", "entire"), ("e_1/1", "entire"), ("m_1/0", "misleading")
    ]  # fmt: skip


def test_compressed_files_and_folders_are_read(read: Read, tmp_path: Path) -> None:
    for name, key in (("b.json.gz", "2"), ("a.json.gz", "1")):
        (tmp_path / name).write_bytes(gzip.compress(json.dumps([{"id": key, "answer": "x"}]).encode()))
    assert [answer.document.id for answer in read_answer_files([tmp_path])] == ["1", "2"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="expected answer files, found an empty folder"):
        read_answer_files([tmp_path / "none"])


def test_a_named_format_is_the_only_one_tried(read: Read) -> None:
    assert read({"7": {"prediction": 1, "answer": 0}}, form="next-qa")
    with pytest.raises(DataError, match=r"expected one of these formats: vnbench \(VNBench's JSON lines\)"):
        read({"7": {"prediction": 1, "answer": 0}}, form="vnbench")
    with pytest.raises(DataError, match="there is no format 'vn-bench'; did you mean 'vnbench'"):
        read([], form="vn-bench")


TABLE = [{"id": "7", "answer": "a cup"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([*TABLE, {"id": 7, "answer": "a hat"}],
         r"two answers to the question '7': .*row 1 has 'a cup', .*row 2 has 'a hat'; leave one"),
        ('{"7_1": {"prediction": 1, "answer": 0},\n "7_1": {"prediction": 2, "answer": 0}}',
         r"the key '7_1' stands twice in one object: with .*1.*, and with .*2.*; leave one"),
        ([{"id": "7", "answer": ["a"]}], r"row 1: `answer`: expected the model's answer, text, found \[\"a\"\]"),
        ([{"id": "7", "answer": True}], r"row 1: `answer`: expected the model's answer, text, found true"),
        ('[{"id": "7", "answer": NaN}]', r"row 1: `answer`: expected the model's answer, text, found nan"),
        ({"7": {"prediction": "B", "answer": 1}}, r"7: expected the position of an option, 0 to 25, found \"B\""),
        ([{"id": "7"}], "expected one of these formats"),
        ({"accuracy": 3}, "expected one of these formats"),
        ("", "the file is empty"),
        ('[{"id": "7", "answer": "a cup"}, {"id"', "this is no JSON"),
        ('{"id": 7, "answer": "x"}\n{"id": 8, "an', r"line 2: expected .*; this is no JSON"),
        ('id,answer\n7,x\n8\n', r"line 3: expected 2 columns as in the first line, found 1; the file is cut off"),
        ('id,answer\n7,"x\n', r"this is no csv: .*get the file again"),
        ("id,id\n7,x\n", "expected a first line with two or more different column names, found id, id"),
        ("id,answer\n", "it has column names alone"),
        (gzip.compress(json.dumps(TABLE).encode(), mtime=0)[:-9], "this gzip file is damaged or cut off"),
        (b"PK\x03\x04 a workbook", r"with openpyxl, which is not installed; `pip install 'vlmkit\[xlsx\]'`, or save"),
    ],
)  # fmt: skip
def test_damage_is_one_clear_message(read: Read, content: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(DataError, match=message):
        read(content)


def test_a_workbook_is_a_table(read: Read) -> None:
    from openpyxl import Workbook

    book, content = Workbook(), BytesIO()
    for row in (
        ["index", "video", "question", "answer", "prediction"],
        [7, "ada", "What?", "cup", "a cup"],
        [8, "ada", "?", "x", None],
    ):
        book.active.append(row)
    book.save(content)
    answers = read(content.getvalue(), "model_benchmark.xlsx")
    assert [(answer.document.id, answer.answer) for answer in answers] == [("7", "a cup"), ("8", None)]
    with pytest.raises(DataError, match="this workbook is damaged"):
        read(content.getvalue()[:-200], "model_benchmark.xlsx")


def test_letters_before_options_are_no_part_of_them() -> None:
    assert without_letters(["A. cup", "B. hat"]) == ("cup", "hat")
    assert without_letters(["(A) cup", "(B) hat"]) == ("cup", "hat")
    assert without_letters(["A. cup", "hat"]) == ("A. cup", "hat")
