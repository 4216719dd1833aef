"""Protocols: how the questions of a benchmark are put and scored, as its entry says, and the rules built from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from vlmkit.api.document import Document
from vlmkit.api.evaluator import Evaluator, EvaluatorSpec, Prompt
from vlmkit.api.judge_prompt import JudgePrompt
from vlmkit.benchmarks.judge_prompts import DEFAULT_PROMPT, find_judge_prompt
from vlmkit.errors import DataError, did_you_mean
from vlmkit.spec.identity import Origins, origins
from vlmkit.spec.loading import read_component

__all__ = [
    "Aggregate",
    "Generation",
    "Protocol",
    "Rules",
    "TaskRules",
    "build_rules",
    "check_prompts",
    "read_protocols",
    "without_video",
]

DEFAULT = "authors"
_MERGED = ("evaluator", "generation")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Generation(_Part):
    """How answers are generated: greedily."""

    max_new_tokens: int
    greedy: bool = True


class Aggregate(_Part):
    """How the values of questions become a score."""

    over: str | None = None
    """Mean of the means by `task`, `type` or a tag; None: mean over questions."""
    all_right: bool = False
    """A group of questions counts as one, which has the least of their values."""


class Task(_Part):
    """The differences for the questions of one task."""

    evaluator: dict[str, Any]
    generation: Generation
    judge_prompt: str | None = None


class Protocol(Task):
    """How a benchmark is put and scored. `benchmarks_registry/schema.json` says what each field means."""

    name: str
    version: str
    source: str = ""
    metrics: tuple[str, ...]
    frames: dict[str, Any] | None = None
    aggregate: Aggregate = Aggregate()
    judge: dict[str, Any] | None = None
    tasks: dict[str, Task] = {}

    @property
    def label(self) -> str:
        """Name and version, e.g. `authors@1`."""
        return f"{self.name}@{self.version}"


def read_protocols(entry: Mapping[str, Any]) -> dict[str, Protocol]:
    """Return the protocols of an entry (validated by the schema), each with what it inherits, the default first."""
    names = (set(Protocol.model_fields) - {"name", "version", "source"}) & entry.keys()
    base = {"version": entry["version"], **{name: entry[name] for name in names}}
    return {name: _read(name, base, said) for name, said in entry.get("protocols", {DEFAULT: {}}).items()}


def _read(name: str, base: Mapping[str, Any], said: Mapping[str, Any]) -> Protocol:
    whole = {**base, **said, **{key: _merged(base[key], said.get(key, {})) for key in _MERGED}}
    tasks = {
        task: {
            **{key: _merged(whole[key], own.get(key, {})) for key in _MERGED},
            "judge_prompt": own.get("judge_prompt", whole.get("judge_prompt")),
        }
        for task, own in whole.get("tasks", {}).items()
    }
    return Protocol.model_validate({**whole, "name": name, "tasks": tasks})


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `over` on top of `base`, whose options go where `over` is a component of another type."""
    return dict(over) if over.get("type", base.get("type")) != base.get("type") else {**base, **over}


class TaskRules(NamedTuple):
    """How the questions of one task are put, read and scored."""

    evaluator: Evaluator
    max_new_tokens: int
    judge_prompt: JudgePrompt | None
    """None where no answer is left to a judge."""


class Rules(NamedTuple):
    """A protocol with its components built."""

    protocol: Protocol
    base: TaskRules
    tasks: Mapping[str, TaskRules]
    origins: Origins
    """Of the evaluators, with what they hold."""

    def of(self, document: Document) -> TaskRules:
        """Return the rules for one question."""
        return self.tasks.get(document.task, self.base)

    @property
    def judged(self) -> bool:
        """True where an answer can be left to a judge."""
        return any(task.evaluator.judged for task in (self.base, *self.tasks.values()))

    @property
    def prompts(self) -> list[str]:
        """Name and version of each prompt that judges are given."""
        found = (task.judge_prompt for task in (self.base, *self.tasks.values()))
        return sorted({f"{prompt.name}@{prompt.version}" for prompt in found if prompt})

    def prompt(self, document: Document) -> Prompt:
        """Return how one question is put."""
        prompt = self.of(document).evaluator.prompt(document)
        assert isinstance(prompt, Prompt)  # as the contract makes it
        return prompt

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the lowest and highest value of each metric of the protocol."""
        ranges = self.base.evaluator.metrics()
        return {name: ranges[name] for name in self.protocol.metrics}


def build_rules(protocol: Protocol, entry: Path) -> Rules:
    """Build the evaluators of a protocol; `entry` is the folder of its benchmark.

    A UserError where an evaluator or a judge prompt is unknown or malformed, or an evaluator lacks one of the metrics.
    """
    specs: list[EvaluatorSpec] = []

    def build(task: Task, place: str) -> TaskRules:
        spec = read_component("evaluator", task.evaluator, f"{entry}, {place}`evaluator`")
        assert isinstance(spec, EvaluatorSpec)
        specs.append(spec)
        evaluator = spec.build()
        known = evaluator.metrics()
        if unknown := [metric for metric in protocol.metrics if metric not in known]:
            raise DataError(
                f"{entry}: evaluator {spec.type!r} has no metric {unknown[0]!r}; "
                f"{did_you_mean(unknown[0], known)}it has: {', '.join(known)}"
            )
        prompt = find_judge_prompt(task.judge_prompt or DEFAULT_PROMPT, entry) if evaluator.judged else None
        return TaskRules(evaluator, task.generation.max_new_tokens, prompt)

    base = build(protocol, f"protocol {protocol.name}, ")
    tasks = {name: build(task, f"protocol {protocol.name}, task {name}, ") for name, task in protocol.tasks.items()}
    return Rules(protocol, base, tasks, origins(*specs))


def without_video(prompt: Prompt) -> Prompt:
    """Return the same prompt without its video."""
    return replace(prompt, user=prompt.user.replace("<video>\n", "").replace("<video>", ""))


def check_prompts(name: str, rules: Rules, documents: Sequence[Document], files: str) -> None:
    """Build every prompt. A DataError where one cannot be built, or has `<video>` other than once."""
    for document in documents:
        if (count := rules.prompt(document).user.count("<video>")) != 1:
            raise DataError(
                f"{name}: expected <video> once in a prompt, found it {count} times in that of question "
                f"{document.id!r} of {files}: {document.question!r}; change the question there, or the evaluator's "
                "prompt"
            )
