"""The check of extractors: any answer has one reading, the same each time, that keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from vlmkit.api.document import Document
from vlmkit.api.extractor import ExtractorSpec
from vlmkit.errors import DataError, PluginError, shown

__all__ = ["DOCUMENTS", "answers_to", "check_extractor", "unless_refused"]

Found = TypeVar("Found")
DOCUMENTS = (
    Document("choice", "v", "Where does it go?", "to the left", options=("up", "to the left", "down"), correct=1),
    Document("many", "v", "Which one?", options=(*"abcdefghijklmnopqrstuvwxyz", "aa", "")),
    Document("hidden", "v", "Where does it go?", options=("up", "down")),
    Document("yes or no", "v", "Does it move?", "yes"),
    Document("count", "v", "How often does it turn?", "3"),
)
"""An extractor need not take all of them: it may refuse a document by a DataError."""
ANSWERS = (
    "", " ", ".", "(", ")", "\n", "None", "nan", "a", "A", "B", "(b)", "Z", "B. to the left", "to the left", "Yes.",
    "no", "3", "three times", "-1", "10" * 300, "<think>", "</s>", "\\boxed{B}", "A or B", "not B", "I",
    "The answer is", "Answer: Answer: Answer:", "\0", "\u200b", "\uff22", "\u24b7", "\u01c5", "\u202eB", "\u0130",
    "\xdf", "\uff11", "\u0663",
)  # fmt: skip
LONG = ("a", " ", "(", "A ", "A. ", "(B", "The answer is ", "to the left ", "o(", "one ", "9", "\n", "<|a", "yes no ")
"""Repeated to about so many characters:"""
LENGTH = 200_000


def check_extractor(spec: ExtractorSpec) -> None:
    """Every answer is read, and read again in the same way, by another extractor of this spec too: empty ones, odd
    characters, and long ones in the time of one pass."""
    first, second = spec.build(), spec.build()
    read = 0
    for document in DOCUMENTS:
        for answer in answers_to(document):
            reading = unless_refused(first.read, document, answer)
            read += reading is not None
            again = unless_refused(second.read, document, answer)
            assert reading == again == unless_refused(first.read, document, answer), (
                f"document {document.id!r}, answer {shown(answer)}: reads {reading}, then {again}"
            )
            if reading is not None and reading.choice is not None:
                expected = None if document.correct is None else reading.choice == document.correct
                assert reading.correct is expected, f"document {document.id!r}, answer {shown(answer)}: {reading}"
    assert read, f"it refuses every one of the documents {[document.id for document in DOCUMENTS]}"
    for document in DOCUMENTS:
        for part in LONG if document.references else ():
            unless_refused(first.read, document, part * (LENGTH // len(part)))


def answers_to(document: Document) -> Iterator[str]:
    """Yield answers that a model may give, and those that none should."""
    yield from ANSWERS
    yield from document.options


def unless_refused(method: Callable[..., Found], *arguments: object) -> Found | None:
    """Return what a method gives; None where it refuses such documents."""
    try:
        return method(*arguments)
    except PluginError:
        raise
    except DataError:
        return None
