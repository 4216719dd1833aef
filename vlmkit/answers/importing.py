"""Answers made elsewhere become a folder like that of a run.

FOLDER/eval/BENCHMARK/predictions.jsonl   the answers, each with its question
FOLDER/eval/BENCHMARK/verdicts.sqlite     verdicts of others' judges, under the judge's name and the version `stored`
FOLDER/eval/BENCHMARK/import.json         where all of it comes from: an `ImportRecord`
FOLDER/eval/BENCHMARK/result.json         the scores, as those of any evaluation
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from vlmkit._version import __version__
from vlmkit.answers.answer_formats import ReadOptions, list_files, read_answer_files
from vlmkit.answers.entry_questions import EntryQuestions
from vlmkit.answers.matching import Matched, RefusedVerdict, attach_verdicts, match_answers
from vlmkit.answers.stored_verdicts import StoredVerdicts, as_answers, request_of_each
from vlmkit.api.judge import Judge, JudgeSpec
from vlmkit.benchmarks.entries import Benchmark
from vlmkit.benchmarks.locating import FileUsed
from vlmkit.benchmarks.protocols import Rules
from vlmkit.errors import DataError
from vlmkit.evaluation.answers import Answer
from vlmkit.evaluation.fingerprint import judge_name
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.records import BenchmarkResult, Conditions, JudgeName, write_result
from vlmkit.evaluation.scores import score_answers, summarize
from vlmkit.files import atomic_folder, file_sha256, write_atomic
from vlmkit.json_files import Record, json_line, write_record
from vlmkit.manifest import file_entries
from vlmkit.spec.identity import versions
from vlmkit.spec.loading import read_component

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
    files: list[FileUsed]
    """Answers and verdicts."""
    matched_by: str
    """How the questions were found: by `id`, `question` (its text) or `position`."""
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
    """An import, its scores, and what was left out of it."""

    folder: Path
    record: ImportRecord
    result: BenchmarkResult
    refused: list[RefusedVerdict]
    missing: list[str]


def import_answers(
    source: AnswerSource, benchmark: Benchmark, questions: EntryQuestions, rules: Rules, model: str, to: Path
) -> Imported:
    """Read, match, write and score the answers to one split of a benchmark.

    What the rules leave to a judge is decided by the stored verdicts of the judge that gave most of them or, where
    there are none, by exact match.

    Args:
        source: the files.
        benchmark: the entry of the registry.
        questions: those of the split that the answers are about.
        rules: of the protocol that they are scored by.
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
    matched = match_answers(
        used.answers,
        questions.documents,
        f"{benchmark.name}, split {questions.split}",
        partial=source.partial,
        max_different=source.max_different,
        advice=_advice(benchmark, len(answers)),
    )
    with atomic_folder(folder) as place:
        result, contradicted = _write_scored(place, matched, benchmark, questions, rules)
        files = list_files([*source.answers, *source.verdicts])
        record = ImportRecord(
            model=model,
            files=[FileUsed(path=str(file), sha256=file_sha256(file)) for file in files],
            matched_by=matched.by,
            answers=len(matched.answered),
            unanswered=sum(one.answer is None for one in matched.answered),
            missing=len(matched.missing),
            verdicts=dict(_judges(matched)),
            refused=len(used.refused),
            contradicted=contradicted,
        )
        write_record(place / "import.json", record.data())
    return Imported(folder, record, result, used.refused, matched.missing)


def _judges(matched: Matched) -> Counter[str]:
    return Counter(one.verdict.judge for one in matched.answered if one.verdict and one.verdict.judge)


def _write_scored(
    folder: Path, matched: Matched, benchmark: Benchmark, questions: EntryQuestions, rules: Rules
) -> tuple[BenchmarkResult, int]:
    """Write answers, verdicts and scores; return the result, and how many verdicts contradict another one."""
    records, judges = as_answers(matched.answered), _judges(matched)
    write_atomic(folder / "predictions.jsonl", "".join(json_line(answer.data()) for answer in records))
    with closing(VerdictStore(folder / "verdicts.sqlite")) as store:
        stored = _store(store, matched, records, rules)
        name, judge = _judge_of(judges, rules)
        scored = score_answers(records, rules, store.judging(name, judge))
    result = BenchmarkResult.model_validate({
        **dict(_conditions(benchmark, questions, rules, name)),
        **dict(summarize(scored, rules, benchmark.cluster, benchmark.break_down)),
        "files": file_entries(folder, [folder / "predictions.jsonl"]),
        "spec_sha256": "",
        "vlmkit_version": __version__,
    })  # fmt: skip
    write_result(folder / "result.json", result)
    return result, sum(one.contradicted for one in stored)


def _store(store: VerdictStore, matched: Matched, answers: Sequence[Answer], rules: Rules) -> list[StoredVerdicts]:
    verdicts = {one.document.id: one.verdict for one in matched.answered if one.verdict}
    names = list(_judges(matched))
    requests = request_of_each(answers, rules) if names else {}
    judges = [StoredVerdicts(name, verdicts, requests) for name in names]
    for judge in judges:
        store.judge_all(judge.name, judge, judge.requests)
    return judges


def _judge_of(judges: Counter[str], rules: Rules) -> tuple[JudgeName | None, Judge | None]:
    """Return under which name verdicts are looked up, and who is asked where there is none."""
    if not rules.judged:
        return None, None
    if judges:
        return JudgeName(name=judges.most_common(1)[0][0], version=StoredVerdicts.version, prompts=rules.prompts), None
    exact = read_component("judge", {"type": "exact"}, "answers without verdicts")
    assert isinstance(exact, JudgeSpec)
    return judge_name(exact, rules), exact.build()


def _conditions(benchmark: Benchmark, questions: EntryQuestions, rules: Rules, judge: JudgeName | None) -> Conditions:
    return Conditions(
        benchmark=benchmark.name,
        version=benchmark.version,
        split=questions.split,
        protocol=rules.protocol.label,
        annotations=questions.used,
        judge=judge,
        components=versions(rules.origins),
    )


def _advice(benchmark: Benchmark, count: int) -> str:
    """Say what to do about answers that are not about the split."""
    as_many = [name for name, split in benchmark.splits.items() if split.questions == count]
    found = f", e.g. {as_many[0]!r}, which has as many questions" if as_many else ""
    return f"name the split that the answers are about{found}"
