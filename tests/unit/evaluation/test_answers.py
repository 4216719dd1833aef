"""Questions and answers on disk: the lines of predictions.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmkit.api import Document, Prompt
from vlmkit.errors import RunError
from vlmkit.evaluation.answers import Answer, AnswerFile, Question, read_answers


def question(key: str, answer: str = "a", shown: str = "v") -> Question:
    return Question(Document(key, "v", "q?", answer, "t"), Prompt("<video>\nq?"), shown, None, "", "0", 8)


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
    assert read_answers(file.path) == file.answers
    [b] = answers("b")
    assert AnswerFile(file.path).answers == {"b": b, **file.answers}, "put aside, and not lost"


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


def test_a_line_tells_all_of_its_question(tmp_path: Path) -> None:
    document = Document(
        "q", "v", "which?", "two", "count", options=("one", "two"), correct=1, task="choose", group="g", span=(1, 2.5),
        companion="r", tags={"aspect": "speed"},
    )  # fmt: skip
    asked = Question(document, Prompt("<video>\nwhich?"), "v", None, "", "0", 8)
    AnswerFile(tmp_path / "j.jsonl").append([Answer.to(asked, "B", logprobs=(-1.5, -0.5))])
    answer = read_answers(tmp_path / "j.jsonl")["q"]
    assert answer.document == document
    assert answer.logprobs == [-1.5, -0.5]
    several = Document("q", "v", "who?", "he", references=("he", "the man"))
    AnswerFile(tmp_path / "k.jsonl").append(
        [Answer.to(Question(several, Prompt("<video>"), "v", None, "", "0", 8), "he")]
    )
    assert read_answers(tmp_path / "k.jsonl")["q"].document == several
