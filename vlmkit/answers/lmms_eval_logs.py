"""Sample logs of lmms-eval, older ones (an object with `logs`) and newer ones (JSON lines).

Source: the files themselves, and EvolvingLMMs-Lab/lmms-eval, loggers/evaluation_tracker.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from vlmkit.answers.content import AnswerContent
from vlmkit.answers.imported import ImportedAnswer, StoredVerdict, answer_text, text_at, without_letters
from vlmkit.api.document import Document
from vlmkit.errors import DataError, as_written
from vlmkit.json_files import text_of

__all__ = ["is_sample_log", "read_sample_log"]

_IDS = ("question_id", "id", "qid", "index")
_VIDEOS = ("videoID", "video", "video_id", "video_name", "video_path")
_OPTIONS = ("candidates", "options")
_TYPES = ("question_type", "task_type", "category", "type")


def is_sample_log(content: AnswerContent) -> bool:
    """Return whether samples have `doc_id` and the model's responses."""
    samples = _samples(content)
    return bool(samples) and all("doc_id" in sample and "resps" in sample for sample in samples)


def read_sample_log(content: AnswerContent) -> Iterator[ImportedAnswer]:
    """Yield the answer of each sample. A sample without an id of its own gets TASK/NUMBER."""
    settings = content.value.get("model_configs") if isinstance(content.value, dict) else None
    task = text_at(settings, "task", content.where) if isinstance(settings, dict) else ""
    for number, sample in enumerate(_samples(content)):
        yield _answer(sample, task or content.stem, content.place(number))


def _samples(content: AnswerContent) -> list[dict[str, Any]]:
    if isinstance(content.value, dict):
        logs = content.value.get("logs")
        return logs if isinstance(logs, list) and all(isinstance(sample, dict) for sample in logs) else []
    return content.rows()


def _answer(sample: Mapping[str, Any], task: str, where: str) -> ImportedAnswer:
    scored = next((value for value in sample.values() if isinstance(value, dict) and "pred_answer" in value), {})
    document = {**scored, **(sample["doc"] if isinstance(sample.get("doc"), dict) else {})}
    given = _response(sample["resps"], where)
    found: list[Any] = next((document[name] for name in _OPTIONS if isinstance(document.get(name), list)), [])
    options = [text_of(option, "options", where) for option in found]
    reference = text_at(
        document if "answer" in document else sample, "answer" if "answer" in document else "target", where
    )
    return ImportedAnswer(
        Document(
            id=_value(document, _IDS, where) or f"{task}/{text_at(sample, 'doc_id', where)}",
            video=PurePosixPath(_value(document, _VIDEOS, where)).stem,
            question=text_at(document, "question", where),
            answer=reference,
            type=_value(document, _TYPES, where),
            options=without_letters(options),
            correct=_position(reference, options),
            task=task,
        ),
        given,
        _scored(scored, sample, given, where),
        where,
    )


def _response(responses: Any, where: str) -> str | None:
    """`[["C"]]`, `["C"]` and `"C"` are the same. Two processes that both answered a sample may have said the same."""
    found = responses
    while isinstance(found, list):
        if not found or any(response != found[0] for response in found):
            raise DataError(
                f"{where}: expected one response in `resps`, found {as_written(responses)}; leave one there"
            )
        found = found[0]
    return answer_text(found, f"{where}: `resps`")


def _scored(
    scored: Mapping[str, Any], sample: Mapping[str, Any], given: str | None, where: str
) -> StoredVerdict | None:
    """The rule's decision, and the filtered response, which it was about."""
    if "score" not in scored or scored["score"] not in (0, 1):
        return None
    judged = _response(sample.get("filtered_resps", given), where)
    return StoredVerdict("", bool(scored["score"]), raw=text_at(scored, "pred_answer", where), judged=judged or "")


def _position(reference: str, options: list[str]) -> int | None:
    """Where the right option stands, which is given as it is written there, or by its letter."""
    if reference in options:
        return options.index(reference)
    known = len(reference) == 1 and "A" <= reference < chr(ord("A") + len(options))
    return ord(reference) - ord("A") if known else None


def _value(document: Mapping[str, Any], names: tuple[str, ...], where: str) -> str:
    """The first of these columns that is there; of a list of types the first."""
    name = next((name for name in names if document.get(name) not in (None, "", [])), "")
    found = document.get(name)
    return text_at({name: found[0] if isinstance(found, list) else found}, name, where)
