"""Training: what a stage trains, its data order, its losses, the loop over stages, resume.

`train` runs all stages of an experiment; `plan` says beforehand what each of them trains.
"""

from __future__ import annotations

from vlmkit.training.plan import Plan, StagePlan, plan
from vlmkit.training.stages import train

__all__ = ["Plan", "StagePlan", "plan", "train"]
