"""Training: what a stage trains, its data order, its losses, the loop over stages, resume.

`train` runs all stages of an experiment; `plan_training` says beforehand what each of them trains. Importing this costs
no torch: `vlmkit.training.metrics` reads the records of a run without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlmkit.training.stages import train
    from vlmkit.training.training_plan import StagePlan, TrainingPlan, plan_training

__all__ = ["StagePlan", "TrainingPlan", "plan_training", "train"]

_LAZY = {
    "StagePlan": "vlmkit.training.training_plan",
    "TrainingPlan": "vlmkit.training.training_plan",
    "plan_training": "vlmkit.training.training_plan",
    "train": "vlmkit.training.stages",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
