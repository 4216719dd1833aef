"""The part of the spec that says on what a model is measured."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic_core import CoreSchema

from vlmkit.api.bounds import Batch, Count, Fraction, Length, Name, Processes, Sha256
from vlmkit.api.harness import HarnessSpec
from vlmkit.api.judge import JudgeSpec
from vlmkit.api.spec import Slot, Spec

Control = Literal["other-video", "no-video", "shuffled-frames", "reversed-frames", "single-frame", "permuted-options"]

__all__ = ["AnnotationFile", "BenchmarkUse", "Control", "EvaluationSpec"]

_OF_ALL = ("name", "label", "limit")
"""Options that benchmarks of other frameworks have too."""


class AnnotationFile(Spec):
    """One annotation file."""

    path: str
    """Where it lies; relative paths start at the current folder, `~` is the home folder."""
    sha256: Sha256 | None = None
    """Its checksum; None: not checked, which the result says."""


class BenchmarkUse(Spec):
    """One benchmark of the registry, and where its files lie on this machine; or one of another framework."""

    name: str
    """Name of the registry entry. `lm-eval:hellaswag` is the benchmark `hellaswag` of the harness `lm-eval`, whose
    options stand beside it."""
    label: Name | None = None
    """Name of the result; None: the entry's name. Needed where one benchmark is used twice, e.g. for two splits."""
    split: str | None = None
    """Split; None: the entry's default."""
    protocol: str | None = None
    """How it is put and scored; None: the entry's default."""
    judge: Slot[JudgeSpec] | None = None
    """Another judge than that of the other benchmarks."""
    annotation_root: str | None = None
    """Folder of the entry's annotation files; their checksums are verified."""
    annotations: Annotated[list[AnnotationFile], Field(max_length=1000)] | None = None
    """Other annotation files in place of the entry's own, in a layout that its evaluator reads."""
    dataset: dict[str, Any] | None = None
    """Options of the dataset that the entry takes its questions from, on top of the entry's own (seed, size, …)."""
    video_root: str | None = None
    """Folder of the video files."""
    video_file: str | None = None
    """File name of a video, as a template: `msvd_{video}{ext}`; None: the entry's."""
    extensions: Annotated[list[str], Field(max_length=100)] | None = None
    """Extensions tried in order for `{ext}`, each also in capitals; None: the entry's."""
    limit: Count | None = None
    """Only the first so many questions; the result says so."""
    harness: Slot[HarnessSpec] | None = None
    """The other framework that measures, with its options; `name: lm-eval:hellaswag` is short for it."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        of_harness = {"type": "object", "properties": {"name": {"pattern": ":"}}, "required": ["name"]}
        return {"anyOf": [{"type": "string"}, super().__get_pydantic_json_schema__(core, handler), of_harness]}

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        use = {"name": value} if isinstance(value, str) else value
        if not isinstance(use, Mapping) or not isinstance(name := use.get("name"), str):
            return use
        harness, colon, task = name.partition(":")
        if not colon or use.get("harness") is not None:
            return use
        own = {key: option for key, option in use.items() if key in _OF_ALL}
        more = {key: option for key, option in use.items() if key not in _OF_ALL and option is not None}
        label = re.sub(r"[^a-z0-9._-]+", "-", name.lower())
        return {"label": label, **own, "harness": {**more, "type": harness, "task": task}}

    @model_validator(mode="after")
    def _of_one_kind(self) -> BenchmarkUse:
        others = [key for key in type(self).model_fields if key not in (*_OF_ALL, "harness")]
        if self.harness and (given := [key for key in others if getattr(self, key) is not None]):
            raise ValueError(f"{given[0]} is for benchmarks of the registry; options of a harness stand in `harness`")
        return self

    @field_validator("video_file")
    @classmethod
    def _names_the_video(cls, template: str | None) -> str | None:
        if template is not None and "{video}" not in template:
            example = "msvd_{video}{ext}"
            raise ValueError(f"expected a template with {{video}} in it, e.g. {example}; found {template!r}")
        return template

    @property
    def result_name(self) -> str:
        """Name of the result and of its folder in the run."""
        return self.label or self.name


class EvaluationSpec(Spec):
    """On what a model is measured, and by whom it is judged."""

    benchmarks: Annotated[list[BenchmarkUse], Field(min_length=1, max_length=200)]
    """Names of registry entries, or mappings with their options."""
    benchmarks_path: list[str] = Field(default_factory=list, max_length=100)
    """Further folders of entries (`FOLDER/NAME/benchmark.yaml`), beside those of vlmkit, of plugins and of the
    environment variable VLMKIT_BENCHMARKS_PATH; relative paths start at the current folder."""
    judge: Slot[JudgeSpec] | None = None
    """Decides whether an answer is right, where no rule does; None: the benchmark's own, or else `exact`."""
    max_unscored_fraction: Fraction = 0.02
    """The command fails, once all is written, where a judge gave no verdict on more than this fraction of answers."""
    controls: Annotated[list[Control], Field(default_factory=list, max_length=6)]
    """Also ask each question with something taken away: about another clip's video, without one, with its frames
    shuffled, reversed or only one of them, with its options permuted. It tells what a score is due to."""
    batch_size: Batch = 16
    """Questions per forward pass."""
    workers: Processes | None = None
    """Processes that decode videos ahead; None: as many as there are CPUs, but at most 4, and one for 8 videos. 0:
    videos are decoded when the model is done with those before."""
    max_new_tokens: Length | None = None
    """Longest answer, tokens; None: the registry entry's."""

    @model_validator(mode="after")
    def _labels_differ(self) -> EvaluationSpec:
        names = [use.result_name for use in self.benchmarks]
        name, count = Counter(names).most_common(1)[0]
        if count > 1:
            raise ValueError(f"{count} benchmarks have the name {name!r}: give each a `label` of its own")
        if repeated := [control for control, count in Counter(self.controls).items() if count > 1]:
            raise ValueError(f"the control {repeated[0]!r} stands there twice: name each once")
        return self
