"""The section of the model: its parts with their parameters, and what each stage trains."""

from __future__ import annotations

from typing import NamedTuple

from vlmkit.formatting import count, learning_rate
from vlmkit.report.run_files import ComponentOutline, RunFiles, StageOutline
from vlmkit.spec.experiment import part_of

__all__ = ["ModelPart", "TrainedParts", "component_text", "model_parts", "trained_parts"]


class ModelPart(NamedTuple):
    """One part of the model, as far as the run says it."""

    name: str
    component: str | None
    parameters: int | None


class TrainedParts(NamedTuple):
    """One training stage: cells of one or several lines."""

    name: str
    parts: list[str]
    parameters: list[str | None]
    rates: list[str | None]
    data: list[str]
    length: list[str]


def model_parts(run: RunFiles) -> list[ModelPart]:
    """Components from the spec, parameters from model.json."""
    components = {"aligner": run.spec.model.aligner, "backbone": run.spec.model.backbone}
    saved = tuple(components)
    if run.spec.training and run.spec.training.distillation:
        components["teacher"] = run.spec.training.distillation.teacher
    texts = {name: component_text(component) for name, component in components.items()}
    numbers = run.summary.parts if run.summary else {}
    parts = [ModelPart(name, texts.get(name), numbers.get(name)) for name in dict.fromkeys([*texts, *numbers])]
    whole = ModelPart("model", "what is saved", sum(numbers.get(name, 0) for name in saved))
    return [*parts, whole] if numbers else parts


def component_text(component: ComponentOutline) -> str:
    """A component and what fills its slots: `stab (downsampler lsd)`."""
    options = component.model_extra or {}
    slots = [f"{key} {value['type']}" for key, value in options.items() if isinstance(value, dict) and "type" in value]
    return f"{component.type} ({', '.join(slots)})" if slots else component.type


def trained_parts(run: RunFiles) -> list[TrainedParts]:
    """Learning rates, data and length of each stage from the spec; trained parameters from model.json."""
    trained = {stage.name: stage.trains for stage in run.summary.stages} if run.summary else {}
    return [_stage(stage, trained.get(stage.name, {})) for stage in run.spec.stages]


def _stage(stage: StageOutline, trained: dict[str, int]) -> TrainedParts:
    own = {part: [key for key in stage.train if part_of(key) == part] for part in (trained or stage.train)}
    parts = [part for part in own if trained.get(part, 1)]
    length = f"{count(stage.steps)} steps" if stage.steps else f"{stage.epochs:g} epochs"
    return TrainedParts(
        stage.name,
        parts,
        [count(trained[part]) if part in trained else None for part in parts],
        [", ".join(learning_rate(stage.train[key]) for key in own[part]) or None for part in parts],
        list(dict.fromkeys(data.type for data in stage.data)),
        [length, f"batch {count(stage.batch_size)}"],
    )
