"""Checks across fields: what each part accepts but the parts together do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vlmkit.api.backbone import BackboneSpec
from vlmkit.api.bounds import MOST_CELLS, MOST_CHANNELS, MOST_LAYERS
from vlmkit.api.canvas import Canvas
from vlmkit.api.teacher import TeacherSpec
from vlmkit.api.video import VideoInput
from vlmkit.errors import Problem, did_you_mean, shown
from vlmkit.spec.experiment import PARTS, DistillationSpec, ExperimentSpec, TrainingSpec, part_of

__all__ = ["ASPECTS", "LARGE_ASPECTS", "check_grids", "cross_check"]

ASPECTS = {"square": (480, 480), "4:3": (640, 480), "16:9": (640, 360), "9:16": (360, 640)}
"""Shapes of video for which layouts are tried and shown: width and height by name, pixels. Only canvases without a
square depend on more than the ratio."""
LARGE_ASPECTS = {name: (width * 64, height * 64) for name, (width, height) in ASPECTS.items()}
"""The same, so large that their canvases have as many pixels as any of their shape."""


def cross_check(spec: ExperimentSpec) -> list[Problem]:
    """Return everything that does not fit together, with its place."""
    problems = list(_layout(spec))
    known = not problems  # the sizes of aligner and backbone, without which nothing can be compared with them
    if known:
        problems += _lengths(spec)
    if spec.training is not None:
        problems += _stages(spec.training)
        problems += _distillation(spec, spec.training) if known else ()
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
    """Check that the largest video, with some text, fits the positions of the LLM and the `max_length` of each stage
    that trains on videos."""
    aligner = spec.model.aligner
    tokens, aspect = max(
        (aligner.layout(aligner.input.shape(*sides)).tokens, name) for name, sides in LARGE_ASPECTS.items()
    )
    video = f"a {aspect} video of {aligner.input.frames} frames is {tokens:,} tokens, which with some text do not fit"
    pixels = "size" if aligner.input.max_pixels is None else "max_pixels"
    fewer = f"lower the aligner's `input.frames` or `input.{pixels}`"
    positions = spec.model.backbone.positions
    if positions is not None and tokens >= positions:
        key = "max_position_embeddings"
        more = f"{fewer}, or give it more positions ({key})"
        message = f"{video} into the {positions:,} positions of the backbone; {more}"
        yield Problem(("model", "backbone"), message, ("config", key))
    for index, stage in enumerate(spec.training.stages if spec.training is not None else ()):
        if tokens >= stage.max_length and stage.parts & {"aligner", "distillation"}:
            message = f"{video} into max_length {stage.max_length:,}; raise it, or {fewer}"
            yield Problem(("training", "stages", index, "max_length"), message)


def _stages(training: TrainingSpec) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, stage in enumerate(training.stages):
        where = ("training", "stages", index)
        if stage.name in seen:
            number = seen[stage.name] + 1
            yield Problem((*where, "name"), f"stage {number} has the name {stage.name!r} too; give another")
        seen.setdefault(stage.name, index)
        for pattern in stage.train:
            if (part := part_of(pattern)) not in PARTS:
                known = f"{did_you_mean(part, PARTS)}parts: {', '.join(PARTS)}"
                yield Problem((*where, "train", pattern), f"{shown(part)} is no part of the model; {known}")


_WHERE = ("training", "distillation")


def _distillation(spec: ExperimentSpec, training: TrainingSpec) -> Iterator[Problem]:
    """Check aligner, teacher and LLM together. The sizes of aligner and backbone must be known."""
    distillation = training.distillation
    if distillation is None:
        for index, stage in enumerate(training.stages):
            if stage.distils:
                path = ("training", "stages", index, "train", "distillation")
                yield Problem(path, "the part `distillation` trains here, but training.distillation names no teacher")
        return
    if not any(stage.distils for stage in training.stages):
        message = "no stage uses the teacher: list `distillation` in the `train` of a stage, or remove this"
        yield Problem(_WHERE, message)
    yield from _head(distillation, spec.model.backbone.layers)
    yield from _frames(distillation.teacher, spec.model.aligner.input)
    if not spec.model.aligner.input.is_square:
        message = (
            f"with fit {spec.model.aligner.input.fit} each video has a grid of its own, but a teacher's features are "
            "compared cell by cell with one grid for all; give the aligner fit pad, crop or squash, or remove this"
        )
        yield Problem((*_WHERE, "teacher"), message)
        return
    yield from _pictures(distillation.teacher, spec.model.aligner.input)
    yield from _grids(distillation.teacher, spec)


def _head(distillation: DistillationSpec, layers: int) -> Iterator[Problem]:
    heads, width, rate = distillation.heads, distillation.teacher.width, distillation.layer_rate
    if width > MOST_CHANNELS:
        yield Problem((*_WHERE, "teacher"), f"its features have {width:,} channels, expected at most {MOST_CHANNELS:,}")
    if width % heads:
        yield Problem((*_WHERE, "heads"), f"{heads} heads do not divide the teacher's width {width}")
    if layers < rate:
        yield Problem((*_WHERE, "layer_rate"), f"with {layers} LLM layers, a rate of {rate} leaves no layer to fuse")


def _frames(teacher: TeacherSpec, aligner: VideoInput) -> Iterator[Problem]:
    """Check that the teacher can take the aligner's frames: a video is decoded once."""
    try:
        teacher.check_frames(aligner.frames)
    except ValueError as error:
        yield Problem((*_WHERE, "teacher"), str(error))
    options = aligner.model_dump(mode="json")
    for key, found in teacher.ignored_frames.items():
        if found != (ours := options[key]):
            message = f"the teacher sees the aligner's frames ({key} {ours}), so {shown(found)} would do nothing; "
            yield Problem((*_WHERE, "teacher", "input", key), f"{message}remove it")


def _pictures(teacher: TeacherSpec, aligner: Canvas) -> Iterator[Problem]:
    """Check that a cell of one canvas shows what the same cell of the other shows."""
    for name, (width, height) in ASPECTS.items():
        ours, theirs = _relative(aligner, width, height), _relative(teacher.input, width, height)
        if ours != theirs:
            message = (
                f"a {name} picture does not lie on the teacher's canvas (fit {_words(teacher.input)}) as on the "
                f"aligner's (fit {_words(aligner)}), so different places would be compared; give both the same `fit`, "
                "and with `pad` the same `size` / `multiple`"
            )
            yield Problem((*_WHERE, "teacher", "input"), message)
            return


def _relative(canvas: Canvas, width: int, height: int) -> tuple[float, ...]:
    """Return left, right, top and bottom of the whole picture, in sides of the canvas; a crop's lie outside of it."""
    if canvas.fit == "crop":  # without the rounding to whole pixels
        sides = [side / min(width, height) for side in (width, height)]
        return tuple(round(edge, 6) for side in sides for edge in ((1 - side) / 2, (1 + side) / 2))
    place = canvas.place(width, height)
    edges = (place.left, place.left + place.width, place.top, place.top + place.height)
    return tuple(round(edge / canvas.size, 6) for edge in edges)


def _words(canvas: Canvas) -> str:
    return f"pad, {canvas.size} / {canvas.multiple}" if canvas.fit == "pad" else canvas.fit


def _grids(teacher: TeacherSpec, spec: ExperimentSpec) -> Iterator[Problem]:
    aligner = spec.model.aligner
    patches = aligner.layout(aligner.input.shape(1, 1)).patches
    try:
        theirs = teacher.grid()
    except ValueError as error:
        yield Problem((*_WHERE, "teacher"), str(error))
        return
    if (patches < 0).all():
        message = f"aligner {aligner.type!r} has no tokens that stand for patches: there is nothing to distil into"
        yield Problem(_WHERE, message)
        return
    try:
        check_grids(patches.shape[1:], theirs)
    except ValueError as error:
        yield Problem((*_WHERE, "teacher"), f"{error}; change `input.size` of one of them")


def check_grids(ours: Sequence[int], theirs: Sequence[int]) -> None:
    """Raise a ValueError where neither of two grids (h, w) divides the other in both directions."""
    pairs = list(zip(ours, theirs, strict=True))
    if any(mine % other for mine, other in pairs) and any(other % mine for mine, other in pairs):
        raise ValueError(
            f"the teacher's grid {theirs[0]}x{theirs[1]} and the aligner's {ours[0]}x{ours[1]} do not divide each other"
        )
