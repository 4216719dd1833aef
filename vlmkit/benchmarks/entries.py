"""The benchmark registry: entries `NAME/benchmark.yaml`, validated and found by name, and their video files.

Entries lie in vlmkit's own folder, in those of plugins, in those that the environment variable VLMKIT_BENCHMARKS_PATH
lists (separated as in PATH), and in further ones that a spec or a command names.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict

from vlmkit.benchmarks.annotation_options import AnnotationOptions, annotation_options
from vlmkit.benchmarks.pins import pinned
from vlmkit.benchmarks.protocols import Protocol, read_protocols
from vlmkit.errors import DataError, did_you_mean, shortened
from vlmkit.files import expand_path, is_file, is_folder, shipped_folder
from vlmkit.registry import registry
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.yaml import read as read_yaml

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

__all__ = [
    "AnnotationSource", "Benchmark", "PublishedModel", "PublishedResults", "Split", "benchmark_folders",
    "find_benchmark", "find_videos", "read_benchmark", "registry_faults",
]  # fmt: skip


_VARIABLE = "VLMKIT_BENCHMARKS_PATH"


class _Entry(BaseModel):
    """A part of benchmark.yaml. `benchmarks_registry/schema.json` says what each field means."""

    model_config = ConfigDict(frozen=True)


class AnnotationSource(_Entry):
    """One annotation file of a split."""

    name: str
    sha256: str | None = None
    """None where nobody who wrote the entry could have it; a pin adds it, see `vlmkit.benchmarks.pins`."""
    source: str
    """Where to get it."""
    second_hand: str | None = None
    """Why it is a copy, where it is not the authors' own file."""


class Split(_Entry):
    """The questions of one split: annotation files, or a dataset component that provides them."""

    questions: int | None = None
    """How many the annotation files hold."""
    videos: int | None = None
    """How many they are about."""
    files: tuple[AnnotationSource, ...] = ()
    annotations: dict[str, Any] | None = None
    dataset: dict[str, Any] | None = None
    """`{type: name, …}`."""


class _VideoFiles(_Entry):
    file: str
    extensions: tuple[str, ...] = ()


class PublishedModel(_Entry):
    """The scores that others report of one model."""

    model: str
    data: str
    spec: str | None = None
    """Name of the shipped spec of this system."""
    vision_parameters_m: float | None = None
    metrics: dict[str, float]


class PublishedResults(_Entry):
    """The scores that others report on a benchmark."""

    source: str
    judge: str
    split: str
    results: tuple[PublishedModel, ...]

    def label(self, model: PublishedModel) -> str:
        """Return how one of them is called, with its data where several have its name."""
        several = sum(other.model == model.model for other in self.results) > 1
        return f"{model.model} ({model.data} data)" if several else model.model


class Benchmark(_Entry):
    """One entry."""

    name: str
    folder: Path
    title: str
    paper: str
    license: str
    version: str
    default_split: str
    splits: dict[str, Split]
    annotations: dict[str, Any] | None = None
    video: _VideoFiles
    protocols: dict[str, Protocol]
    """By name, the default first."""
    cluster: Literal["video", "group"] = "video"
    break_down: tuple[str, ...] = ()
    size: str = ""
    published: PublishedResults | None = None

    def split(self, name: str | None) -> tuple[str, Split]:
        """Return a split by name, or the default one. A DataError that lists the splits where there is none of it."""
        chosen = name or self.default_split
        if chosen not in self.splits:
            known = f"{did_you_mean(chosen, self.splits)}splits: {', '.join(self.splits)}"
            raise DataError(f"{self.name}: there is no split {chosen!r}; {known}")
        return chosen, self.splits[chosen]

    def annotation_options(self, split: str) -> AnnotationOptions:
        """Return how the annotation files of a split are read."""
        where = f"{self.folder / 'benchmark.yaml'}, split {split}"
        return annotation_options(self.annotations, self.splits[split].annotations, where=where)

    def protocol(self, name: str | None) -> Protocol:
        """Return a protocol by name, or the default one. A DataError that lists them where there is none of it."""
        chosen = name or next(iter(self.protocols))
        if chosen not in self.protocols:
            known = f"{did_you_mean(chosen, self.protocols)}protocols: {', '.join(self.protocols)}"
            raise DataError(f"{self.name}: there is no protocol {chosen!r}; {known}")
        return self.protocols[chosen]


def _core() -> Path:
    return shipped_folder("benchmarks_registry")


def _further(more: Sequence[str]) -> Iterator[Path]:
    """Yield the folders that the user names. A DataError where there is none."""
    listed = [(folder, _VARIABLE) for folder in os.environ.get(_VARIABLE, "").split(os.pathsep)]
    for folder, name in [*listed, *((folder, "benchmarks_path") for folder in more)]:
        if folder:
            path = expand_path(folder)
            if not is_folder(path):
                raise DataError(
                    f"{name}: there is no folder of benchmarks {path} (seen from {Path.cwd()}); correct its path"
                )
            yield path


def _entries(more: Sequence[str]) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the folders by name, several where a plugin offers a name that is taken, and the faults of plugins."""
    gathered = registry().gather("vlmkit_benchmarks", Path)
    faults = list(gathered.faults)
    places = [_core()]
    for plugin, folder in gathered.found:
        if is_folder(folder):
            places.append(folder)
        else:
            faults.append(
                f"plugin {plugin.name!r} ({plugin.package}) offers the folder of benchmarks {folder}, but there is "
                "none; reinstall it"
            )
    found: dict[str, list[Path]] = defaultdict(list)
    for place in dict.fromkeys(path.resolve() for path in (*places, *_further(more))):
        for file in (*place.glob("benchmark.yaml"), *place.glob("*/benchmark.yaml")):
            found[file.parent.name].append(file.parent)
    return dict(sorted(found.items())), faults


def benchmark_folders(more: Sequence[str] = ()) -> dict[str, Path]:
    """Return the folder of every entry, by name, sorted: vlmkit's own, those of plugins and in `more` folders.

    Of a name that several folders offer the first one; `find_benchmark` refuses it.
    """
    return {name: folders[0] for name, folders in _entries(more)[0].items()}


def registry_faults() -> list[str]:
    """Return what is wrong with plugins whose entries are missing."""
    return _entries(())[1]


def find_benchmark(name: str, more: Sequence[str] = ()) -> Benchmark:
    """Return the entry of this name, also from `more` folders of entries, with what the user has pinned of it.

    Raises:
        DataError: there is none (with the nearest name, the list, and what is wrong with plugins that may offer it), or
            several folders offer it.
    """
    entries, faults = _entries(more)
    if name not in entries:
        known = f"{did_you_mean(name, entries)}benchmarks: {', '.join(entries)}"
        broken = "".join(f"; a plugin that may offer it is at fault: {fault}" for fault in faults)
        raise DataError(f"there is no benchmark {name!r}; {known}{broken}")
    if len(folders := entries[name]) > 1:
        places = " and ".join(map(str, folders))
        raise DataError(
            f"{len(folders)} folders offer the benchmark {name!r}: {places}; remove or rename one, or name in "
            "VLMKIT_PLUGINS the plugins that should be loaded"
        )
    return pinned(read_benchmark(entries[name][0]))


def read_benchmark(folder: Path) -> Benchmark:
    """Read and validate one entry. A DataError with all its problems, each with its dotted path."""
    file = folder / "benchmark.yaml"
    data = read_yaml(file, "a benchmark", DataError).data
    problems = list(_schema_problems(data)) or list(_entry_problems(data, folder))
    if problems:
        raise DataError("\n".join([f"{file}: this benchmark has {len(problems)} problem(s)", *problems]))
    protocols = read_protocols(data)
    benchmark = Benchmark.model_validate({**data, "name": folder.name, "folder": folder, "protocols": protocols})
    for split in benchmark.splits:
        benchmark.annotation_options(split)
    return benchmark


def _schema_problems(data: object) -> Iterable[str]:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    schema = json.loads((_core() / "schema.json").read_text(encoding="utf-8"))
    errors = Draft202012Validator(schema).iter_errors(data)
    for error in sorted(errors, key=lambda error: list(map(str, error.absolute_path))):
        exact = best_match([error])  # of alternatives the one that was meant
        yield f"  {'.'.join(map(str, exact.absolute_path)) or 'the whole file'}: {exact.message}{_advice(exact)}"


def _advice(error: ValidationError) -> str:
    """Say what was meant by a field that there is not, or by a component's name where a mapping is expected."""
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    instance, known = cast(Any, error.instance), schema.get("properties", {})
    if error.validator == "additionalProperties":
        near = [did_you_mean(name, known) for name in instance if name not in known]
        return "".join(f"; {text.rstrip()}" for text in near if text)
    if error.validator == "type" and isinstance(instance, str) and "type" in known:
        return f"; write {{type: {shortened(instance)}}}"
    keys = [key for form in schema.get("anyOf", ()) for key in form.get("required", ())]
    return f"; as a mapping it has {' or '.join(keys)}" if keys and isinstance(instance, Mapping) else ""


def _entry_problems(data: Mapping[str, Any], folder: Path) -> Iterable[str]:
    """Yield what a schema cannot say."""
    if not (folder / "README.md").is_file():
        yield "  README.md: there is none beside it; write one with paper and citation"
    if data["default_split"] not in data["splits"]:
        yield f"  default_split: {data['default_split']!r} is none of the splits {', '.join(data['splits'])}"
    for name, split in data["splits"].items():
        if ("files" in split) == ("dataset" in split):
            yield f"  splits.{name}: expected either `files` or `dataset`"
    if "{ext}" in data["video"]["file"] and "extensions" not in data["video"]:
        yield "  video.extensions: the template has {ext}, so list the extensions to try"


def find_videos(
    use: BenchmarkUse, benchmark: Benchmark, root: Path, names: Iterable[str]
) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the file of each video in a folder and, of videos without one, why. A DataError where none has a file."""
    template = use.video_file or benchmark.video.file
    if use.extensions and "{ext}" not in template:
        raise DataError(
            f"{use.name}: `extensions` would do nothing: the template {template!r} of `video_file` has no {{ext}}; add "
            "it there, or remove `extensions`"
        )
    extensions = (use.extensions or benchmark.video.extensions) if "{ext}" in template else [""]
    tried = dict.fromkeys(spelled for extension in extensions for spelled in (extension, extension.upper()))
    found, missing = {}, {}
    for name in dict.fromkeys(names):
        files = (root / _filled(template, name, extension) for extension in tried)
        file = next(filter(is_file, files), None)
        if file is not None:
            found[name] = file
        else:
            absent = " or ".join(_filled(template, name, extension) for extension in extensions)
            missing[name] = f"no file {absent} in {root}"
    if not found:
        raise DataError(
            f"{use.name}: none of its {len(missing)} videos was found; the first: {next(iter(missing.values()))}. "
            "Set `video_root` to the folder of the videos, `video_file` and `extensions` to how they are called there"
        )
    return found, missing


def _filled(template: str, video: str, extension: str) -> str:
    """Fill both in at once: what looks like a placeholder in the name of a video is none."""
    values = {"{video}": video, "{ext}": extension}
    return re.sub(r"\{video\}|\{ext\}", lambda placeholder: values[placeholder[0]], template)
