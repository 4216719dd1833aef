"""Text tasks of lm-eval, and groups of them, as benchmarks of a vlmkit run."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import cached_property, lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import lm_eval.tasks
import numpy as np
import torch
from lm_eval.api.group import Group
from lm_eval.api.metrics import mean
from lm_eval.api.task import Task
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.evaluator import evaluate
from lm_eval.tasks._index import Kind

from vlmkit.api import (
    DataError,
    Harness,
    HarnessPart,
    HarnessResult,
    HarnessScore,
    HarnessTask,
    did_you_mean,
    expand_path,
    first_line,
    is_folder,
)
from vlmkit_lm_eval.benchmark_task import BenchmarkTask
from vlmkit_lm_eval.harness_model import HarnessModel

if TYPE_CHECKING:
    from vlmkit_lm_eval.spec import LmEvalSpec

__all__ = ["TextTasks"]

_DRAWS = 200
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_LEFT_OUT = ("arguments", "doc_hash", "prompt_hash", "target_hash")
"""Of the samples: the prompts of few-shot tasks are many times as long as all the rest."""


class TextTasks(Harness):
    """One task, or a group, with the values that `vlmkit lm-eval run` gives for the same model."""

    def __init__(self, options: LmEvalSpec) -> None:
        """Only remember the options."""
        self.version = f"lm_eval {version('lm_eval')}"
        self._options = options
        self._name = f"lm-eval:{options.task}"

    def prepare(self, limit: int | None) -> HarnessTask:
        """Load task and data set and put all questions, without the chat template, which belongs to the model."""
        digest = hashlib.sha256()
        shots = {}
        for name, task in self._loaded["tasks"].items():
            self._check(name, task)
            with self._telling("lm-eval cannot put its questions"), redirect_stderr(io.StringIO()):  # a progress bar
                task.build_all_requests(limit=limit, fewshot_as_multiturn=True)
            asked = [[request.request_type, request.args] for request in task.instances]
            task._instances = None  # they are built again, and a training may lie in between
            said = [name, str(task.VERSION), task.dump_config(), asked]
            digest.update(_ADDRESS.sub("", json.dumps(said, default=str, sort_keys=True)).encode())
            shots[name] = task.get_config("num_fewshot")
        options = self._options
        same = len(set(shots.values())) == 1
        return HarnessTask(
            version=self._version,
            split=", ".join(sorted({_split(task) for task in self._loaded["tasks"].values()})),
            asked=digest.hexdigest(),
            settings={
                "num_fewshot": next(iter(shots.values())) if same else shots,
                "apply_chat_template": options.apply_chat_template,
            },
        )

    def measure(self, model: Any, processor: Any, batch_size: int, limit: int | None) -> HarnessResult:
        """Return what lm-eval computes, with an interval for each metric."""
        random.seed(DEFAULT_RANDOM_SEED)  # as lm-eval's own command line does
        np.random.seed(DEFAULT_OTHER_SEED)
        torch.manual_seed(DEFAULT_OTHER_SEED)
        for task in self._loaded["tasks"].values():
            task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
        with _quiet():
            found = evaluate(
                HarnessModel.of(model, processor, batch_size),
                self._loaded,
                limit=limit,
                bootstrap_iters=0,
                apply_chat_template=self._options.apply_chat_template,
                fewshot_as_multiturn=True,
            )
        assert found is not None  # there is one process
        tasks: dict[str, Task] = self._loaded["tasks"]
        parts = {name: self._part(task, found["results"][name], found["samples"][name]) for name, task in tasks.items()}
        samples = [_row(name, row) for name in tasks for row in found["samples"][name]]
        group: Group | None = self._loaded["groups"].get(self._options.task)
        if group is None:
            [part] = parts.values()
            return HarnessResult(part.documents, part.metrics, samples=samples)
        metrics = self._of_group(group, found["results"][group.name], parts)
        return HarnessResult(sum(part.documents for part in parts.values()), metrics, parts, samples)

    @cached_property
    def _loaded(self) -> dict[str, Any]:
        """`tasks` and `groups`, by name."""
        options, include = self._options, None
        if options.include_path is not None and not is_folder(include := expand_path(options.include_path)):
            raise DataError(f"{self._name}: include_path: there is no folder {include}; correct its path")
        with _quiet():
            manager = _own_tasks() if include is None else lm_eval.tasks.TaskManager(include_path=str(include))
            entry = manager.task_index.get(options.task)
            if entry is None:
                hint = did_you_mean(options.task, manager.all_tasks)
                raise DataError(
                    f"lm-eval has no task {options.task!r}; {hint}`vlmkit lm-eval ls tasks` lists them, and the folder "
                    "of others can be given as include_path"
                )
            if entry.kind is Kind.TAG:
                names = sorted(name for name, other in manager.task_index.items() if options.task in other.tags)
                raise DataError(
                    f"{self._name}: this is a tag of {len(names)} tasks, without a score of its own; name those that "
                    f"should be measured: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
                )
            if (entry.cfg or {}).get("class") is BenchmarkTask:
                raise DataError(f"{self._name}: this is a benchmark of vlmkit's registry; name it {options.task}")
            offline = "where there is no network, its data set has to be in the cache of the Hugging Face hub"
            with self._telling("lm-eval cannot load it", f" ({offline})"):
                loaded: dict[str, Any] = dict(manager.load([options.task]))
        group = loaded["groups"].get(options.task)
        if group is not None and not group.has_aggregation:
            names = list(loaded["tasks"])
            raise DataError(
                f"{self._name}: this group has no score of its own; name its tasks: {', '.join(names[:20])}"
            )
        return loaded

    @property
    def _version(self) -> str:
        """Return the version of the group or, where it has none, those of its tasks."""
        group: Group | None = self._loaded["groups"].get(self._options.task)
        if group is not None and group.version != "N/A":
            return group.version
        return ", ".join(sorted({str(task.VERSION) for task in self._loaded["tasks"].values()}))

    def _check(self, name: str, task: Task) -> None:
        """Refuse what cannot be run, and set the number of examples and their seed as lm-eval's command line does."""
        if getattr(task, "MULTIMODAL", False):
            raise DataError(f"{self._name}: {name} shows pictures or sounds; name a task of text alone")
        if getattr(task, "UNSAFE_CODE", False):
            raise DataError(f"{self._name}: {name} runs code that the model writes, which vlmkit does not do")
        own, wanted = task.get_config("num_fewshot"), self._options.num_fewshot
        if own == 0 and wanted:
            raise DataError(
                f"{self._name}: num_fewshot: {wanted}, but the file of {name} says 0, which lm-eval leaves as it is; "
                "remove num_fewshot"
            )
        if (own != 0 and wanted is not None) or own is None:
            task.set_config(key="num_fewshot", value=wanted or 0)
        task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)

    def _part(self, task: Task, result: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> HarnessPart:
        """Return the scores of one task, its metrics by lm-eval's name, `,none` left out."""
        metrics = {}
        for key, value in _metrics(result):
            metric, _, filtered = key.rpartition(",")
            found = [row[metric] for row in samples if row["filter"] == filtered and metric in row]
            self._check_finite(key, value)
            aggregate = task.aggregation().get(metric, mean)
            if aggregate is mean:
                score = HarnessScore(float(value), [float(one) for one in found])
            else:
                score = HarnessScore(float(value), draws=_bootstrap(aggregate, found))
                self._check_finite(key, *score.draws)
            metrics[_short(key)] = score
        return HarnessPart(int(result["sample_len"]), metrics)

    def _of_group(
        self, group: Group, result: Mapping[str, Any], parts: Mapping[str, HarnessPart]
    ) -> dict[str, HarnessScore]:
        """Return the scores of a group: means of those of its tasks, weighted by their size or not."""
        by_size = {config.metric: config.weight_by_size for config in group.aggregate_metric_list or ()}
        metrics = {}
        for key, value in _metrics(result):
            name = _short(key)
            having = {task: part for task, part in parts.items() if name in part.metrics}
            scores = {task: part.metrics[name] for task, part in having.items()}
            weighted = by_size[key.rpartition(",")[0]]
            sizes = [part.documents if weighted else 1 for part in having.values()]
            of_documents = all(len(scores[task].values) == part.documents for task, part in having.items())
            if of_documents:
                values = [one for score in scores.values() for one in score.values]
                strata = [task for task, score in scores.items() for _ in score.values]
                metrics[name] = HarnessScore(float(value), values, () if weighted else strata)
            else:
                drawn = [score.draws or _bootstrap(mean, score.values) for score in scores.values()]
                draws = [float(np.average(some, weights=sizes)) for some in zip(*drawn, strict=True)]
                metrics[name] = HarnessScore(float(value), draws=draws)
        return metrics

    def _check_finite(self, key: str, *values: Any) -> None:
        for value in values:
            if not isinstance(value, int | float | np.number) or not math.isfinite(value):
                raise DataError(f"{self._name}: {key} is {value}, which is no finite number: this model has no score")

    @contextmanager
    def _telling(self, what: str, hint: str = "") -> Iterator[None]:
        """Turn what lm-eval and data sets raise into one message."""
        try:
            yield
        except Exception as error:
            raise DataError(f"{self._name}: {what}: {first_line(error)}{hint}") from error


@lru_cache
def _own_tasks() -> lm_eval.tasks.TaskManager:
    """Return lm-eval's own tasks: looking through their thousands of files takes ten seconds."""
    return lm_eval.tasks.TaskManager()


def _metrics(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values of a result by `metric,filter`."""
    for key, value in result.items():
        if "," in key and not key.rpartition(",")[0].endswith("_stderr"):
            yield key, value


def _short(key: str) -> str:
    return key.removesuffix(",none")


def _bootstrap(aggregate: Callable[[Sequence[Any]], Any], values: Sequence[Any]) -> list[float]:
    """Return the aggregate of documents that are drawn with replacement, many times, always the same ones."""
    draw = random.Random(0)  # noqa: S311 -- no secret
    return [float(aggregate(draw.choices(values, k=len(values)))) for _ in range(_DRAWS)]


def _row(task: str, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample as plain data."""
    kept = {"task": task, **{key: value for key, value in sample.items() if key not in _LEFT_OUT}}
    row: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return row


def _split(task: Task) -> str:
    name = task.get_config("test_split") if task.has_test_docs() else task.get_config("validation_split")
    return str(name or "test")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep lm-eval's warnings about its own ways from people who see a vlmkit run; errors are raised."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
