"""The formats of answer files: which one a file has is told by its content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmkit.answers import answer_tables, author_files, judged_files, lmms_eval_logs
from vlmkit.answers.content import AnswerContent, read_content
from vlmkit.answers.imported import ImportedAnswer, check_ids
from vlmkit.errors import DataError, as_written, did_you_mean
from vlmkit.files import is_folder
from vlmkit.json_files import read_json

__all__ = ["FORMATS", "AnswerFormat", "ReadOptions", "list_files", "read_answer_files", "read_vocabulary"]


@dataclass(frozen=True)
class ReadOptions:
    """Options of the user, for files that do not say it themselves."""

    form: str = ""
    """Name of the format; empty: it is recognized."""
    column: str = ""
    """Name of the column of answers, of a table with one for each setting."""
    vocabulary: tuple[str, ...] = ()
    """The words that answers given by number stand for."""


@dataclass(frozen=True)
class AnswerFormat:
    """How one kind of file is recognized and read."""

    title: str
    matches: Callable[[AnswerContent], bool]
    read: Callable[[AnswerContent, ReadOptions], Iterable[ImportedAnswer]]


def _plain(read: Callable[[AnswerContent], Iterable[ImportedAnswer]]) -> Callable[..., Iterable[ImportedAnswer]]:
    return lambda content, options: read(content)


FORMATS = {
    "lmms-eval": AnswerFormat(
        "lmms-eval's sample logs", lmms_eval_logs.is_sample_log, _plain(lmms_eval_logs.read_sample_log)
    ),
    "tempcompass": AnswerFormat(
        "TempCompass' predictions and auto_eval_results",
        judged_files.is_tempcompass,
        _plain(judged_files.read_tempcompass),
    ),
    "judged-pairs": AnswerFormat(
        "pairs [verdict, {q, a, pred}] of Video-ChatGPT and CVRR-ES",
        judged_files.is_judged_pairs,
        _plain(judged_files.read_judged_pairs),
    ),
    "next-qa": AnswerFormat(
        "HGA's and HQGA's {id: {prediction, answer}}",
        author_files.is_indexed,
        lambda content, options: author_files.read_indexed(content, options.vocabulary),
    ),
    "next-oe": AnswerFormat(
        "NExT-OE's {video: {question: answer}}",
        author_files.is_texts_by_video,
        _plain(author_files.read_texts_by_video),
    ),
    "tree-video-agent": AnswerFormat(
        "TreeVideoAgent's {id: {answer, label}}",
        author_files.is_tree_video_agent,
        _plain(author_files.read_tree_video_agent),
    ),
    "vnbench": AnswerFormat("VNBench's JSON lines", author_files.is_vnbench, _plain(author_files.read_vnbench)),
    "event-hallusion": AnswerFormat(
        "EventHallusion's predictions", author_files.is_event_hallusion, _plain(author_files.read_event_hallusion)
    ),
    "grid": AnswerFormat(
        "scalegrid's wide table",
        answer_tables.is_grid,
        lambda content, options: answer_tables.read_grid(content, options.column),
    ),
    "table": AnswerFormat(
        "a table (csv, tsv, xlsx, JSON list or lines) with an id and an answer: VLMEvalKit's, Video-LLaVA's, MLVU's",
        answer_tables.is_table,
        _plain(answer_tables.read_table),
    ),
}
"""By name; the first that matches is taken."""


def read_answer_files(files: Sequence[Path], options: ReadOptions = ReadOptions()) -> list[ImportedAnswer]:
    """Return the answers of files, which together are those of one model to one benchmark.

    Args:
        files: files, or folders, of which every file is read, in the order of their names.
        options: what the files do not say.

    Raises:
        DataError: a file is damaged or of no known format, a value is no answer, or an id stands twice.
    """
    answers = [answer for file in list_files(files) for answer in _read(file, options)]
    check_ids(answers)
    return answers


def read_vocabulary(file: Path) -> tuple[str, ...]:
    """Return the words that answers given by number stand for. A DataError where the file is no JSON list of words."""
    words = read_json(file, "a JSON list of words")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{file}: expected a JSON list of words, found {as_written(words)}")
    return tuple(words)


def list_files(files: Sequence[Path]) -> list[Path]:
    """Return the files, those in a folder in its place, in the order of their names."""
    listed = []
    for file in files:
        inside = sorted(entry for entry in file.iterdir() if entry.is_file()) if is_folder(file) else [file]
        if not inside:
            raise DataError(f"{file}: expected answer files, found an empty folder")
        listed += inside
    return listed


def _read(file: Path, options: ReadOptions) -> list[ImportedAnswer]:
    content = read_content(file)
    if options.form and options.form not in FORMATS:
        near = did_you_mean(options.form, FORMATS)
        raise DataError(f"there is no format {options.form!r}; {near}there are {', '.join(FORMATS)}")
    names = [options.form] if options.form else list(FORMATS)
    form = next((FORMATS[name] for name in names if FORMATS[name].matches(content)), None)
    if form is None:
        known = "; ".join(f"{name} ({FORMATS[name].title})" for name in names)
        raise DataError(f"{file}: expected one of these formats: {known}; the content is none of them")
    return list(form.read(content, options))
