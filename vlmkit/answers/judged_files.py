"""Answers together with a judge's verdicts: TempCompass' files, and pairs as in CVRR-ES.

Sources: the files of llyx97/TempCompass (predictions, auto_eval_results) and mbzuai-oryx/CVRR-Evaluation-Suite
(Judge-results).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from vlmkit.answers.content import AnswerContent
from vlmkit.answers.imported import ImportedAnswer, StoredVerdict, answer_text, text_at
from vlmkit.api.document import Document
from vlmkit.errors import DataError, as_written
from vlmkit.json_files import text_of

__all__ = ["is_judged_pairs", "is_tempcompass", "read_judged_pairs", "read_tempcompass"]

_TEMPCOMPASS_JUDGE = "gpt-3.5-turbo-1106"
_CVRR_JUDGE = "gpt-3.5-turbo-0125"
_CAPTIONING = "captioning"
"""The task whose references are pieces of information in the prompt, not the options that the judge chooses from."""
_LABELS = {"correct": True, "yes": True, "incorrect": False, "no": False}


def is_tempcompass(content: AnswerContent) -> bool:
    """Return whether this is `{video: {aspect: [row, …]}}`, each row with an answer."""
    found = content.value
    return isinstance(found, dict) and bool(found) and all(
        isinstance(aspects, dict) and aspects and all(
            isinstance(rows, list) and rows and all(isinstance(row, dict) and _predicted(row) for row in rows)
            for rows in aspects.values()
        )
        for aspects in found.values()
    )  # fmt: skip


def _predicted(row: Mapping[str, Any]) -> str:
    return next((name for name in ("prediction", "video-llm-prediction") if name in row), "")


def read_tempcompass(content: AnswerContent) -> Iterator[ImportedAnswer]:
    """Yield the answers, and of auto_eval_results their ratings; the name of the file is the task.

    A row has no id: it is told by video, aspect and its number there.
    """
    for video, aspects in content.value.items():
        for aspect, rows in aspects.items():
            for number, row in enumerate(rows):
                where = f"{content.where}: {video}, {aspect}, row {number + 1}"
                given = answer_text(row[_predicted(row)], where)
                reference = text_at(row, "answer" if "answer" in row else "gt-answer", where)
                document = Document(
                    id=f"{content.stem}/{video}/{aspect}/{number}",
                    video=video,
                    question=text_at(row, "question", where),
                    answer="" if content.stem == _CAPTIONING else reference,
                    type=aspect,
                    task=content.stem,
                    group=video.partition("_")[0],
                )
                yield ImportedAnswer(document, given, _rating(row, given, where), where)


def _rating(row: Mapping[str, Any], given: str | None, where: str) -> StoredVerdict | None:
    """A rating is 1, 0, or -1 where the judge failed; without words of the judge the authors' rule gave it.

    An answer that is null is rated 0 in the judge's place.
    """
    if row.get("rating") not in (0, 1):
        return None
    if given is None:
        said = "(no answer)"
    elif "chatgpt-answer" in row:
        said = f"Reasoning: {text_at(row, 'chatgpt-reasoning', where)} Answer: {text_at(row, 'chatgpt-answer', where)}"
    else:
        said = text_at(row, "chatgpt-response", where)
    return StoredVerdict(_TEMPCOMPASS_JUDGE if said else "", row["rating"] == 1, None, said, given or "")


def is_judged_pairs(content: AnswerContent) -> bool:
    """Return whether these are pairs [verdict, {q, a, pred}], in a list or by id."""
    pairs = list(_pairs(content))
    return bool(pairs) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], dict) and {"q", "a", "pred"} <= set(pair[1])
        for _, pair in pairs
    )


def _pairs(content: AnswerContent) -> Iterator[tuple[str, Any]]:
    if isinstance(content.value, dict):
        yield from content.value.items()
    elif isinstance(content.value, list):
        yield from ((f"{content.stem}/{number}", pair) for number, pair in enumerate(content.value))


def read_judged_pairs(content: AnswerContent) -> Iterator[ImportedAnswer]:
    """Yield the answers with their verdicts; the name of the file is the question type, e.g. CVRR-ES' dimension."""
    for key, (verdict, asked) in _pairs(content):
        where = f"{content.where}: {key}"
        question, reference = (text_of(asked[name], name, where) for name in ("q", "a"))
        given = answer_text(asked["pred"], where)
        document = Document(key, "", question, reference, content.stem)
        yield ImportedAnswer(document, given, _verdict(verdict, given, where), where)


def _verdict(found: object, given: str | None, where: str) -> StoredVerdict:
    """Judges wrap the object in a list, call the label `type`, or say neither of the two words."""
    said = found[0] if isinstance(found, list) and len(found) == 1 else found
    label = said.get("pred", said.get("type")) if isinstance(said, dict) else None
    score = said.get("score") if isinstance(said, dict) else None
    number = isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 5
    if not isinstance(label, str) or not number:
        raise DataError(f"{where}: expected a verdict with `pred` and a `score` of 0 to 5, found {as_written(found)}")
    raw = json.dumps(found, ensure_ascii=False)
    return StoredVerdict(_CVRR_JUDGE, _LABELS.get(label.strip().lower()), float(score or 0), raw, given or "")
