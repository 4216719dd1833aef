"""What the page relies on in the files of a run, for `vlmkit.json_files`: more may stand in them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

__all__ = ["Composition", "Options", "Row"]


class Row(BaseModel):
    """A line of metrics.jsonl."""

    step: Annotated[int, Field(ge=0, le=2**53)]
    language_loss: float = 0.0
    distillation_loss: float = 0.0
    seconds_per_step: float = 0.0


class _Trained(BaseModel):
    name: str
    trains: dict[str, int]


class Composition(BaseModel):
    """model.json."""

    parts: dict[str, int] = {}
    tokens: dict[str, int] = {}
    macs: float | None = None
    frames: int | None = None
    stages: list[_Trained] = []


class _Component(BaseModel):
    type: str


class _Model(BaseModel):
    aligner: _Component
    backbone: _Component
    weights: str | None = None


class _Stage(BaseModel):
    name: str
    data: list[_Component]
    train: dict[str, float]
    batch_size: int
    steps: int | None
    epochs: float | None


class _Distillation(BaseModel):
    teacher: _Component


class _Training(BaseModel):
    stages: list[_Stage]
    distillation: _Distillation | None = None


class _Benchmark(BaseModel):
    name: str
    label: str | None = None


class _Evaluation(BaseModel):
    benchmarks: list[_Benchmark]


class Options(BaseModel):
    """spec.yaml, whose components need not be installed here."""

    name: str
    seed: int
    model: _Model
    training: _Training | None
    evaluation: _Evaluation | None
