"""Replies of judges, as they are demanded and as they come."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit.api import Unscored, Verdict, read_reply

LABELED = {
    "{'pred': 'yes', 'score': 4}": (True, 4.0),
    '{"pred": "no", "score": 0}': (False, 0.0),
    "{'pred': 'correct', 'score': 4.5, 'reason': 'it is'}": (True, 4.5),
    "[{'pred': 'incorrect', 'score': 1}]": (False, 1.0),
    "{'type': 'correct', 'score': 5, 'reason': 'the type is correct'}": (True, 5.0),
    "{'pred': 'partially correct', 'score': 3}": (None, 3.0),
    "{'PRED': 'YES', 'Score': 5}": (True, 5.0),
    "{'pred': True, 'score': 5}": (True, 5.0),
    "{'pred': 'Yes.', 'score': '4'}": (True, 4.0),
    "{'pred': 'yes', 'score': '4/5'}": (True, 4.0),
    "```python\n{'pred': 'no', 'score': 2}\n```": (False, 2.0),
    'Here you are:\n```json\n{"pred": "no", "score": 2}\n```\nAnything else?': (False, 2.0),
    "{'pred': 'correct', 'score': 5, 'reason': 'It's the man's hat, score: 1'}": (True, 5.0),
    "{'pred': 'correct', 'score': 5, 'reason': 'cut at the longest rep": (True, 5.0),
    "{pred: yes, score: 3}": (True, 3.0),
    "{'pred': 'no', 'score': 1}\n{'pred': 'no', 'score': 1}": (False, 1.0),
    "<think>maybe {'pred': 'yes', 'score': 5}</think>{'pred': 'no', 'score': 0}": (False, 0.0),
    "so {'pred': 'yes', 'score': 5}? " * 2000 + "</think>{'pred': 'no', 'score': 0}": (False, 0.0),
    "pred: not correct\nscore: 1.5": (False, 1.5),
    "Yes, 5": (True, 5.0),
    "Correct. Score: 4/5.": (True, 4.0),
}
NOT_LABELED = [
    "", "   \n", "{}", "{'pred': 'yes'}", "no",
    "[]", "null", "I cannot judge this.", "{'score': 4}", "{'pred': 'maybe', 'score': 3}",
    "{'pred': 'yes', 'score': 9}", "{'pred': 'yes', 'score': -1}", "{'pred': None, 'score': None}",
    "pred: 'yes' or 'no'",
    "{'pred': 'partially correct'}", "{'pred': 'yes', 'score': 4} or {'pred': 'no', 'score': 1}", "4", "yes and no",
    "__import__('os').system('true')", "yesterday", "{'pred': 'yes' if True else 'no', 'score': }",
    "No comment on 5 men.", "{'pred': 'yes', 'score': 1e999}",
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), LABELED.items())
def test_label_and_score(text: str, expected: tuple[bool | None, float | None]) -> None:
    assert read_reply(text, "pred-score") == Verdict(*expected, raw=text)


@pytest.mark.parametrize("text", NOT_LABELED)
def test_no_label_and_score(text: str) -> None:
    found = read_reply(text, "pred-score")
    assert isinstance(found, Unscored)
    assert found.reason.startswith("the judge's reply ")


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("{'score': 4}", 4.0),
        ("{''score': 4.8}", 4.8),
        ('{"score": 3, "why": "yes"}', 3.0),
        ("Score: 2", 2.0),
        ("3", 3.0),
        ("4.5/5", 4.5),
        ("{'score': 6}", None),
        ("{'score': 2} {'score': 3}", None),
        ("{'pred': 'yes'}", None),
        ("12345", None),
        ("3 men", None),
        ("", None),
    ],
)
def test_a_score_alone(text: str, score: float | None) -> None:
    found = read_reply(text, "score")
    assert found == Verdict(None, score, text) if score is not None else isinstance(found, Unscored)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("... {'score_accuracy': 3, 'score_relevance': 4, 'total_score': 7}", 3.5),
        ('```json\n{"score_completeness": 5, "score_reliability": 2.5, "total_score": 7.5}\n```', 3.75),
        ("score_accuracy: 1, no score_relevance: 1, then {'score_accuracy': 2, 'score_relevance': 4}", 3.0),
        ("{'score_accuracy': 3}", None),
        ("{'score_accuracy': 0, 'score_relevance': 4}", None),
        ("{'score_accuracy': 3, 'score_relevance': 4, 'score_style': 4}", None),
        ("", None),
    ],
)
def test_two_scores(text: str, score: float | None) -> None:
    found = read_reply(text, "two-scores")
    assert found == Verdict(None, score, text) if score is not None else isinstance(found, Unscored)


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("Correct", True),
        ("Incorrect.", False),
        ('"Correct"', True),
        ("**Incorrect**", False),
        ("Correct. It would be incorrect to say otherwise.", True),
        ("The prediction is incorrect.", False),
        ("The prediction is not correct.", False),
        ('It says what the reference says. Therefore, the response is "Correct".', True),
        ("Partially correct", None),
        ("The correct answer is B.", None),
        ("It could be correct or incorrect.", None),
        ("I do not know.", None),
        ("", None),
    ],
)
def test_correct_or_incorrect(text: str, correct: bool | None) -> None:
    found = read_reply(text, "correct-incorrect")
    assert found == Verdict(correct, None, text) if correct is not None else isinstance(found, Unscored)


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("Reasoning: It rolls.\nAnswer: B. a ball", True),
        ("Reasoning: It rolls.\nAnswer: A. a cube", False),
        ("B. a ball", True),
        ("Answer: B", True),
        ("Answer: B. a ball or C. a cone", False),
        ("Answer: A, B, and C", False),
        ("Answer: None of the choices are correct", False),
        ("Answer: It cannot be determined", False),
        ("Answer: a ball", None),
        ("", None),
    ],
)
def test_an_option(text: str, correct: bool | None) -> None:
    found = read_reply(text, "option", "B. a ball")
    assert found == Verdict(correct, None, text) if correct is not None else isinstance(found, Unscored)


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ('{"extracted_answer": "B", "correct": true}', True),
        ('{"extracted_answer": "\\"correct\\": true", "correct": false}', False),
        ('```json\n{"extracted_answer": "\\\\frac{1}{2}", "correct": false}\n```', False),
        ("{'extracted_answer': 'B', 'correct': True}", True),
        ('{"extracted_answer": "B", "correct": "False"}', False),
        ('{"correct": true} or {"correct": false}', None),
        ('{"extracted_answer": "B"}', None),
        ('{"extracted_answer": "B", "correct": 1}', None),
        ("correct", None),
        ("[true]", None),
        ("", None),
    ],
)
def test_an_extracted_answer(text: str, correct: bool | None) -> None:
    found = read_reply(text, "extracted-answer")
    assert found == Verdict(correct, None, text) if correct is not None else isinstance(found, Unscored)


FORMS = ("pred-score", "score", "two-scores", "correct-incorrect", "extracted-answer", "option")
PIECES = st.sampled_from([
    "{", "}", "[", "'", '"', "\\", "pred", "score", "score_a", ":", ": ", "yes", "no", "correct", "in", "4", "5.5",
    "1e9", "-", "/", "5", " ", "\n", "A.", "Answer", "</think>", "\x00", "é",
])  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.text(), st.lists(PIECES, max_size=60).map("".join), st.lists(PIECES).map(lambda some: "".join(some) * 400)
    )
)
def test_no_text_is_too_much(form: Any, text: str) -> None:
    found = read_reply(text, form, "A. x")
    if isinstance(found, Verdict):
        assert found.correct is not None or found.score is not None
        assert found.score is None or 0 <= found.score <= 5
        assert found.raw == text


WORDS = st.text(st.characters(exclude_characters="0123456789", categories=["L", "P", "Z"])).filter(
    lambda text: not any(word in text.lower() for word in ("yes", "no", "correct", "right", "true", "wrong", "false"))
)


@pytest.mark.parametrize("form", FORMS[:5])
@settings(max_examples=200, deadline=None)
@given(WORDS)
def test_text_without_labels_and_digits_is_no_verdict(form: Any, text: str) -> None:
    assert isinstance(read_reply(text, form), Unscored)


@given(st.sampled_from([*LABELED]), st.integers(0, 60))
def test_a_reply_that_is_cut_is_the_same_verdict_or_none(text: str, length: int) -> None:
    """A label can be cut off its score, but nothing that was not said is read."""
    if "</think>" in text:
        return
    found, whole = read_reply(text[:length], "pred-score"), read_reply(text, "pred-score")
    assert isinstance(whole, Verdict)
    if isinstance(found, Verdict):
        assert found.correct in (whole.correct, None)
        assert found.score is None or whole.score is None or int(found.score) == int(whole.score)


PUBLISHED = {
    "GPT4o.standard": (2400, 75.00, 75.03, 4.02, 80),
    "Gemini_Vision_Pro.standard": (2382, 53.44, 53.20, 3.24, 101),
    "VideoChat.standard": (2400, 26.62, 25.78, 2.32, 51),
    "Video-ChatGPT.standard": (2400, 25.47, 24.96, 2.26, 73),
    "Video-LLaVA.standard": (2400, 16.62, 15.92, 2.00, 68),
    "Gemini_Vision_Pro.dscp": (2382, 57.77, 58.22, 3.41, 76),
    "Video-LLaMA-2.dscp": (2400, 38.08, 37.77, 2.77, 66),
    "Video-LLaVA.dscp": (2400, 37.71, 37.93, 2.75, 112),
}
"""Of CVRR-ES' public verdicts: questions, accuracy %, mean of the 11 dimensions, mean score, contradictions."""


@pytest.mark.parametrize("render", [repr, json.dumps, "```python\n{}\n```".format], ids=["python", "json", "fenced"])
@pytest.mark.parametrize(("system", "expected"), PUBLISHED.items())
def test_real_verdicts(system: str, expected: tuple[float, ...], render: Callable[[Any], str], shared: Path) -> None:
    dimensions = []
    for file in sorted((shared / "verdicts" / "cvrr_es" / system).glob("*.json")):
        dimensions.append([read_reply(render(said), "pred-score") for said, _ in json.loads(file.read_text())])
    found = [one for dimension in dimensions for one in dimension]
    assert all(isinstance(one, Verdict) for one in found)
    shares = [_share(dimension) for dimension in [found, *dimensions]]
    mean, score = sum(shares[1:]) / len(dimensions), sum(one.score for one in found) / len(found)  # type: ignore[union-attr,misc]
    contradictions = sum(one.contradicts for one in found)  # type: ignore[union-attr]
    assert (len(dimensions), len(found), contradictions) == (11, expected[0], expected[4])
    assert (round(shares[0], 2), round(mean, 2), round(score, 2)) == expected[1:4]


def _share(found: list[Any]) -> float:
    right, wrong = (sum(one.correct is correct for one in found) for correct in (True, False))
    return 100 * right / (right + wrong)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for aspects in json.loads(gzip.decompress(file.read_bytes())).values():
        for rows in aspects.values():
            yield from rows


@pytest.mark.parametrize(("system", "judged"), [("gemini", 2237), ("video-llava", 2011)])
def test_real_ratings_of_tempcompass(system: str, judged: int, shared: Path) -> None:
    """Each reply gives the rating that its authors stored beside it."""
    read = 0
    for file in sorted((shared / "verdicts" / "tempcompass" / system / "verdicts").glob("*.gz")):
        for row in _rows(file):
            if "chatgpt-response" in row:
                found = read_reply(row["chatgpt-response"], "correct-incorrect")
            elif row.get("chatgpt-answer"):
                text = f"Reasoning: {row['chatgpt-reasoning']}\nAnswer: {row['chatgpt-answer']}"
                found = read_reply(text, "option", row["gt-answer"])
            else:
                continue
            assert isinstance(found, Verdict)
            assert found.correct is bool(row["rating"])
            read += 1
    assert read == judged
