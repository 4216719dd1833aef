"""Answers made elsewhere become a folder like that of a run.

FOLDER/eval/BENCHMARK/predictions.jsonl   the answers, each with its question
FOLDER/eval/BENCHMARK/verdicts.sqlite     verdicts of others' judges, under the judge's name and the version `stored`
FOLDER/eval/BENCHMARK/import.json         where all of it comes from: an `ImportRecord`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from vlmkit.answers.answer_formats import ReadOptions, list_files, read_answer_files
from vlmkit.answers.matching import Matched, RefusedVerdict, attach_verdicts, match_answers
from vlmkit.answers.stored_verdicts import StoredVerdicts, as_answers, request_of_each
from vlmkit.api.document import Document
from vlmkit.errors import DataError
from vlmkit.evaluation.benchmarks import Benchmark
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.protocols import Rules
from vlmkit.evaluation.records import FileUsed, Record
from vlmkit.files import file_sha256, write_atomic
from vlmkit.json_files import json_line, write_record

__all__ = ["AnswerSource", "ImportRecord", "Imported", "import_answers"]


@dataclass(frozen=True)
class AnswerSource:
    """Files that hold a system's answers, and how they are taken."""

    answers: Sequence[Path]
    verdicts: Sequence[Path] = ()
    """Of a judge, where they are files of their own."""
    options: ReadOptions = field(default_factory=ReadOptions)
    take_judged: bool = False
    """Take the answers that were judged, where the files have other ones."""
    partial: bool = False
    """Take answers to some of the questions."""
    max_different: int = 0
    """In how many questions or references the files may differ from the benchmark."""


class ImportRecord(Record):
    """The content of import.json."""

    model: str
    benchmark: str
    version: str
    """Of the benchmark's entry in the registry."""
    split: str
    protocol: str
    """By whose judge prompts the verdicts are stored."""
    files: list[FileUsed]
    """Answers and verdicts."""
    matched_by: str
    """What told the questions: `id`, `position` or `question`."""
    answers: int
    unanswered: int
    """Answers that the tool did not get; they are empty here."""
    missing: int
    """Questions of the split without an answer."""
    verdicts: dict[str, int]
    """By judge."""
    refused: int
    """Verdicts that judged another answer and were left out."""
    contradicted: int
    """Verdicts that differ from the first one about the same question and answer, and were left out."""


@dataclass(frozen=True)
class Imported:
    """An import, and what was left out of it."""

    folder: Path
    record: ImportRecord
    refused: list[RefusedVerdict]
    missing: list[str]


def import_answers(
    source: AnswerSource,
    benchmark: Benchmark,
    split: str,
    documents: Sequence[Document],
    rules: Rules,
    model: str,
    to: Path,
) -> Imported:
    """Read, match and write the answers to one split of a benchmark.

    Args:
        source: the files.
        benchmark: the entry of the registry.
        split: the split that the answers are about.
        documents: its questions.
        rules: of the protocol by whose judge prompts stored verdicts are found again.
        model: whose answers they are.
        to: the folder to be written, `eval/BENCHMARK` below it.

    Raises:
        UserError: a file cannot be read, answers and questions do not belong together, or there are answers already.
    """
    folder = to / "eval" / benchmark.name
    if folder.exists():
        raise DataError(f"{folder}: there is an evaluation already; remove it, or give another --to")
    answers = read_answer_files(source.answers, source.options)
    judged = read_answer_files(source.verdicts, source.options) if source.verdicts else None
    used = attach_verdicts(answers, judged, take_judged=source.take_judged)
    where = f"{benchmark.name}, split {split}"
    matched = match_answers(
        used.answers,
        documents,
        where,
        partial=source.partial,
        max_different=source.max_different,
        advice=_advice(benchmark, len(answers)),
    )
    contradicted = _write_answers(folder, matched, rules)
    record = ImportRecord(
        model=model,
        benchmark=benchmark.name,
        version=benchmark.version,
        split=split,
        protocol=rules.protocol.label,
        files=[
            FileUsed(path=str(file), sha256=file_sha256(file))
            for file in list_files([*source.answers, *source.verdicts])
        ],
        matched_by=matched.by,
        answers=len(matched.answered),
        unanswered=sum(one.answer is None for one in matched.answered),
        missing=len(matched.missing),
        verdicts=dict(Counter(one.verdict.judge for one in matched.answered if one.verdict and one.verdict.judge)),
        refused=len(used.refused),
        contradicted=contradicted,
    )
    write_record(folder / "import.json", record.data())
    return Imported(folder, record, used.refused, matched.missing)


def _write_answers(folder: Path, matched: Matched, rules: Rules) -> int:
    """Write answers and verdicts; return how many verdicts contradict another one about the same."""
    answers = as_answers(matched.answered)
    folder.mkdir(parents=True)
    write_atomic(folder / "predictions.jsonl", "".join(json_line(answer.data()) for answer in answers))
    verdicts = {one.document.id: one.verdict for one in matched.answered if one.verdict is not None}
    names = dict.fromkeys(verdict.judge for verdict in verdicts.values() if verdict.judge)
    requests = request_of_each(answers, rules) if names else {}
    judges = [StoredVerdicts(name, verdicts, requests) for name in names]
    if judges:
        with closing(VerdictStore(folder / "verdicts.sqlite")) as store:
            for judge in judges:
                store.judge_all(judge.name, judge, judge.requests)
    return sum(judge.contradicted for judge in judges)


def _advice(benchmark: Benchmark, count: int) -> str:
    """What to do about answers that are not about the split."""
    as_many = [name for name, split in benchmark.splits.items() if split.questions == count]
    found = f", e.g. {as_many[0]!r}, which has as many questions" if as_many else ""
    return f"name the split that the answers are about{found}"
