"""The questions of a benchmark without its videos."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vlmkit.api.document import Document
from vlmkit.benchmarks.annotations import read_documents
from vlmkit.benchmarks.entries import Benchmark
from vlmkit.benchmarks.locating import Annotations, AnnotationsUsed, annotation_files, check_counts
from vlmkit.errors import DataError
from vlmkit.spec.evaluation import BenchmarkUse

__all__ = ["EntryQuestions", "entry_questions"]


class EntryQuestions(NamedTuple):
    """The questions of one split, and where they come from."""

    split: str
    documents: list[Document]
    used: AnnotationsUsed


def entry_questions(benchmark: Benchmark, split: str | None, annotation_root: Path | None) -> EntryQuestions:
    """Return the questions of one split, the default one where it is None.

    A DataError where annotation files are missing or not what the registry says, or the questions are those of a
    dataset component, which draws its own videos.
    """
    name, chosen = benchmark.split(split)
    if chosen.dataset is not None:
        raise DataError(
            f"{benchmark.name}, split {name}: its questions come from the dataset {chosen.dataset['type']!r}; "
            "expected a benchmark with annotation files"
        )
    root = None if annotation_root is None else str(annotation_root)
    use = BenchmarkUse(name=benchmark.name, split=name, annotation_root=root)
    files, used = annotation_files(use, benchmark, name)
    documents = read_documents(files, benchmark.annotation_options(name))
    check_counts(use, benchmark, name, Annotations(files, Path(), used), documents)
    return EntryQuestions(name, documents, used)
