"""TempCompass' rules: invented answers, and every stored rating of two public systems that the rules can decide."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import DataError, Document, Reading

Read = Callable[..., Reading]
LINES = {"multi-choice": r" ?([A-D])\. ?(.*)", "caption_matching": r"([^:]+): (.*)"}
CAPTIONS = Document(
    "q",
    "v",
    "Which caption fits?",
    "A kite rises.",
    options=("A kite falls.", "A kite rises."),
    correct=1,
    tags={"labels": "Caption A\nCaption B"},
)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Caption B: A kite rises.", 1),
        ("A kite rises.</s>", 1),
        (" A kite falls. ", 0),
        ("b) A kite rises.", 1),
        ("Caption B", 1),
        ("Caption A.", 0),
        ("B", 1),
        ("A.", 0),
        ("caption B", None),
        ("Option 2", None),
        ("Caption B is right", None),
        ("x) y) A kite rises.", None),
        ("", None),
    ],
)
def test_captions_are_known_by_line_sentence_name_and_label(read: Read, answer: str, found: int | None) -> None:
    reading = read("tempcompass-caption-matching", CAPTIONS, answer)
    assert (reading.state, reading.choice) == (("judge", None) if found is None else ("read", found)), reading


def test_without_labels_every_name_is_known(read: Read) -> None:
    document = Document("q", "v", "Which?", "A kite rises.", options=CAPTIONS.options, correct=1)
    for name in ("Caption B", "Sentence B.", "Option 2", "2", "Option 2: A kite rises."):
        assert read("tempcompass-caption-matching", document, name).choice == 1


@pytest.mark.parametrize(
    ("answer", "right"), [("Yes, it does", True), (" yesterday", True), ("NO.", False), ("Nothing moves", False)]
)
def test_yes_and_no_are_read_off_the_start(read: Read, answer: str, right: bool) -> None:
    reading = read("tempcompass-yes-no", Document("q", "v", "Does it?", "yes"), answer)
    assert reading.correct is right
    options = Document("q", "v", "Does it?", "no", options=("Yes", "No"), correct=1)
    assert read("tempcompass-yes-no", options, answer).choice == (0 if right else 1)


def test_what_begins_with_neither_goes_to_the_judge(read: Read) -> None:
    for answer in ("", "It does.", "I say yes"):
        assert read("tempcompass-yes-no", Document("q", "v", "Does it?", "yes"), answer).state == "judge"


@pytest.mark.parametrize(
    ("rule", "document", "answer", "clean"),
    [
        ("multi-choice", CAPTIONS, " B", "B"),
        ("multi-choice", CAPTIONS, "B</s>", "B"),
        ("multi-choice", CAPTIONS, "B\n", "B. A kite rises.\n"),
        ("yes-no", Document("q", "v", "Does it?", "yes"), " yes", "yes, it does </s>"),
        ("caption-matching", CAPTIONS, "Caption B ", "Caption B."),
    ],
)
def test_tools_take_answers_as_they_are(read: Read, rule: str, document: Document, answer: str, clean: str) -> None:
    name = f"tempcompass-{rule}"
    assert read(name, document, answer).correct is True
    assert read(name, document, answer, strip=False).state == "judge"
    assert read(name, document, answer, strip=False, judge=False).state == "unreadable"
    assert read(name, document, clean, strip=False, judge=False).correct is True


def test_another_kind_of_question_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match="question 'q': expected yes or no as its answer, found 'red'"):
        read("tempcompass-yes-no", Document("q", "v", "What color?", "red"), "yes")
    with pytest.raises(DataError, match="question 'q': expected yes and no as options, found"):
        read("tempcompass-yes-no", Document("q", "v", "What color?", "red", options=("red", "no way")), "yes")


def _document(task: str, row: dict[str, Any]) -> Document:
    question, *lines = row["question"].split("\n")
    if task == "yes_no":
        return Document("q", "v", question, row["gt-answer"])
    matches = [re.fullmatch(LINES[task], line) for line in lines]
    labels, options = zip(*(match.groups() for match in matches if match), strict=True)
    correct = lines.index(row["gt-answer"])
    tags = {"labels": "\n".join(labels)}
    return Document("q", "v", question, options[correct], options=options, correct=correct, tags=tags)


def _stored(shared: Path, system: str, task: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The rows of a file of verdicts, each with its answer, but for those that the system refused."""
    file = shared / "verdicts" / "tempcompass" / system / "verdicts" / f"{task}.json.gz"
    videos = json.loads(gzip.decompress(file.read_bytes()))
    for row in (row for aspects in videos.values() for rows in aspects.values() for row in rows):
        if row["video-llm-prediction"] is not None:
            yield row, row["video-llm-prediction"]


@pytest.mark.parametrize(
    ("system", "task", "decided", "right"),
    [
        ("gemini", "multi-choice", 1458, 940),
        ("gemini", "yes_no", 2438, 1721),
        ("gemini", "caption_matching", 1488, 1162),
        ("video-llava", "multi-choice", 1580, 720),
        ("video-llava", "yes_no", 2453, 1383),
        ("video-llava", "caption_matching", 1496, 951),
    ],
)
def test_stored_ratings_are_reproduced(
    read: Read, shared: Path, system: str, task: str, decided: int, right: int
) -> None:
    counts: Counter[str] = Counter()
    for row, answer in _stored(shared, system, task):
        reading = read(f"tempcompass-{task.replace('_', '-')}", _document(task, row), answer)
        if reading.state == "judge":
            assert not row["match_success"]
            continue
        assert bool(reading.correct) == bool(row["rating"]), (row, reading)
        counts.update(decided=1, right=bool(reading.correct))
    assert counts == {"decided": decided, "right": right}


@pytest.mark.parametrize(
    ("system", "task", "decided", "right"),
    [
        ("gemini", "multi-choice", 1458, 940),
        ("gemini", "caption_matching", 1353, 1056),
        ("video-llava", "caption_matching", 1496, 951),
    ],
)
def test_blanks_at_the_ends_cost_answers_with_the_tools(
    read: Read, shared: Path, system: str, task: str, decided: int, right: int
) -> None:
    """With lmms-eval they go to the judge, with VLMEvalKit they are wrong: 135 of gemini's captions."""
    counts: Counter[str] = Counter()
    for row, answer in _stored(shared, system, task):
        name, document = f"tempcompass-{task.replace('_', '-')}", _document(task, row)
        reading = read(name, document, answer, strip=False)
        alone = read(name, document, answer, strip=False, judge=False)
        assert (alone.state == "unreadable") == (reading.state == "judge")
        if reading.state == "read":
            assert alone == reading
            counts.update(decided=1, right=bool(reading.correct))
    assert counts == {"decided": decided, "right": right}
