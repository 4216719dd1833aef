"""The annotation files of one split on this machine, verified against the registry, and the folder of its videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from vlmkit.api.contract import type_name
from vlmkit.api.dataset import DatasetSpec
from vlmkit.api.document import Document
from vlmkit.benchmarks.annotation_files import annotation_file, content_sha256
from vlmkit.benchmarks.entries import AnnotationSource, Benchmark
from vlmkit.errors import DataError
from vlmkit.files import expand_path, is_file, is_folder
from vlmkit.guard import component_error, guarded
from vlmkit.json_files import Record
from vlmkit.spec.evaluation import AnnotationFile, BenchmarkUse
from vlmkit.spec.loading import read_component

__all__ = [
    "Annotations", "QuestionDataset", "annotation_files", "check_counts", "file_place", "locate", "registered_file",
    "video_folder",
]  # fmt: skip


class FileUsed(Record):
    """An annotation file."""

    path: str
    """As the spec has it."""
    sha256: str


class AnnotationsUsed(Record):
    """Where the questions of a result come from: annotation files, or a dataset with its options."""

    files: list[FileUsed] | None = None
    dataset: dict[str, Any] | None = None
    registered: bool = True
    """True where these are the registry's own."""


@runtime_checkable
class QuestionDataset(Protocol):
    """The spec of a dataset from which a benchmark can take its questions."""

    def prepare(self) -> Path:
        """Make what is missing of the files below."""

    def annotations(self) -> Path:
        """Return the path of a JSON list of `{id, video, question, answer, type}`."""

    def video_root(self) -> Path:
        """Return the folder of the video files."""


class Annotations(NamedTuple):
    """Annotation files on this machine and the folder of their videos."""

    files: tuple[Path, ...]
    video_root: Path
    used: AnnotationsUsed
    """The same for the result."""
    dataset: DatasetSpec | None = None
    """The dataset that provides them, if one does."""


def locate(use: BenchmarkUse, benchmark: Benchmark, split_name: str) -> Annotations:
    """Find and verify the annotation files of one split, each of which is read once, and the folder of its videos.

    A DataError, with what to set, where something is missing or has changed.
    """
    split, where = benchmark.splits[split_name], _where(use, split_name)
    if split.dataset is not None:
        for key in ("annotations", "annotation_root", "video_root"):
            if getattr(use, key) is not None:
                raise DataError(f"{where}: `{key}` cannot be set: questions and videos come from the dataset "
                                f"{split.dataset['type']!r}, whose options are under `dataset`")  # fmt: skip
        return _from_dataset(use, split.dataset, where)
    if use.dataset is not None:
        raise DataError(
            f"{where}: `dataset` cannot be set: the questions come from annotation files, not from a dataset"
        )
    files, used = annotation_files(use, benchmark, split_name)
    return Annotations(files, video_folder(use, split_name), used)


def annotation_files(
    use: BenchmarkUse, benchmark: Benchmark, split_name: str
) -> tuple[tuple[Path, ...], AnnotationsUsed]:
    """Find and verify the annotation files of a split that has some. A DataError as above."""
    where = _where(use, split_name)
    if use.annotations is not None and use.annotation_root is not None:
        raise DataError(f"{where}: set either `annotation_root` or `annotations`, not both")
    if use.annotations is not None:
        own = [_own(file, benchmark, split_name, where) for file in use.annotations]
        return tuple(expand_path(file.path) for file in own), AnnotationsUsed(files=own, registered=False)
    files = [registered_file(use, benchmark, split_name, file) for file in benchmark.splits[split_name].files]
    used = AnnotationsUsed(files=[used for _, used in files], registered=True)
    return tuple(path for path, _ in files), used


def registered_file(
    use: BenchmarkUse, benchmark: Benchmark, split_name: str, file: AnnotationSource
) -> tuple[Path, FileUsed]:
    """Find an annotation file of an entry, and verify its checksum. A DataError as above."""
    where = _where(use, split_name)
    path, written = file_place(use, benchmark, file, where)
    return path, FileUsed(path=written, sha256=_verified(path, file, benchmark, split_name, where))


def file_place(use: BenchmarkUse, benchmark: Benchmark, file: AnnotationSource, where: str) -> tuple[Path, str]:
    """Return where an annotation file of an entry lies, and how its path is written in results.

    That is `annotation_root`, the folder of the benchmark's name in it, or the folder of the entry itself. No result
    depends on whose home folder `~` is, or on where an entry is installed. The file may lie there as gzip. A DataError
    where it is missing.
    """
    inside = f"{benchmark.name}/{file.name}"
    if use.annotation_root is None and not is_file(annotation_file(benchmark.folder / file.name)):
        raise DataError(
            f"{where}: set `annotation_root` (--annotation-root) to the folder that holds {file.name} (from "
            f"{file.source}), or list other files under `annotations`"
        )
    written = [] if use.annotation_root is None else [Path(use.annotation_root) / file.name,
                                                      Path(use.annotation_root) / inside]  # fmt: skip
    tried = [*((expand_path(path), str(path)) for path in written), (benchmark.folder / file.name, inside)]
    for path, name in tried:
        if is_file(found := annotation_file(path)):
            return found, name
    raise DataError(
        f"{where}: there is no annotation file {tried[0][0]}; get it from {file.source}, or correct `annotation_root`"
    )


def _own(file: AnnotationFile, benchmark: Benchmark, split_name: str, where: str) -> FileUsed:
    """Hash a file that stands in place of the entry's own. Its path is kept as it is written."""
    path = expand_path(file.path)
    if not is_file(path):
        raise DataError(f"{where}: there is no annotation file {path}; correct the path under `annotations`")
    found = content_sha256(path)
    if file.sha256 not in (None, found):
        raise DataError(f"{where}: {path}: expected sha256 {file.sha256} as the spec says, found {found}; restore the "
                        "file, or correct the checksum under `annotations`")  # fmt: skip
    if other := _other_split(found, benchmark, split_name):
        raise DataError(f"{where}: {path} holds {other}; use the file of split {split_name!r}, or set the other split")
    return FileUsed(path=file.path, sha256=found)


def _verified(path: Path, file: AnnotationSource, benchmark: Benchmark, split_name: str, where: str) -> str:
    """Return the checksum of a registered file. A DataError where it is another one than the entry, or a pin, has."""
    found = content_sha256(path)
    if file.sha256 in (None, found):
        return found
    other = _other_split(found, benchmark, split_name)
    really = f" but holds {other}" if other else ""
    raise DataError(f"{where}: {path} is not the registered annotation file{really}: expected sha256 {file.sha256}, "
                    f"found {found}; get it again from {file.source}, or, to use this one on purpose, list it under "
                    "`annotations`")  # fmt: skip


def _other_split(sha256: str, benchmark: Benchmark, split_name: str) -> str:
    """Return whose file this is where it belongs to another split of the entry and not to this one, else nothing."""
    if any(file.sha256 == sha256 for file in benchmark.splits[split_name].files):
        return ""
    owners = [(file.name, name) for name, split in benchmark.splits.items() for file in split.files
              if file.sha256 == sha256]  # fmt: skip
    return f"{owners[0][0]} of split {owners[0][1]!r}" if owners else ""


def check_counts(
    use: BenchmarkUse, benchmark: Benchmark, split_name: str, annotations: Annotations, documents: Sequence[Document]
) -> None:
    """Raise a DataError where the files hold another number of questions or videos than the entry says.

    Files of the user's own may hold any number, but not exactly that of another split.
    """
    split, where = benchmark.splits[split_name], _where(use, split_name)
    first, *rest = map(str, annotations.files)
    files = f"{first} and {len(rest)} more" if len(rest) > 1 else ", ".join([first, *rest])
    counts = {"questions": len(documents), "videos": len({document.video for document in documents})}
    if split.questions is not None and counts["questions"] != split.questions:
        others = [name for name, other in benchmark.splits.items() if other.questions == counts["questions"]]
        if others:
            raise DataError(
                f"{where}: expected {split.questions} questions as the registry says, found {counts['questions']} in "
                f"{files}, which is the number of split {others[0]!r}; use the files of split {split_name!r}, or set "
                f"`split: {others[0]}`"
            )
    if not annotations.used.registered:
        return
    for what, found in counts.items():
        if (expected := getattr(split, what)) not in (None, found):
            raise DataError(
                f"{where}: expected {expected} {what} as the registry says, found {found} in {files}; get the files "
                f"again or, where the entry is wrong, correct {benchmark.folder}"
            )


def video_folder(use: BenchmarkUse, split_name: str) -> Path:
    """Return the folder of the video files: the one of the benchmark's name in `video_root`, or else that itself.

    A DataError where it is not set or not there.
    """
    where = _where(use, split_name)
    if use.video_root is None:
        raise DataError(f"{where}: set `video_root` (--video-root) to the folder of the video files")
    root = expand_path(use.video_root)
    if is_folder(root / use.name):
        return root / use.name
    if not is_folder(root):
        raise DataError(f"{where}: there is no folder of videos {root} (seen from {Path.cwd()}); correct `video_root`")
    return root


def _where(use: BenchmarkUse, split_name: str) -> str:
    return f"{use.name}, split {split_name}"


def _from_dataset(use: BenchmarkUse, own: Mapping[str, Any], where: str) -> Annotations:
    spec = read_component("dataset", {**own, **(use.dataset or {})}, f"{where}, `dataset`")
    if not isinstance(spec, QuestionDataset):
        raise DataError(f"{where}: a benchmark cannot take its questions from dataset {spec.type!r}: it has no "
                        "prepare(), annotations() and video_root()")  # fmt: skip
    with guarded(spec, "prepare()"):
        spec.prepare()
    used = AnnotationsUsed(dataset=spec.model_dump(mode="json"), registered=not use.dataset)
    files, root = _path(spec, "annotations"), _path(spec, "video_root")
    assert isinstance(spec, DatasetSpec)
    return Annotations((files,), root, used, spec)


def _path(spec: QuestionDataset, member: str) -> Path:
    with guarded(spec, f"{member}()"):
        path = getattr(spec, member)()
    if not isinstance(path, Path):
        raise component_error(spec, f"{member}() gives {type_name(path)}, expected a pathlib.Path")
    return path
