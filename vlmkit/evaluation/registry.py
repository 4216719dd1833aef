"""The benchmark registry: entries `NAME/benchmark.yaml`, validated, found by name."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.errors import DataError, did_you_mean
from vlmkit.files import is_folder, shipped_folder
from vlmkit.registry import registry
from vlmkit.spec.yaml import read as read_yaml

__all__ = ["AnnotationSource", "Benchmark", "Split", "benchmarks", "find_benchmark", "read_benchmark"]


@dataclass(frozen=True)
class AnnotationSource:
    """One annotation file of a split."""

    name: str
    sha256: str
    source: str
    """Where to get it."""


@dataclass(frozen=True)
class Split:
    """The questions of one split: annotation files, or a dataset component that provides them."""

    questions: int | None
    """How many the annotation files hold."""
    files: tuple[AnnotationSource, ...]
    dataset: Mapping[str, Any] | None
    """`{type: name, …}`."""


@dataclass(frozen=True)
class Benchmark:
    """One entry. `benchmarks_registry/schema.json` says what each field means."""

    name: str
    folder: Path
    title: str
    paper: str
    licence: str
    version: str
    default_split: str
    splits: Mapping[str, Split]
    video_file: str
    extensions: tuple[str, ...]
    max_new_tokens: int
    evaluator: Mapping[str, Any]
    metrics: tuple[str, ...]
    judge_prompt: str | None
    published: Mapping[str, Any] | None

    def split(self, name: str | None) -> tuple[str, Split]:
        """A split by name, or the default one. A DataError that lists the splits where there is none of this name."""
        chosen = name or self.default_split
        if chosen not in self.splits:
            known = f"{did_you_mean(chosen, self.splits)}splits: {', '.join(self.splits)}"
            raise DataError(f"{self.name}: there is no split {chosen!r}; {known}")
        return chosen, self.splits[chosen]


def _core() -> Path:
    return shipped_folder("benchmarks_registry")


class _Entries(NamedTuple):
    folders: dict[str, list[Path]]
    """By name; several where a plugin offers a name that is taken."""
    faults: list[str]
    """What is wrong with plugins that should offer more."""


def _entries() -> _Entries:
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
    for place in places:
        for file in place.glob("*/benchmark.yaml"):
            found[file.parent.name].append(file.parent)
    return _Entries(dict(sorted(found.items())), faults)


def benchmarks() -> dict[str, Path]:
    """The folder of every entry, by name, sorted: vlmkit's own and those of plugins.

    Of a name that several folders offer the first one; `find_benchmark` refuses it.
    """
    return {name: folders[0] for name, folders in _entries().folders.items()}


def find_benchmark(name: str) -> Benchmark:
    """The entry of this name.

    Raises:
        DataError: there is none (with the nearest name, the list, and what is wrong with plugins that may offer it), or
            several folders offer it.
    """
    entries, faults = _entries()
    if name not in entries:
        known = f"{did_you_mean(name, entries)}benchmarks: {', '.join(entries)}"
        broken = "".join(f"; a plugin that may offer it is at fault: {fault}" for fault in faults)
        raise DataError(f"there is no benchmark {name!r}; {known}{broken}")
    if len(folders := entries[name]) > 1:
        places = " and ".join(map(str, folders))
        raise DataError(
            f"{len(folders)} folders offer the benchmark {name!r}: {places}; remove one, or name in VLMKIT_PLUGINS the "
            "plugins that should be loaded"
        )
    return read_benchmark(entries[name][0])


def read_benchmark(folder: Path) -> Benchmark:
    """Read and validate one entry. A DataError with all its problems, each with its dotted path."""
    file = folder / "benchmark.yaml"
    data = read_yaml(file, "a benchmark", DataError).data
    problems = list(_schema_problems(data)) or list(_entry_problems(data, folder))
    if problems:
        raise DataError("\n".join([f"{file}: this benchmark has {len(problems)} problem(s)", *problems]))
    splits = {name: _split(split) for name, split in data["splits"].items()}
    return Benchmark(
        name=folder.name,
        folder=folder,
        title=data["title"],
        paper=data["paper"],
        licence=data["licence"],
        version=data["version"],
        default_split=data["default_split"],
        splits=splits,
        video_file=data["video"]["file"],
        extensions=tuple(data["video"].get("extensions", ())),
        max_new_tokens=data["generation"]["max_new_tokens"],
        evaluator=data["evaluator"],
        metrics=tuple(data["metrics"]),
        judge_prompt=data.get("judge_prompt"),
        published=data.get("published"),
    )


def _schema_problems(data: object) -> Iterable[str]:
    from jsonschema import Draft202012Validator

    schema = json.loads((_core() / "schema.json").read_text(encoding="utf-8"))
    errors = sorted(
        Draft202012Validator(schema).iter_errors(data), key=lambda error: list(map(str, error.absolute_path))
    )
    for error in errors:
        yield f"  {'.'.join(map(str, error.absolute_path)) or 'the whole file'}: {error.message}"


def _entry_problems(data: Mapping[str, Any], folder: Path) -> Iterable[str]:
    """What a schema cannot say."""
    if not (folder / "README.md").is_file():
        yield "  README.md: there is none beside it; write one with paper and citation"
    if data["default_split"] not in data["splits"]:
        yield f"  default_split: {data['default_split']!r} is none of the splits {', '.join(data['splits'])}"
    for name, split in data["splits"].items():
        if ("files" in split) == ("dataset" in split):
            yield f"  splits.{name}: expected either `files` or `dataset`"
    if "{ext}" in data["video"]["file"] and "extensions" not in data["video"]:
        yield "  video.extensions: the template has {ext}, so list the extensions to try"


def _split(data: Mapping[str, Any]) -> Split:
    files = tuple(AnnotationSource(**file) for file in data.get("files", ()))
    return Split(data.get("questions"), files, data.get("dataset"))
