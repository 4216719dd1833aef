"""capsule.json: the records in it, and the only reader and writer of the file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from vlmkit.errors import RunError, shown
from vlmkit.evaluation.records import JudgeName
from vlmkit.files import expand_path, file_sha256, is_folder
from vlmkit.json_files import Record, is_present, read_record, write_record
from vlmkit.publish.sketch import Sketch

__all__ = [
    "CAPSULE",
    "STAGES",
    "AnswerOutput",
    "Capsule",
    "CapsuleBenchmark",
    "CapsuleJudge",
    "CapsuleQuestion",
    "FramesOutput",
    "HashedFile",
    "HashedText",
    "PixelsOutput",
    "PromptOutput",
    "Stage",
    "StageOutput",
    "VerdictOutput",
    "VisualOutput",
    "digest",
    "read_capsule",
    "save_capsule",
    "without_texts",
]  # fmt: skip

CAPSULE = "capsule.json"
"""Name of the file, beside the files of the model."""
_VERSION = 1
_REMEDY = "download the folder again, or write the capsule anew with `vlmkit export --capsule`"

Stage = Literal["video", "frames", "pixels", "visual_tokens", "prompt", "answer", "verdict"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages of a question in their order; names of the fields of a `CapsuleQuestion`."""

_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


def digest(content: bytes | str) -> str:
    """Return the SHA-256 of bytes, or of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


class HashedFile(Record):
    """Size and hash of a file."""

    bytes: _Count
    sha256: _Hash

    @classmethod
    def of(cls, file: Path) -> HashedFile:
        """Read a file. A DataError where that is not possible."""
        sha256 = file_sha256(file)
        return cls(bytes=file.stat().st_size, sha256=sha256)


class HashedText(Record):
    """The hash of a text, and the text itself where the license of its benchmark lets it be given."""

    sha256: _Hash
    text: str | None = None

    @classmethod
    def of(cls, text: str) -> HashedText:
        """Return a text with its hash."""
        return cls(sha256=digest(text), text=text)

    def without_text(self) -> HashedText:
        """Return the hash alone."""
        return HashedText(sha256=self.sha256)


class FramesOutput(Record):
    """The frames that were looked at."""

    positions: list[_Count]
    """In the video, ascending."""
    seconds: list[_Number]
    """When each is shown; empty where the video does not say."""
    sha256: list[_Hash]
    """Of each frame's (H, W, 3) RGB as it was decoded."""


class PixelsOutput(Record):
    """The fitted frames."""

    shape: list[_Count]
    """T, H, W, 3."""
    content_box: list[_Count]
    """Top, bottom, left and right of the picture in its padding."""
    num_frames_present: _Count
    sha256: _Hash
    """Of the uint8 pixels."""


class VisualOutput(Record):
    """The tokens that the aligner made of the frames."""

    tokens: _Count
    width: _Count
    dtype: str
    sketch: Sketch


class PromptOutput(Record):
    """The prompt as the chat template renders it."""

    prompt: HashedText
    tokens: _Count
    """Those of the video included."""
    ids_sha256: _Hash
    """Of the token ids as JSON."""


class AnswerOutput(Record):
    """The answer of the language model."""

    answer: HashedText
    tokens: _Count
    ids_sha256: _Hash
    """Of the new token ids, with what ends the answer, as JSON."""
    logprobs: list[_Number]
    """Log-likelihood of the answer; where the model chose from continuations, of each of them."""
    margin: _Number | None = None
    """The least lead of the likeliest token over the second, or of the likeliest continuation, nats."""


class VerdictOutput(Record):
    """How the answer was read, judged and scored."""

    outcome: str
    """`scored`, or why it does not count."""
    state: str | None = None
    """The state of the reading; None where there was nothing to read."""
    choice: int | None = None
    number: _Number | None = None
    request: _Hash | None = None
    """Checksum of what the judge was asked; None where no judge was needed."""
    correct: bool | None = None
    """The judge's label."""
    score: _Number | None = None
    """The judge's score, 0 to 5."""
    values: dict[str, _Number] = Field(default_factory=dict)
    """By metric."""


StageOutput = HashedFile | FramesOutput | PixelsOutput | VisualOutput | PromptOutput | AnswerOutput | VerdictOutput


def without_texts(given: StageOutput) -> StageOutput:
    """Return what a stage gave with hashes alone."""
    if isinstance(given, PromptOutput):
        return given.model_copy(update={"prompt": given.prompt.without_text()})
    if isinstance(given, AnswerOutput):
        return given.model_copy(update={"answer": given.answer.without_text()})
    return given


class CapsuleQuestion(Record):
    """One question with what each stage gave."""

    id: str
    video: HashedFile
    frames: FramesOutput
    pixels: PixelsOutput
    visual_tokens: VisualOutput
    prompt: PromptOutput
    answer: AnswerOutput
    verdict: VerdictOutput
    as_in_run: bool
    """True where the evaluation, which asks in batches, got the same answer."""

    def output(self, stage: Stage) -> StageOutput:
        """Return what a stage gave."""
        found: StageOutput = getattr(self, stage)
        return found


class CapsuleJudge(JudgeName):
    """The judge of the verdicts."""

    rules: dict[str, Any] | None = None
    """Options of a judge that decides by rules, and is asked again; None: its verdicts are those of the capsule."""


class CapsuleBenchmark(Record):
    """The questions of one benchmark."""

    result: str
    """Name of the result in the run."""
    use: dict[str, Any]
    """The benchmark as `evaluation.benchmarks` has it, without paths."""
    version: str
    """Of its entry in the registry."""
    protocol: str
    """Name and version."""
    license: str
    max_new_tokens: _Count | None = None
    """The longest answer, where that is not the protocol's."""
    judge: CapsuleJudge | None = None
    questions: list[CapsuleQuestion]


class Capsule(Record):
    """The content of capsule.json."""

    capsule: Literal[1]
    """Version of the format."""
    run: str
    """Name of the run."""
    seed: int
    """By which the questions were drawn."""
    environment: dict[str, Any]
    """Python, platform, packages, plugins, threads and devices with which the capsule was made."""
    model: dict[str, HashedFile]
    """The files of the model, by name."""
    benchmarks: list[CapsuleBenchmark]

    @property
    def count(self) -> int:
        """How many questions there are."""
        return sum(len(benchmark.questions) for benchmark in self.benchmarks)

    @property
    def unlike_run(self) -> int:
        """How many of them were answered otherwise by the evaluation, which asks in batches."""
        return sum(not question.as_in_run for benchmark in self.benchmarks for question in benchmark.questions)


class _Versioned(Record):
    capsule: int


def read_capsule(place: str | Path) -> tuple[Capsule, Path]:
    """Return the capsule in a folder, or in a file, and the folder of its model.

    A RunError where there is none, it is damaged, or of a version that this vlmkit does not know.
    """
    path = expand_path(place)
    file = path / CAPSULE if is_folder(path) else path
    if not is_present(file):
        raise RunError(
            f"{path}: expected a folder with {CAPSULE}, or that file, found none; `vlmkit export RUN DST --capsule` "
            "writes one"
        )
    version = read_record(file, _Versioned, _REMEDY).capsule
    if version != _VERSION:
        raise RunError(
            f"{file}: expected a capsule of version {_VERSION}, found {shown(version)}; use the vlmkit that wrote it, "
            "or a newer one"
        )
    return read_record(file, Capsule, _REMEDY), file.parent


def save_capsule(capsule: Capsule, folder: Path) -> Path:
    """Write capsule.json into the folder of a model, with its checksum, and return its path."""
    file = folder / CAPSULE
    write_record(file, capsule.data())
    return file
