"""Results for others: every-eval-ever's record, and the Hub's `.eval_results`.

Sources: the schema 0.3.0 of evaleval/every_eval_ever (eval.schema.json), and https://huggingface.co/docs/hub/eval-results.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmkit._version import __version__
from vlmkit.benchmarks.entries import Benchmark, find_benchmark
from vlmkit.errors import RunError, did_you_mean
from vlmkit.evaluation.records import BenchmarkResult, Metric, read_result
from vlmkit.evaluation.rescoring import rules_of
from vlmkit.evaluation.scores import is_error
from vlmkit.spec.yaml import write as write_yaml

__all__ = ["ExportedModel", "HubBenchmark", "every_eval_ever", "hub_results", "read_results"]

_SCHEMA = "0.3.0"
_ADDRESS = re.compile(r"https?://[^\s,]+")
_INTERVAL = "Wilson's interval with the effective sample size of clustered answers"


@dataclass(frozen=True)
class ExportedModel:
    """Whose results these are, and who says so."""

    id: str
    """As on the Hub: organization/name."""
    organization: str
    """Who made the evaluation."""
    relationship: str = "other"
    """Of the organization to the model: `first_party`, `third_party`, `collaborative` or `other`."""


@dataclass(frozen=True)
class HubBenchmark:
    """Where the Hub keeps the leaderboard of a benchmark."""

    dataset: str
    """Id of the dataset repository."""
    task: str
    """Id of the task in the dataset's eval.yaml."""
    source: str = ""
    """Address where the answers or the paper can be seen."""


def read_results(run: Path) -> dict[str, BenchmarkResult]:
    """Return the results of a run by name, without those of other frameworks. A RunError where there is none."""
    files = sorted((run / "eval").glob("*/result.json"))
    if not files:
        raise RunError(f"{run}: expected a run with results, found no eval/*/result.json; run `vlmkit eval` first")
    results = {file.parent.name: read_result(file) for file in files}
    if all(result.harness for result in results.values()):
        raise RunError(
            f"{run}: all of its results are those of other frameworks ({', '.join(results)}); export them there"
        )
    return {name: result for name, result in results.items() if not result.harness}


def every_eval_ever(results: Mapping[str, BenchmarkResult], model: ExportedModel) -> dict[str, Any]:
    """Return one record with all metrics of all results, each with its interval."""
    said = json.dumps({name: result.data() for name, result in results.items()}, sort_keys=True, default=dict)
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return {
        "schema_version": _SCHEMA,
        "evaluation_id": f"vlmkit/{model.id}/{digest}",
        "retrieved_timestamp": str(int(time.time())),
        "source_metadata": {
            "source_name": "vlmkit",
            "source_type": "evaluation_run",
            "source_organization_name": model.organization,
            "evaluator_relationship": model.relationship,
        },
        "model_info": {
            "name": model.id.rpartition("/")[2],
            "id": model.id,
            "additional_details": {"deployment_type": "self_deployed", "model_availability": "unknown"},
        },
        "eval_library": {"name": "vlmkit", "version": __version__},
        "evaluation_results": [one for name, result in results.items() for one in _evaluations(name, result)],
    }


def _evaluations(name: str, result: BenchmarkResult) -> Iterator[dict[str, Any]]:
    benchmark, ranges = find_benchmark(result.benchmark), rules_of(result).ranges()
    longest = result.decoding and result.decoding.max_new_tokens
    for metric, found in result.metrics.items():
        lowest, highest = ranges[metric]
        yield {
            "evaluation_result_id": f"{name}/{metric}",
            "evaluation_name": f"{result.benchmark}.{result.split}",
            "source_data": _source(benchmark, result),
            "metric_config": {
                "metric_id": "accuracy" if metric == "accuracy" else f"vlmkit.{metric}",
                "metric_name": metric,
                "lower_is_better": is_error(metric),
                "score_type": "continuous",
                "min_score": lowest,
                "max_score": highest,
            },
            "score_details": _details(result, found),
            **(
                {"generation_config": {"generation_args": {"temperature": 0.0, "max_tokens": longest}}}
                if longest
                else {}
            ),
        }


def _source(benchmark: Benchmark, result: BenchmarkResult) -> dict[str, Any]:
    addresses = dict.fromkeys(
        address for file in benchmark.splits[result.split].files for address in _ADDRESS.findall(file.source)
    )
    place = {"source_type": "url", "url": list(addresses)} if addresses else {"source_type": "other"}
    details = {"split": result.split, "entry_version": result.version}
    return {"dataset_name": benchmark.name, **place, "additional_details": details}


def _details(result: BenchmarkResult, found: Metric) -> dict[str, Any]:
    counts = {name: str(getattr(result, name)) for name in ("skipped", "unscored", "unreadable", "dropped", "drawn")}
    low, high = found.ci95
    return {
        "score": found.value,
        "details": {"protocol": result.protocol, "judge": str(result.judge or "none"), **counts},
        "uncertainty": {
            "confidence_interval": {"lower": low, "upper": high, "confidence_level": 0.95, "method": _INTERVAL},
            "num_samples": result.n,
        },
    }


def hub_results(results: Mapping[str, BenchmarkResult], benchmark: str, place: HubBenchmark) -> str:
    """Return the YAML of one result, of its main metric, for a file `.eval_results/NAME.yaml` of a model repository.

    A RunError where the run has no such result.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    if benchmark not in results:
        known = f"{did_you_mean(benchmark, results)}there are: {', '.join(results)}"
        raise RunError(f"expected the name of a result of this run, found {benchmark!r}; {known}")
    result = results[benchmark]
    metric, found = next(iter(result.metrics.items()))
    low, high = found.ci95
    said = [f"{metric} with 95% interval [{low:.4f}, {high:.4f}] of {result.n} questions", f"split {result.split}"]
    said += [f"protocol {result.protocol}"] if result.protocol else []
    said += [f"judge {result.judge}"] if result.judge else []
    entry = EvalResultEntry(
        dataset_id=place.dataset,
        task_id=place.task,
        value=round(found.value, 6),
        source_url=place.source or None,
        notes=f"vlmkit {__version__}: {', '.join(said)}",
    )
    return write_yaml(eval_result_entries_to_yaml([entry]))
