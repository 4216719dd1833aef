"""The check of extractors: any answer has one reading, the same each time, that keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator

from vlmkit.api.document import Document
from vlmkit.api.extractor import Extractor, ExtractorSpec, Reading
from vlmkit.errors import DataError, PluginError, shown

__all__ = ["check_extractor"]

DOCUMENTS = (
    Document("choice", "v", "Where does it go?", "to the left", options=("up", "to the left", "down"), correct=1),
    Document("many", "v", "Which one?", options=(*"abcdefghijklmnopqrstuvwxyz", "aa", "")),
    Document("hidden", "v", "Where does it go?", options=("up", "down")),
    Document("yes or no", "v", "Does it move?", "yes"),
    Document("count", "v", "How often does it turn?", "3"),
)
"""An extractor need not take all of them: it may refuse a document by a DataError."""
ANSWERS = (
    *("", " ", ".", "(", ")", "\n", "None", "nan", "a", "A", "B", "(b)", "Z", "B. to the left", "to the left", "Yes."),
    *(
        "no",
        "3",
        "three times",
        "-1",
        "10" * 300,
        "<think>",
        "</s>",
        "\\boxed{B}",
        "A or B",
        "not B",
        "I",
        "The answer is",
    ),
    *(
        "Answer: Answer: Answer:",
        "\0",
        "\u200b",
        "\uff22",
        "\u24b7",
        "\u01c5",
        "\u202eB",
        "\u0130",
        "\xdf",
        "\uff11",
        "\u0663",
    ),
)
LONG = ("a", " ", "(", "A ", "A. ", "(B", "The answer is ", "to the left ", "o(", "one ", "9", "\n", "<|a", "yes no ")
"""Repeated to about so many characters:"""
LENGTH = 200_000


def check_extractor(spec: ExtractorSpec) -> None:
    """Every answer is read, and read again in the same way, by another extractor of this spec too: empty ones, odd
    characters, and long ones in the time of one pass."""
    first, second = spec.build(), spec.build()
    read = 0
    for document in DOCUMENTS:
        for answer in _answers(document):
            reading = _reading(first, document, answer)
            read += reading is not None
            again = _reading(second, document, answer)
            assert reading == again == _reading(first, document, answer), (
                f"document {document.id!r}, answer {shown(answer)}: reads {reading}, then {again}"
            )
            if reading is not None and reading.choice is not None:
                expected = None if document.correct is None else reading.choice == document.correct
                assert reading.correct is expected, f"document {document.id!r}, answer {shown(answer)}: {reading}"
    assert read, f"it refuses every one of the documents {[document.id for document in DOCUMENTS]}"
    for document in DOCUMENTS:
        for part in LONG if document.references else ():
            _reading(first, document, part * (LENGTH // len(part)))


def _answers(document: Document) -> Iterator[str]:
    yield from ANSWERS
    yield from document.options


def _reading(extractor: Extractor, document: Document, answer: str) -> Reading | None:
    """The reading; None where the extractor takes no such documents."""
    try:
        return extractor.read(document, answer)
    except PluginError:
        raise
    except DataError:
        return None
