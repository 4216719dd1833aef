"""Answers find their questions by id, place or text; another split, revision or order is refused, and so are verdicts
about other answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vlmkit.answers.answer_formats import read_answer_files
from vlmkit.answers.imported import ImportedAnswer, StoredVerdict
from vlmkit.answers.matching import Matched, attach_verdicts, match_answers
from vlmkit.api import Document
from vlmkit.errors import DataError

DOCUMENTS = [
    Document(f"{video}-{number}", video, f"what {number}?", f"ref {number}", type="what")
    for video in ("ada", "bob")
    for number in (0, 1)
]


def answer(document: Document, text: str | None = "x", verdict: StoredVerdict | None = None) -> ImportedAnswer:
    return ImportedAnswer(document, text, verdict, f"file, {document.id}")


def match(answers: list[ImportedAnswer], documents: list[Document] = DOCUMENTS, **options: bool | int) -> Matched:
    return match_answers(answers, documents, "tiny, split test", **options)  # type: ignore[arg-type]


def said(matched: Matched) -> list[tuple[str, str | None]]:
    return [(one.document.id, one.answer) for one in matched.answered]


def test_answers_are_found_by_id_in_the_order_of_the_benchmark() -> None:
    given = [answer(Document(one.id, "", ""), one.id.upper()) for one in reversed(DOCUMENTS)]
    matched = match(given)
    assert said(matched) == [(one.id, one.id.upper()) for one in DOCUMENTS]
    assert (matched.by, matched.missing) == ("id", [])


def test_answers_without_ids_are_found_by_place_or_by_text() -> None:
    by_place = [answer(replace(one, id=f"n{n}", question=""), f"to {one.id}") for n, one in enumerate(DOCUMENTS)]
    by_text = [answer(replace(one, id=f"n{n}", type=""), f"to {one.id}") for n, one in enumerate(DOCUMENTS[::-1])]
    asked = [replace(one, video=f"v{n}", question=f"what {n}?") for n, one in enumerate(DOCUMENTS)]
    alone = [answer(Document(f"n{n}", "", one.question), f"to {one.id}") for n, one in enumerate(asked)]
    assert said(match(alone, asked)) == [(one.id, f"to {one.id}") for one in asked]
    for given, by in ((by_place, "position"), (by_text, "question")):
        matched = match(given)
        assert said(matched) == [(one.id, f"to {one.id}") for one in DOCUMENTS]
        assert matched.by == by


def test_questions_without_an_answer_are_refused_unless_that_is_asked_for() -> None:
    given = [answer(DOCUMENTS[2])]
    message = (
        r"^tiny, split test: it has 4 questions, and 3 of them have no answer, e.g. 'ada-0', 'ada-1', 'bob-1'; name"
    )
    with pytest.raises(DataError, match=message):
        match(given)
    matched = match(given, partial=True)
    assert said(matched) == [("bob-0", "x")]
    assert matched.missing == ["ada-0", "ada-1", "bob-1"]


def test_answers_of_another_split_are_refused() -> None:
    given = [answer(Document(f"cy-{n}", "cy", "how?", type="how")) for n in range(5)]
    message = (
        r"has 4 questions, and none for 5 of 5 answers, e.g. 'cy-0', .* \(the benchmark's ids: 'ada-0', .*\); name"
    )
    with pytest.raises(DataError, match=message):
        match(given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": "how 0?"}, r"1 questions or references .*: file, ada-0 has the question 'how 0\?', the"),
        ({"answer": "ref 7"}, r"file, ada-0 has the reference 'ref 7', the benchmark has 'ref 0'"),
    ],
)  # fmt: skip
def test_other_questions_and_references_are_another_revision(change: dict[str, str], message: str) -> None:
    given = [answer(replace(DOCUMENTS[0], **change)), *map(answer, DOCUMENTS[1:])]  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        match(given)
    assert len(match(given, max_different=1).answered) == 4


@pytest.mark.parametrize("reference", ["B", "(B)", "B. a hat", "(B) a hat", "a hat", "A hat."])
def test_a_reference_may_be_the_right_option_or_its_letter(reference: str) -> None:
    document = Document("1", "ada", "Which?", "a hat", options=("a cup", "a hat"), correct=1)
    given = replace(document, answer=reference, question="Which?\nA. a cup\nB. a hat")
    assert match([answer(given)], [document]).answered
    with pytest.raises(DataError, match="has the reference 'A'"):
        match([answer(replace(given, answer="A"))], [document])


def test_a_verdict_about_another_answer_is_refused() -> None:
    same, other = (
        answer(DOCUMENTS[n], "a cup", StoredVerdict("gpt", True, judged=judged))
        for n, judged in enumerate((" a  cup</s>", "a hat"))
    )
    used = attach_verdicts([same, other])
    assert [one.verdict for one in used.answers] == [same.verdict, None]
    assert [(one.id, one.answer, one.judged) for one in used.refused] == [("ada-1", "a cup", "a hat")]
    used = attach_verdicts([same, other], take_judged=True)
    assert [one.answer for one in used.answers] == ["a cup", "a hat"]
    assert used.answers[1].verdict == other.verdict
    assert not used.refused


def test_verdicts_of_a_file_of_their_own() -> None:
    verdict = StoredVerdict("gpt", True, judged="x")
    answers, judged = list(map(answer, DOCUMENTS)), [answer(DOCUMENTS[1], "x", verdict)]
    assert [one.verdict for one in attach_verdicts(answers, judged).answers] == [None, verdict, None, None]
    with pytest.raises(DataError, match=r"1 of 1 verdicts are about answers that are not there, e.g. 'ada-1'"):
        attach_verdicts(answers[2:], judged)


def test_a_refusal_has_nothing_to_be_judged() -> None:
    refusal = answer(DOCUMENTS[0], None, StoredVerdict("gpt", False, judged=""))
    assert attach_verdicts([refusal]).answers == [refusal]


@pytest.mark.parametrize(("system", "refused"), [("gemini", 1974), ("video-llava", 132)])
def test_captions_that_were_judged_in_other_words(shared: Path, system: str, refused: int) -> None:
    folder = shared / "verdicts" / "tempcompass" / system
    used = attach_verdicts(read_answer_files([folder / "predictions"]), read_answer_files([folder / "verdicts"]))
    assert len(used.refused) == refused
    assert {one.id.partition("/")[0] for one in used.refused} == {"captioning"}
