"""Replies of judges, read as verdicts: they seldom look as they were demanded.

Nothing is evaluated as code and nothing is guessed: what says two things, or none, is unscored.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from itertools import product

from vlmkit.api.judge import Unscored, Verdict
from vlmkit.api.judge_prompt import ReplyForm
from vlmkit.errors import shown

__all__ = ["read_reply"]

_LABELS = {"yes": True, "correct": True, "right": True, "true": True, "no": False, "incorrect": False,
           "not correct": False, "wrong": False, "false": False}  # fmt: skip
_PARTLY = re.compile(r"(?:partially|partly|somewhat|mostly|half) (?:correct|right|true)")
_WORDS = r"(?:partially |partly |somewhat |mostly |half |not )?(?:correct|right|true)|yes|incorrect|wrong|false|no"
_NUMBER = r"(?P<number>\d{1,3}(?:\.\d{1,9})?)(?: ?/ ?5)?(?!\.?\w)"
_ENDS = r"(?=['\"]*[ \t]*(?:[,;.}\]\n]|\Z))"
_LABEL_KEY = re.compile(
    rf"\b(?:pred|prediction|type|label|verdict)['\"]*\s*:\s*['\"]*(?P<label>{_WORDS})\b{_ENDS}", re.I
)
_SCORE_KEY = re.compile(rf"\bscore['\"]*\s*:\s*['\"]*{_NUMBER}", re.I)
_PART_KEY = re.compile(rf"\bscore_(?P<part>[a-z]+)['\"]*\s*:\s*['\"]*{_NUMBER}", re.I)
_ALONE = re.compile(rf"\W*(?P<label>{_WORDS})\b[\s,;:.'\"]*(?:score\W{{0,4}})?{_NUMBER}\W*", re.I)
_NUMBER_ALONE = re.compile(rf"\W*(?:score\W{{0,4}})?{_NUMBER}\W*", re.I)
_REASON = re.compile(r"['\"]\s*reason\w*\s*['\"]\s*:", re.I)
_THOUGHT = "</think>"
"""Behind it a reasoning model says what it means."""
_OBJECT = re.compile(r"\{[^{}]*\}")
_SAID = re.compile(
    r"\b(?P<word>incorrect|(?:not|n't|un)[ -]?correct|correct)\b(?! (?:answer|option|choice|response)s?\b)", re.I
)
_PARTIAL = re.compile(r"\b(?:partially|partly|somewhat|mostly|half)[ -]", re.I)
_RIGHT_KEY = re.compile(r"""["']correct["']\s*:\s*["']?(?P<label>true|false)\b""", re.I)
_NO_OPTION = re.compile(r"\b(?:none|neither|all) of\b|\bcan(?:not|'t| not)\b|\bnot enough\b", re.I)
_LETTERS_ALONE = re.compile(r"[A-D](?:(?:, | and |, and | or )[A-D])*\.?")
_LONGEST = 20_000
"""Characters of a reply that are looked at, behind the thoughts."""


def read_reply(text: str, form: ReplyForm, right: str = "") -> Verdict | Unscored:
    """Return the verdict of a reply; `raw` is the reply itself. Unscored where it says nothing that can be read.

    Args:
        text: what the judge wrote.
        form: what it was told to write.
        right: of the form `option`, the right option with its letter, `B. a ball`.
    """
    said = text.rpartition(_THOUGHT)[2][:_LONGEST].strip()
    if not said:
        return Unscored("the judge's reply is empty")
    if form == "correct-incorrect":
        return _said(said, text)
    if form == "option":
        return _option(said, text, right)
    if form == "two-scores":
        return _two_scores(said, text)
    if form == "extracted-answer":
        return _extracted(said, text)
    return _labeled(said, text, with_label=form == "pred-score")


def _labeled(said: str, text: str, *, with_label: bool) -> Verdict | Unscored:
    """Read label and score, or the score alone: of Python or JSON objects, else of `key: value`, else of bare words."""
    found = {verdict for verdict in map(_of_object, _objects(said)) if verdict is not None}
    if not any(_complete(one, with_label) for one in found):
        found |= set(_of_text(_REASON.split(said, maxsplit=1)[0], with_label))
    complete = {one if with_label else (None, one[1]) for one in found if _complete(one, with_label)}
    if len(complete) != 1:
        wanted = "`pred` and `score`" if with_label else "a score"
        problem = f"{len(complete)} different verdicts" if complete else f"no {wanted}"
        return Unscored(f"the judge's reply has {problem}: {shown(text, 200)}")
    [(label, score)] = complete
    correct = None if label is None or _PARTLY.fullmatch(label) else _LABELS[label]
    assert score is not None
    if not 0 <= score <= 5:
        return Unscored(f"the judge's reply has the score {score:g}, expected 0 to 5: {shown(text, 200)}")
    return Verdict(correct, score, text)


_Read = tuple[str | None, float | None]
"""Label and score, as far as they are there."""


def _complete(found: _Read, with_label: bool) -> bool:
    label, score = found
    return score is not None and (label is not None or not with_label)


def _objects(text: str) -> Iterator[Mapping[object, object]]:
    for match in _OBJECT.finditer(text):
        for parse in (json.loads, _literal):
            try:
                value = parse(match[0])
            except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
                continue
            if isinstance(value, dict):
                yield value
                break


def _literal(text: str) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the escapes in a reply
        return ast.literal_eval(text)


def _of_object(found: Mapping[object, object]) -> _Read | None:
    """Read an object; `type` or another key can stand for `pred`. None where it has neither a label nor a score."""
    values = {str(key).strip(" '\"").lower(): value for key, value in found.items()}
    labels = [_label(value) for key, value in values.items() if key != "reason"]
    named = _label(values.get("pred"))
    others = {label for label in labels if label is not None}
    label = named if named is not None else others.pop() if len(others) == 1 else None
    score = _score(values.get("score"))
    return None if label is None and score is None else (label, score)


def _label(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str) or len(value) > 40:
        return None
    label = " ".join(value.lower().strip(" .!'\"\n").split())
    return label if label in _LABELS or _PARTLY.fullmatch(label) else None


def _score(value: object) -> float | None:
    if isinstance(value, str):
        match = re.fullmatch(rf"\s*{_NUMBER}\s*", value)
        return float(match["number"]) if match else None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1000 and math.isfinite(value):
        return float(value)
    return None


def _of_text(text: str, with_label: bool) -> Iterator[_Read]:
    scores = {float(match["number"]) for match in _SCORE_KEY.finditer(text)}
    if not with_label:
        alone = _NUMBER_ALONE.fullmatch(text)
        for score in scores or ({float(alone["number"])} if alone else ()):
            yield None, score
        return
    labels = {match["label"].lower() for match in _LABEL_KEY.finditer(text)}
    if labels:
        yield from product(labels, scores)
    elif match := _ALONE.fullmatch(text):
        yield match["label"].lower(), float(match["number"])


def _two_scores(said: str, text: str) -> Verdict | Unscored:
    parts = {match["part"].lower(): float(match["number"]) for match in _PART_KEY.finditer(said)}  # the last of each
    if len(parts) != 2 or not all(1 <= score <= 5 for score in parts.values()):
        return Unscored(f"the judge's reply has no two scores of 1 to 5: {shown(text, 200)}")
    return Verdict(None, sum(parts.values()) / 2, text)


def _said(said: str, text: str) -> Verdict | Unscored:
    """Read `Correct` or `Incorrect`: what the reply begins with, else what it says somewhere."""
    words = ["correct" if match["word"].lower() == "correct" else "incorrect" for match in _SAID.finditer(said)]
    first = _SAID.match(said.lstrip("\"'*`# \n"))
    if first:
        words = words[:1]
    if _PARTIAL.search(said) or len(set(words)) != 1:
        return Unscored(f"the judge's reply says neither Correct nor Incorrect alone: {shown(text, 200)}")
    return Verdict(words[0] == "correct", None, text)


def _option(said: str, text: str, right: str) -> Verdict | Unscored:
    """Read `Answer: B. …` by TempCompass' rule: right with the right letter before a full stop, and no other option."""
    lines = [line.replace("Answer:", "").strip() for line in said.splitlines() if "Answer" in line]
    answer = lines[-1] if lines else said
    alone = re.findall(r"[A-D]", answer) if _LETTERS_ALONE.fullmatch(answer) else []
    named = len(alone) or sum(answer.count(f"{letter}.") for letter in "ABCD")
    if not named and not _NO_OPTION.search(answer):
        return Unscored(f"the judge's reply names no option: {shown(text, 200)}")
    letter = alone[0] if alone else answer.split(". ")[0]
    return Verdict(named == 1 and letter == right.split(". ")[0], None, text)


def _extracted(said: str, text: str) -> Verdict | Unscored:
    """Read `correct` of a JSON object, or of what looks like one: an extracted answer can hold braces and quotes."""
    try:
        whole = json.loads(said)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("correct"), bool):
        return Verdict(whole["correct"], None, text)
    labels = {match["label"].lower() for match in _RIGHT_KEY.finditer(said)}
    if len(labels) != 1:
        return Unscored(f"the judge's reply has no one `correct`, true or false: {shown(text, 200)}")
    return Verdict(labels == {"true"}, None, text)
