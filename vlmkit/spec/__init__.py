"""Spec files: loading, overrides, validation, error report, JSON schema. No torch anywhere in here."""

from vlmkit.spec.evaluation import BenchmarkUse, EvaluationSpec
from vlmkit.spec.experiment import (
    DataSpec,
    DistillationSpec,
    EngineSpec,
    ExperimentSpec,
    ModelSpec,
    StageSpec,
    TrainingSpec,
)
from vlmkit.spec.loading import json_schema, load_spec, parse_overrides, read_resolved, resolved, sha256

__all__ = [
    "BenchmarkUse",
    "DataSpec",
    "DistillationSpec",
    "EngineSpec",
    "EvaluationSpec",
    "ExperimentSpec",
    "ModelSpec",
    "StageSpec",
    "TrainingSpec",
    "json_schema",
    "load_spec",
    "parse_overrides",
    "read_resolved",
    "resolved",
    "sha256",
]
