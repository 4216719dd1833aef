"""What all teachers have in common, and those that are encoders: frozen, without CLS, one clip per video."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from vlmkit.api import CLIP_MEAN, IMAGENET_MEAN, IMAGENET_STD, TeacherSpec, VideoBatch
from vlmkit.registry import registry
from vlmkit.testing.module_checks import operator_calls
from vlmkit_teachers.aligner_teacher import AlignerTeacherSpec
from vlmkit_teachers.spec import (
    ClipTeacherSpec,
    DinoV2TeacherSpec,
    HogSpec,
    InternVideo2TeacherSpec,
    LanguageBindImageTeacherSpec,
    LanguageBindVideoTeacherSpec,
)

TINY = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "image_size": 28}
INPUT = {"size": 28}
STAB = {
    **{"type": "stab", "width": 32, "heads": 4, "patch": 7, "chunk_frames": "all"},
    "input": {"size": 28, "multiple": 14, "frames": 4},
}
ENCODERS: list[TeacherSpec] = [
    ClipTeacherSpec(encoder=TINY, input=INPUT),
    DinoV2TeacherSpec(encoder=TINY, input=INPUT),
    HogSpec(input=INPUT),
    InternVideo2TeacherSpec(encoder={**TINY, "frames": 4}, input=INPUT),
    LanguageBindImageTeacherSpec(encoder=TINY, input=INPUT),
    LanguageBindVideoTeacherSpec(encoder={**TINY, "frames": 4}, input=INPUT),
]
SPECS: list[TeacherSpec] = [AlignerTeacherSpec.model_validate({"aligner": STAB, "llm_width": 24}), *ENCODERS]


def clip(batch: int = 2, frames: int = 4, seed: int = 0) -> VideoBatch:
    return VideoBatch.full(torch.randn(batch, frames, 3, 28, 28, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture(params=SPECS, ids=lambda spec: spec.type)
def spec(request: pytest.FixtureRequest) -> TeacherSpec:
    torch.manual_seed(0)
    return request.param


def test_all_teachers_are_tested_here() -> None:
    offered = [c.spec.component_name() for c in registry().components("teacher") if c.plugin.name == "teachers"]
    assert offered == [spec.type for spec in SPECS]


def test_features_have_the_declared_shape(spec: TeacherSpec) -> None:
    assert tuple(spec.build()(clip()).shape) == (2, 4, *spec.grid(), spec.width)


def test_stays_frozen(spec: TeacherSpec) -> None:
    teacher = spec.build()
    holder = nn.ModuleDict({"teacher": teacher}).train()
    teacher.requires_grad_(True)
    assert not any(module.training for module in holder["teacher"].modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    video = clip()
    video.pixels.requires_grad_(True)
    assert not teacher(video).requires_grad


def test_is_deterministic_and_ignores_batch_mates(spec: TeacherSpec) -> None:
    teacher, video = spec.build(), clip()
    both = teacher(video)
    assert torch.equal(both, teacher(video))
    torch.testing.assert_close(teacher(VideoBatch.full(video.pixels[1:])), both[1:], atol=1e-5, rtol=1e-5)


def test_half_precision_stays_close(spec: TeacherSpec) -> None:
    teacher, video = spec.build(), clip()
    full = teacher(video)
    half = teacher.to(torch.bfloat16)(video.to(dtype=torch.bfloat16))
    assert half.dtype == torch.bfloat16
    assert torch.cosine_similarity(half.float(), full, dim=-1).min() > 0.99


def test_spec_survives_a_round_trip(spec: TeacherSpec) -> None:
    assert type(spec).model_validate(spec.model_dump(mode="json")) == spec


def test_operator_calls_do_not_grow_with_frames_or_videos(spec: TeacherSpec) -> None:
    teacher = spec.build()
    few, many = clip(1, 2), clip(3, 3)
    assert operator_calls(lambda: teacher(few)) == operator_calls(lambda: teacher(many))


def test_builds_on_the_meta_device(spec: TeacherSpec) -> None:
    with torch.device("meta"):
        teacher = spec.build()
        video = VideoBatch.full(torch.empty(1, 2, 3, 28, 28))
    features = teacher(video)
    assert features.is_meta
    assert tuple(features.shape) == (1, 2, *spec.grid(), spec.width)


def test_clip_drops_cls_and_keeps_the_patches_in_place() -> None:
    teacher = ENCODERS[0].build()
    video = clip()
    tokens = teacher.encoder(video.pixels)
    features = teacher(video)
    assert torch.equal(features[1, 2, 1, 0], tokens[1, 2, 1 + 2])


def test_languagebind_video_sees_one_clip() -> None:
    teacher, video = ENCODERS[5].build(), clip(1)
    halves = torch.cat([teacher(VideoBatch.full(part)) for part in video.pixels.split(2, dim=1)], 1)
    assert (teacher(video) - halves).abs().max() > 1e-3
    assert ENCODERS[5].frame_limit == 4
    with pytest.raises(ValueError, match=r"temporal table holds 4 frames .*found videos of 5"):
        teacher(clip(1, 5))


def test_defaults_are_those_of_the_papers() -> None:
    assert [(spec().width, spec().grid()) for spec in map(type, ENCODERS)] == [
        (1024, (16, 16)),
        (1024, (16, 16)),
        (16, (16, 16)),
        (1408, (16, 16)),
        (1024, (16, 16)),
        (1024, (16, 16)),
    ]
    for imagenet in (DinoV2TeacherSpec, InternVideo2TeacherSpec):
        spec = imagenet.model_validate({"input": {"size": 224, "fit": "crop"}})
        assert (spec.input.mean, spec.input.std, spec.input.multiple) == (IMAGENET_MEAN, IMAGENET_STD, 14)
    assert ClipTeacherSpec().input.mean == CLIP_MEAN


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (
            ClipTeacherSpec,
            {"input": {"size": 448}},
            "input.size is 448, but the encoder takes frames of 224 pixels only",
        ),
        (
            InternVideo2TeacherSpec,
            {"input": {"size": 448}},
            "input.size is 448, but the encoder takes frames of 224 pixels only",
        ),
        (
            DinoV2TeacherSpec,
            {"input": {"size": 225, "fit": "crop"}},
            "225 is not a multiple of the patch side 14",
        ),
        (
            DinoV2TeacherSpec,
            {"input": {"size": 224, "multiple": 7}},
            "input.multiple 7 is not a multiple of .* side 14",
        ),
        (ClipTeacherSpec, {"path": "a", "encoder": {"path": "b"}}, "two weights: `path` is 'a', `encoder.path` is 'b'"),
        (ClipTeacherSpec, {"encoder": {"heads": 3}}, "heads is 3, which does not divide the width 1024"),
    ],
)
def test_what_does_not_fit_is_refused(spec: type[TeacherSpec], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec.model_validate(options)


def test_path_reaches_the_encoder() -> None:
    assert ClipTeacherSpec(path="some/model").encoder.path == "some/model"
    assert ClipTeacherSpec(encoder={"path": "some/model"}).encoder.path == "some/model"
