"""Where a benchmark's annotations lie on this machine, and whether they are the ones that the registry means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vlmkit.api.contract import type_name
from vlmkit.api.dataset import DatasetSpec
from vlmkit.errors import DataError
from vlmkit.evaluation.registry import AnnotationSource, Split
from vlmkit.files import expand_path, file_sha256, is_file, is_folder
from vlmkit.guard import component_error, guarded
from vlmkit.spec.evaluation import AnnotationFile, BenchmarkUse
from vlmkit.spec.loading import read_component

__all__ = ["Annotations", "QuestionDataset", "locate"]


@runtime_checkable
class QuestionDataset(Protocol):
    """The spec of a dataset from which a benchmark can take its questions."""

    def prepare(self) -> Path:
        """Make what is missing of the files below."""

    def annotations(self) -> Path:
        """A JSON list of `{id, video, question, answer, type}`."""

    def video_root(self) -> Path:
        """The folder of the video files."""


@dataclass(frozen=True)
class Annotations:
    """Annotation files and the folder of their videos."""

    files: tuple[Path, ...]
    video_root: Path
    registered: bool
    """Whether these are the registry's own: files with the checksums it states, or the dataset with its options."""
    source: Mapping[str, Any]
    """For the result: files with checksums, or the dataset's options."""
    dataset: DatasetSpec | None = None
    """Where it is a dataset that provides them."""


def locate(use: BenchmarkUse, split_name: str, split: Split) -> Annotations:
    """The annotation files of one split. A DataError, with what to set, where something is missing or has changed."""
    where = f"{use.name}, split {split_name}"
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
    if use.annotations is not None:
        if use.annotation_root is not None:
            raise DataError(f"{where}: set either `annotation_root` or `annotations`, not both")
        written = [file.path for file in use.annotations]
        files = tuple(_check_own(file) for file in use.annotations)
    else:
        files = _registered(use, split, where)
        written = [str(Path(use.annotation_root or "") / file.name) for file in split.files]
    # As the spec says them: a result should not tell, nor depend on, whose home folder `~` is.
    source = {"files": [{"path": p, "sha256": file_sha256(file)} for p, file in zip(written, files, strict=True)]}
    return Annotations(files, _video_root(use, where), use.annotations is None, source)


def _registered(use: BenchmarkUse, split: Split, where: str) -> tuple[Path, ...]:
    names = ", ".join(file.name for file in split.files)
    if use.annotation_root is None:
        sources = "; ".join(file.source for file in split.files)
        raise DataError(f"{where}: set `annotation_root` to the folder that holds {names} (from {sources}), or list "
                        "other files under `annotations`")  # fmt: skip
    root = expand_path(use.annotation_root)
    return tuple(_check_registered(root / file.name, file, where) for file in split.files)


def _check_registered(path: Path, expected: AnnotationSource, where: str) -> Path:
    if not is_file(path):
        raise DataError(f"{where}: there is no annotation file {path}; get it from {expected.source}, or correct "
                        "`annotation_root`")  # fmt: skip
    if (found := file_sha256(path)) != expected.sha256:
        raise DataError(
            f"{where}: {path} is not the registered annotation file: expected sha256 {expected.sha256}, found {found}; "
            f"get it again from {expected.source}, or, to use this one on purpose, list it under `annotations`"
        )
    return path


def _check_own(file: AnnotationFile) -> Path:
    path = expand_path(file.path)
    if not is_file(path):
        raise DataError(f"there is no annotation file {path}; correct the path under `annotations`")
    if file.sha256 is not None and (found := file_sha256(path)) != file.sha256:
        raise DataError(f"{path}: expected sha256 {file.sha256} as the spec says, found {found}; restore the file, or "
                        "correct the checksum under `annotations`")  # fmt: skip
    return path


def _video_root(use: BenchmarkUse, where: str) -> Path:
    if use.video_root is None:
        raise DataError(f"{where}: set `video_root` to the folder of the video files")
    root = expand_path(use.video_root)
    if not is_folder(root):
        raise DataError(f"{where}: there is no folder of videos {root} (seen from {Path.cwd()}); correct `video_root`")
    return root


def _from_dataset(use: BenchmarkUse, own: Mapping[str, Any], where: str) -> Annotations:
    options = {**own, **(use.dataset or {})}
    spec = read_component("dataset", options, f"{where}, `dataset`")
    if not isinstance(spec, QuestionDataset):
        raise DataError(f"{where}: a benchmark cannot take its questions from dataset {spec.type!r}: it has no "
                        "prepare(), annotations() and video_root()")  # fmt: skip
    with guarded(spec, "prepare()"):
        spec.prepare()
    source = {"dataset": spec.model_dump(mode="json")}
    files, root = _path(spec, "annotations"), _path(spec, "video_root")
    assert isinstance(spec, DatasetSpec)
    return Annotations((files,), root, not use.dataset, source, spec)


def _path(spec: QuestionDataset, member: str) -> Path:
    with guarded(spec, f"{member}()"):
        path = getattr(spec, member)()
    if not isinstance(path, Path):
        raise component_error(spec, f"{member}() gives {type_name(path)}, expected a pathlib.Path")
    return path
