"""Answers and questions of a benchmark: which belongs to which, and refusal where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from vlmkit.answers.imported import ImportedAnswer, StoredVerdict
from vlmkit.api.document import Document
from vlmkit.errors import DataError, shown

__all__ = ["AnsweredDocument", "Matched", "RefusedVerdict", "VerdictsUsed", "attach_verdicts", "match_answers"]

_EXAMPLES = 3


@dataclass(frozen=True)
class AnsweredDocument:
    """A question of the benchmark with the answer to it."""

    document: Document
    answer: str | None
    verdict: StoredVerdict | None


@dataclass(frozen=True)
class Matched:
    """The answers to a benchmark's questions, in its order."""

    answered: list[AnsweredDocument]
    by: str
    """How they were found: by `id`, `question` (its text) or `position`."""
    missing: list[str]
    """Ids of the questions without an answer."""


def match_answers(
    answers: Sequence[ImportedAnswer],
    documents: Sequence[Document],
    where: str,
    *,
    partial: bool = False,
    max_different: int = 0,
    advice: str = "name the split or benchmark that the answers are about",
) -> Matched:
    """Return each question with its answer, found by id, or else by text or by the place within task, video and type.

    Args:
        answers: all answers, with different ids.
        documents: the questions of one split.
        where: benchmark and split, for messages.
        partial: take answers to some of the questions alone.
        max_different: in how many questions the file may say another question or reference than the benchmark.
        advice: the end of messages, for users.

    Raises:
        DataError: answers are to questions that are not there, questions have no answer, or questions or references
            differ: this is how another split, another revision or another order is found.
    """
    by, found = _keyed(answers, documents)
    unknown = [answer for answer in answers if answer.document.id not in found]
    if unknown:
        examples = ", ".join(shown(answer.document.id) for answer in unknown[:_EXAMPLES])
        raise DataError(
            f"{where}: it has {len(documents):,} questions, and none for {len(unknown):,} of {len(answers):,} answers, "
            f"e.g. {examples} (the benchmark's ids: {', '.join(shown(one.id) for one in documents[:_EXAMPLES])}); "
            f"{advice}"
        )
    given = {found[answer.document.id].id: answer for answer in answers}
    missing = [document.id for document in documents if document.id not in given]
    if missing and not partial:
        raise DataError(
            f"{where}: it has {len(documents):,} questions, and {len(missing):,} of them have no answer, e.g. "
            f"{', '.join(map(shown, missing[:_EXAMPLES]))}; {advice}; --partial takes answers to some "
            "of the questions"
        )
    _check_same(given, documents, where, max_different)
    answered = [
        AnsweredDocument(document, given[document.id].answer, given[document.id].verdict)
        for document in documents
        if document.id in given
    ]
    return Matched(answered, by, missing)


def _keyed(answers: Sequence[ImportedAnswer], documents: Sequence[Document]) -> tuple[str, dict[str, Document]]:
    """Return what tells most answers, the first of equals, and the question of each by the id of the answer."""
    asked = [answer.document for answer in answers]
    columns = [name for name in ("task", "video", "type") if _knows(asked, documents, name)]
    ways: dict[str, Callable[[Iterable[Document]], list[Hashable]]] = {
        "id": lambda some: [one.id for one in some],
        "question": lambda some: _numbered(
            [(*(getattr(one, name) for name in columns), _plain(one.question) or None) for one in some]
        ),
        "position": lambda some: _numbered([tuple(getattr(one, name) for name in columns) for one in some]),
    }
    if "video" not in columns:  # the order of a whole benchmark tells nothing
        del ways["position"]
    tried = {}
    for name, key in ways.items():
        known = dict(zip(key(documents), documents, strict=True))
        found = zip(key(asked), asked, strict=True)
        tried[name] = {one.id: known[place] for place, one in found if place in known}
    best = max(tried, key=lambda name: len(tried[name]))
    return best, tried[best]


def _knows(asked: Iterable[Document], documents: Iterable[Document], column: str) -> bool:
    """Return whether the file has a column of the benchmark, with the benchmark's own names."""
    names = {getattr(one, column) for one in asked}
    return "" not in names and names <= {getattr(one, column) for one in documents}


def _numbered(keys: Iterable[tuple[Hashable, ...]]) -> list[Hashable]:
    """Return each key with its number among equal ones; one without a question is like no other."""
    counts: Counter[tuple[Hashable, ...]] = Counter()
    numbered: list[Hashable] = []
    for key in keys:
        numbered.append(object() if None in key else (*key, counts[key]))
        counts[key] += 1
    return numbered


def _check_same(
    given: Mapping[str, ImportedAnswer], documents: Sequence[Document], where: str, max_different: int
) -> None:
    different = [
        f"{given[document.id].where} has the {what} {shown(there)}, the benchmark has {shown(here)}"
        for document in documents
        if document.id in given
        for what, there, here in _differences(given[document.id].document, document)
    ]
    if len(different) > max_different:
        raise DataError(
            f"{where}: {len(different):,} questions or references of the file are not those of the benchmark: "
            f"{'; '.join(different[:_EXAMPLES])}. The answers are about another split or revision; "
            "--max-different N takes them with up to N differences"
        )


def _differences(there: Document, here: Document) -> Iterable[tuple[str, str, str]]:
    """A file may have more of a question than the benchmark, e.g. options, and names a reference in several ways."""
    said, own = _plain(there.question), _plain(here.question)
    if said and own and said[: len(own)] != own and own[: len(said)] != said:
        yield "question", there.question, here.question
    reference = _plain(there.answer)
    if reference and here.references and not any(reference == _plain(one) for one in _spellings(here)):
        yield "reference", there.answer, here.answer


def _spellings(document: Document) -> Iterable[str]:
    yield from document.references
    if document.correct is not None:
        letter = chr(ord("A") + document.correct)
        text = document.options[document.correct]
        yield from (letter, f"({letter})", f"{letter}. {text}", f"({letter}) {text}", f"{letter}) {text}")
        if labels := document.tags.get("labels"):
            yield f"{labels.splitlines()[document.correct].rstrip(':')}: {text}"


def _plain(text: str) -> tuple[str, ...]:
    """The words of a text, without full stops at their ends."""
    return tuple(word.rstrip(".") for word in text.replace("</s>", " ").lower().split())


def _same_text(one: str | None, other: str | None) -> bool:
    """Return whether two answers are the same but for `</s>` and blanks."""
    if one is None or other is None:
        return not one and not other
    return one.replace("</s>", " ").split() == other.replace("</s>", " ").split()


@dataclass(frozen=True)
class RefusedVerdict:
    """A verdict that is not taken, because it judged another answer than the one it would stand beside."""

    id: str
    answer: str | None
    judged: str


@dataclass(frozen=True)
class VerdictsUsed:
    """Answers with the stored verdicts that belong to them."""

    answers: list[ImportedAnswer]
    refused: list[RefusedVerdict]


def attach_verdicts(
    answers: Sequence[ImportedAnswer], judged: Sequence[ImportedAnswer] | None = None, *, take_judged: bool = False
) -> VerdictsUsed:
    """Put stored verdicts beside the answers that they judged.

    Args:
        answers: the answers, with the verdicts of their own files.
        judged: answers of a file of verdicts, with the same ids; None: the verdicts are those of `answers`.
        take_judged: take the answer that was judged in place of the given one, where they differ; else the verdict is
            refused, and the answer is without one.

    Raises:
        DataError: verdicts are about answers that are not there.
    """
    verdicts = {one.document.id: one.verdict for one in (answers if judged is None else judged)}
    known = {answer.document.id for answer in answers}
    if foreign := [key for key in verdicts if key not in known]:
        raise DataError(
            f"{len(foreign):,} of {len(verdicts):,} verdicts are about answers that are not there, e.g. "
            f"{', '.join(map(shown, foreign[:_EXAMPLES]))}; give the file of answers that these verdicts belong to"
        )
    used, refused = [], []
    for answer in answers:
        verdict = verdicts.get(answer.document.id)
        text = answer.answer
        if verdict is not None and not _same_text(text, verdict.judged):
            if take_judged:
                text = verdict.judged
            else:
                refused.append(RefusedVerdict(answer.document.id, text, verdict.judged))
                verdict = None
        used.append(replace(answer, answer=text, verdict=verdict))
    return VerdictsUsed(used, refused)
