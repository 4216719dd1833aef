"""Results for others: every-eval-ever's record against its schema, the Hub's YAML against the Hub's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from jsonschema import Draft7Validator

from vlmkit.answers.exports import ExportedModel, HubBenchmark, every_eval_ever, hub_results, read_results
from vlmkit.errors import RunError
from vlmkit.evaluation.records import BenchmarkResult, Decoding, HarnessUsed, JudgeName, Metric, write_result

TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
NUMBER = {"type": "number"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info",
                 "eval_library", "evaluation_results"],
    "properties": {
        "schema_version": {"type": "string"},
        "evaluation_id": {"type": "string"},
        "retrieved_timestamp": {"type": "string", "pattern": r"^\d+$"},
        "source_metadata": {
            "required": ["source_type", "source_organization_name", "evaluator_relationship"],
            "properties": {
                "source_type": {"enum": ["documentation", "evaluation_run"]},
                "evaluator_relationship": {"enum": ["first_party", "third_party", "collaborative", "other"]},
            },
        },
        "model_info": {
            "required": ["name", "id", "additional_details"],
            "properties": {"additional_details": {**TEXTS, "required": ["deployment_type", "model_availability"]}},
        },
        "eval_library": {"required": ["name", "version"]},
        "evaluation_results": {
            "type": "array",
            "items": {
                "required": ["evaluation_name", "source_data", "metric_config", "score_details"],
                "properties": {
                    "source_data": {
                        "required": ["dataset_name", "source_type"],
                        "properties": {"additional_details": TEXTS},
                        "oneOf": [
                            {"properties": {"source_type": {"const": "other"}}},
                            {"properties": {"source_type": {"const": "url"}, "url": {"type": "array", "minItems": 1}},
                             "required": ["url"]},
                        ],
                    },
                    "metric_config": {
                        "required": ["lower_is_better", "score_type", "min_score", "max_score"],
                        "properties": {"lower_is_better": {"type": "boolean"}, "score_type": {"const": "continuous"},
                                       "min_score": NUMBER, "max_score": NUMBER},
                    },
                    "score_details": {
                        "required": ["score"],
                        "properties": {
                            "score": NUMBER,
                            "details": TEXTS,
                            "uncertainty": {
                                "properties": {
                                    "confidence_interval": {"required": ["lower", "upper"]},
                                    "num_samples": {"type": "integer"},
                                }
                            },
                        },
                    },
                    "generation_config": {
                        "properties": {
                            "generation_args": {
                                "additionalProperties": False,
                                "properties": {"temperature": NUMBER, "max_tokens": {"type": "integer", "minimum": 1}},
                            }
                        }
                    },
                },
            },
        },
    },
}  # fmt: skip
"""The parts of every-eval-ever's schema 0.3.0 (eval.schema.json, MIT) that concern what is written here."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with results of two benchmarks."""
    for name, benchmark, split, protocol, metrics in (
        ("moving", "moving-shapes", "test", "authors@1", {"accuracy": (0.75, 0.7, 0.8)}),
        ("msvd-qa", "msvd-qa", "test", "video-chatgpt@1", {"accuracy": (0.5, 0.4, 0.6), "score": (2.5, 2.0, 3.0)}),
    ):
        result = BenchmarkResult(
            benchmark=benchmark,
            version="1",
            split=split,
            protocol=protocol,
            judge=JudgeName(name="exact", version="1"),
            decoding=Decoding(greedy=True, max_new_tokens=16, batch_size=2),
            n=40,
            skipped=1,
            unscored=0,
            metrics={metric: Metric(value=value, ci95=[low, high]) for metric, (value, low, high) in metrics.items()},
            by_type={},
            spec_sha256="0" * 64,
        )
        (tmp_path / "eval" / name).mkdir(parents=True)
        write_result(tmp_path / "eval" / name / "result.json", result)
    return tmp_path


def test_a_record_of_every_eval_ever(run: Path) -> None:
    results = read_results(run)
    record = every_eval_ever(results, ExportedModel("lab/ada-7b", "lab", "first_party"))
    Draft7Validator(SCHEMA).validate(record)
    found = {one["evaluation_result_id"]: one for one in record["evaluation_results"]}
    assert list(found) == ["moving/accuracy", "msvd-qa/accuracy", "msvd-qa/score"]
    assert found["msvd-qa/score"]["score_details"]["score"] == 2.5
    assert found["msvd-qa/score"]["metric_config"]["max_score"] == 5
    assert found["msvd-qa/accuracy"]["source_data"]["url"] == ["https://github.com/fanchenyou/HME-VideoQA"]
    assert found["moving/accuracy"]["source_data"]["source_type"] == "other"
    uncertainty = found["moving/accuracy"]["score_details"]["uncertainty"]
    assert uncertainty["confidence_interval"]["lower"] == 0.7
    assert found["moving/accuracy"]["score_details"]["details"]["protocol"] == "authors@1"
    assert every_eval_ever(results, ExportedModel("lab/ada-7b", "lab"))["evaluation_id"] == record["evaluation_id"]


def test_a_result_of_a_model_on_the_hub(run: Path) -> None:
    text = hub_results(
        read_results(run), "msvd-qa", HubBenchmark("lab/msvd", "open-ended", "https://example.org/answers")
    )
    [entry] = parse_eval_result_entries(yaml.safe_load(text))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("lab/msvd", "open-ended", 0.5)
    assert entry.source_url == "https://example.org/answers"
    assert entry.notes is not None
    assert "accuracy with 95% interval [0.4000, 0.6000] of 40 questions" in entry.notes
    with pytest.raises(RunError, match="found 'msvd'; did you mean 'msvd-qa'"):
        hub_results(read_results(run), "msvd", HubBenchmark("lab/msvd", "open-ended"))


def test_results_of_other_frameworks_stay_there(run: Path, tmp_path: Path) -> None:
    text = BenchmarkResult(
        benchmark="lm-eval:hellaswag", version="1", split="validation", judge=None, n=2, skipped=0, unscored=0,
        harness=HarnessUsed(name="lm-eval", version="lm_eval 0.4.13"), metrics={}, by_type={}, spec_sha256="",
    )  # fmt: skip
    for folder in (run, tmp_path / "alone"):
        (folder / "eval" / "lm-eval-hellaswag").mkdir(parents=True)
        write_result(folder / "eval" / "lm-eval-hellaswag" / "result.json", text)
    assert list(read_results(run)) == ["moving", "msvd-qa"]
    with pytest.raises(RunError, match=r"those of other frameworks \(lm-eval-hellaswag\)"):
        read_results(tmp_path / "alone")


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run with results"):
        read_results(tmp_path)
