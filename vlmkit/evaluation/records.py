"""Results of benchmarks, and the only readers and writers of their files.

    eval/BENCHMARK/result.json    a `BenchmarkResult`
    eval/BENCHMARK/untold.json    the observers that have not heard of the result yet

Files are read into records once, with strict types. What a file holds beside the fields of its record is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from vlmkit.benchmarks.locating import AnnotationsUsed
from vlmkit.errors import RunError
from vlmkit.files import is_file
from vlmkit.json_files import Record, is_present, read_record, write_record
from vlmkit.manifest import Checksum, check_files
from vlmkit.spec.evaluation import Control

__all__ = [
    "COUNTS", "BenchmarkResult", "Conditions", "ControlScores", "Decoding", "HarnessUsed", "JudgeName",
    "Metric", "Scores", "TypeScores", "read_pending", "read_result", "release_answers", "write_pending",
    "write_result",
]  # fmt: skip

_PENDING = "untold.json"
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Value = Annotated[float, Field(allow_inf_nan=False)]


COUNTS = ("n", "skipped", "unscored", "unreadable", "dropped", "drawn", "contradictions")
"""Numbers of questions in `Scores`."""


class Metric(Record):
    """A mean over questions with its 95% interval."""

    value: _Value
    ci95: Annotated[list[_Value], Field(min_length=2, max_length=2)]
    """Lower and upper end."""


class TypeScores(Record):
    """The scores of some questions, e.g. those of one type."""

    n: _Count
    metrics: dict[str, Metric]
    """By name; empty where no question was scored."""


class Scores(Record):
    """The scores of a set of questions."""

    n: _Count
    """How many questions were scored and make up the metrics."""
    skipped: _Count = 0
    """How many were left out because their video is unreadable."""
    unscored: _Count = 0
    """How many answers the judge failed on."""
    unscored_reasons: dict[str, _Count] = Field(default_factory=dict)
    """The most frequent reasons why, and how often."""
    unreadable: _Count = 0
    """How many answers could not be read and count as wrong."""
    dropped: _Count = 0
    """How many answers were left out, as the protocol says, or because the right ones are not public."""
    drawn: _Count = 0
    """How many answers could not be read and were replaced by an option at random, as the protocol says."""
    contradictions: _Count = 0
    """How many verdicts have a label that their score contradicts."""
    metrics: dict[str, Metric]
    by_type: dict[str, TypeScores]
    by: dict[str, dict[str, TypeScores]] = Field(default_factory=dict)
    """By further columns of the annotations: task, aspect, …"""

    def flat(self) -> dict[str, float]:
        """Return one number under each name, for observers: `accuracy`, the ends of its interval, counts."""
        numbers: dict[str, float] = {name: getattr(self, name) for name in COUNTS}
        for name, metric in self.metrics.items():
            low, high = metric.ci95
            numbers |= {name: metric.value, f"{name}/low": low, f"{name}/high": high}
        return numbers


class ControlScores(Scores):
    """The scores of a control, and how far they lie from those of the questions as they are."""

    difference: dict[str, Metric] = Field(default_factory=dict)
    """By metric: score without the control minus that with it, paired by question."""


class Decoding(Record):
    """How answers are generated."""

    greedy: bool
    max_new_tokens: int
    batch_size: int
    """Questions per forward pass, as the spec has it. No answer depends on it, but for rounding."""
    frames: int | None = None
    """The most frames that are shown of a video."""
    sampling: str | dict[str, Any] | None = None
    """Which frames: by the protocol's sampler, or the model's own. None in results of earlier versions."""


class JudgeName(Record):
    """The judge that the verdicts are stored under."""

    name: str
    version: str
    """Its own version and its package."""
    prompts: list[str] = Field(default_factory=list)
    """Name and version of each prompt that it was given; empty where it reads none."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class HarnessUsed(Record):
    """The other framework that measured."""

    name: str
    version: str
    """Name and version of the framework."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """How the benchmark is run there, e.g. the number of examples in a prompt."""


class Conditions(Record):
    """All that a result depends on, known before anything is asked."""

    benchmark: str
    version: str
    """Of the benchmark's entry in the registry."""
    split: str
    protocol: str = ""
    """Name and version, e.g. `authors@1`."""
    limit: _Count | None = None
    """Only the first so many questions."""
    annotations: AnnotationsUsed | None = None
    asked: str = ""
    """Fingerprint of all questions as they are put to the model."""
    model_sha256: str = ""
    decoding: Decoding | None = None
    judge: JudgeName | None
    """None where rules alone decide."""
    components: dict[str, str] = Field(default_factory=dict)
    """Package and version of each component that takes part, by `kind/name`."""
    harness: HarnessUsed | None = None
    """None where vlmkit itself asks the questions."""


class _Pending(Record):
    plugins: list[str]


class BenchmarkResult(Scores, Conditions):
    """The content of result.json."""

    skipped: _Count
    unscored: _Count
    controls: dict[Control, ControlScores] = Field(default_factory=dict)
    """The same questions with something taken away, by the name of the control."""
    files: dict[str, Checksum] = Field(default_factory=dict)
    """Of answers, by name."""
    counting: str = ""
    seconds: float = 0.0
    """Time of the last run, which may have found answers of an earlier one."""
    spec_sha256: str
    plugins: dict[str, str] = Field(default_factory=dict)
    """Package of each plugin that was loaded."""
    vlmkit_version: str = ""


def read_result(path: Path) -> BenchmarkResult:
    """Return the content of a result.json.

    A RunError where it is malformed, or the answers beside it are not those that it sums up. Answers that are gone are
    no damage: the result stands without them.
    """
    result = read_record(path, BenchmarkResult, "remove the file and run `vlmkit eval`: the answers beside it are kept")
    answers = {name: entry for name, entry in result.files.items() if is_file(path.parent / name)}
    anew = f"remove {path.name} there and run `vlmkit eval`: what is missing or changed is asked again"
    check_files(path.parent, answers, anew, RunError)
    return result


def write_result(path: Path, result: BenchmarkResult) -> None:
    """Write a result.json with its checksum, whole or not at all."""
    write_record(path, result.data())


def release_answers(path: Path) -> None:
    """Let the answers beside a result be written anew: it stands until another takes its place, and not for them."""
    if is_file(path) and "files" in (result := read_record(path, BenchmarkResult)).model_fields_set:
        write_record(path, result.model_dump(exclude_unset=True, exclude={"files"}))


def read_pending(folder: Path) -> list[str]:
    """Return the plugins that have not heard of the result in a folder yet."""
    file = folder / _PENDING
    return read_record(file, _Pending).plugins if is_present(file) else []


def write_pending(folder: Path, plugins: list[str]) -> None:
    """Note the plugins that have not heard of the result in a folder yet."""
    if plugins:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder / _PENDING, _Pending(plugins=plugins).data())
    else:
        (folder / _PENDING).unlink(missing_ok=True)
