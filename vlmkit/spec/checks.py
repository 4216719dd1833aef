"""Checks across fields: what each part accepts but the parts together do not."""

from __future__ import annotations

from collections.abc import Iterator

from vlmkit.api.backbone import BackboneSpec
from vlmkit.api.bounds import MOST_CELLS, MOST_CHANNELS, MOST_LAYERS
from vlmkit.errors import did_you_mean, shown
from vlmkit.spec.aspects import ASPECTS
from vlmkit.spec.distillation import check_distillation
from vlmkit.spec.experiment import ExperimentSpec, StageSpec, TrainingSpec
from vlmkit.spec.report import Problem

__all__ = ["PARTS", "cross_check"]

PARTS = ("aligner", "backbone", "distillation")
"""What `train` can name."""


def cross_check(spec: ExperimentSpec) -> list[Problem]:
    """Everything that does not fit together, with its place."""
    problems = list(_layout(spec))
    known = not problems  # the sizes of aligner and backbone, without which nothing can be compared with them
    if known:
        problems += _lengths(spec)
    if spec.training is not None:
        problems += _stages(spec.training)
        problems += check_distillation(spec, spec.training) if known else ()
    return problems


def _layout(spec: ExperimentSpec) -> Iterator[Problem]:
    aligner = spec.model.aligner
    for width, height in ASPECTS.values():
        try:
            tokens = aligner.layout(aligner.input.shape(width, height)).tokens
        except (ValueError, ArithmeticError, MemoryError) as error:
            yield Problem(("model", "aligner"), str(error) or type(error).__name__)
            return
        if tokens > MOST_CELLS:
            message = f"a video is {tokens:,} tokens, expected at most {MOST_CELLS:,}; lower `input.frames`"
            yield Problem(("model", "aligner"), message)
            return
    yield from _backbone(spec.model.backbone)


def _backbone(backbone: BackboneSpec) -> Iterator[Problem]:
    where = ("model", "backbone")
    try:
        sizes = (("width", backbone.width, MOST_CHANNELS), ("number of layers", backbone.layers, MOST_LAYERS))
    except (ValueError, ArithmeticError) as error:
        yield Problem(where, str(error))
        return
    for what, size, most in sizes:
        if size > most:
            yield Problem(where, f"its {what} is {shown(size)}, expected at most {most:,}")


def _lengths(spec: ExperimentSpec) -> Iterator[Problem]:
    """The largest video, with some text, against the sequences that the LLM takes, and those of each stage that trains
    what only videos reach."""
    aligner = spec.model.aligner
    tokens, aspect = max((aligner.layout(aligner.input.shape(*sides)).tokens, name) for name, sides in ASPECTS.items())
    video = f"a {aspect} video of {aligner.input.frames} frames is {tokens:,} tokens, which with some text do not fit"
    fewer = "lower the aligner's `input.frames` or `input.size`"
    positions = spec.model.backbone.positions
    if positions is not None and tokens >= positions:
        message = f"{video} into the {positions:,} positions of the backbone; {fewer}, or give it more positions"
        yield Problem(
            ("model", "backbone"), f"{message} (max_position_embeddings)", ("config", "max_position_embeddings")
        )
    for index, stage in enumerate(spec.training.stages if spec.training is not None else ()):
        visual = any(pattern.split(".")[0] in ("aligner", "distillation") for pattern in stage.train)
        if tokens >= stage.max_length and visual:
            message = f"{video} into max_length {stage.max_length:,}; raise it, or {fewer}"
            yield Problem(("training", "stages", index, "max_length"), message)


def _stages(training: TrainingSpec) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, stage in enumerate(training.stages):
        where = ("training", "stages", index)
        if stage.name in seen:
            yield Problem(
                (*where, "name"), f"stage {seen[stage.name] + 1} has the name {stage.name!r} too; give another"
            )
        seen.setdefault(stage.name, index)
        yield from _parts(stage, (*where, "train"))


def _parts(stage: StageSpec, where: tuple[str | int, ...]) -> Iterator[Problem]:
    for pattern in stage.train:
        part = pattern.split(".")[0]
        if part not in PARTS:
            known = f"{did_you_mean(part, PARTS)}parts: {', '.join(PARTS)}"
            yield Problem((*where, pattern), f"{shown(part)} is no part of the model; {known}")
