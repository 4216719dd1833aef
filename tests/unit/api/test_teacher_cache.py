"""The cache of teacher features: what hits, what misses, what happens to damaged entries."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vlmkit.api import Canvas, DataError, PluginError, Teacher, TeacherSpec, VideoBatch
from vlmkit.api.teacher_cache import CachedTeacher
from vlmkit.registry import registry
from vlmkit_teachers.spec import ClipTeacherSpec, HogSpec

TINY = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "image_size": 28}


def video(seed: int, batch: int = 1) -> VideoBatch:
    return VideoBatch.full(torch.randn(batch, 2, 3, 28, 28, generator=torch.Generator().manual_seed(seed)))


def both(first: VideoBatch, second: VideoBatch) -> VideoBatch:
    return VideoBatch.full(torch.cat([first.pixels, second.pixels]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def spec(folder: Path) -> ClipTeacherSpec:
    return ClipTeacherSpec(encoder=TINY, input={"size": 28}, cache=str(folder))


@pytest.fixture
def teacher(spec: ClipTeacherSpec) -> CachedTeacher:
    return build(spec)


def build(spec: ClipTeacherSpec, seed: int = 0) -> CachedTeacher:
    torch.manual_seed(seed)
    teacher = spec.build()
    assert isinstance(teacher, CachedTeacher)
    return teacher


def counts(teacher: CachedTeacher) -> tuple[int, int]:
    return teacher.hits, teacher.misses


def test_second_time_is_read_bit_by_bit(teacher: CachedTeacher, spec: ClipTeacherSpec) -> None:
    computed = teacher(video(1))
    assert torch.equal(teacher(video(1)), computed)
    assert counts(teacher) == (1, 1)
    another_process = build(spec)
    assert torch.equal(another_process(video(1)), computed)
    assert counts(another_process) == (1, 0)


def test_gives_what_the_teacher_gives(teacher: CachedTeacher) -> None:
    for _ in range(2):
        torch.testing.assert_close(teacher(video(1, 3)), teacher.teacher(video(1, 3)), atol=1e-6, rtol=1e-5)


def test_hits_and_misses_share_a_batch(teacher: CachedTeacher) -> None:
    alone = teacher(video(1))
    batch = teacher(both(video(2), video(1)))
    assert counts(teacher) == (1, 2)
    assert torch.equal(batch[1:], alone)
    assert torch.equal(batch[:1], teacher(video(2)))


def test_does_not_compute_what_it_has(teacher: CachedTeacher, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher(video(1))

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(teacher.teacher, "forward", refuse)
    teacher(video(1))
    with pytest.raises(PluginError, match="computed again"):
        teacher(video(2))


def test_other_pixels_content_frames_or_dtype_miss(teacher: CachedTeacher) -> None:
    original = video(1)
    teacher(original)
    shifted = original.pixels.clone()
    shifted[0, 0, 0, 0, 0] += 1e-3
    one_frame_less = torch.tensor([[True, False]])
    others = [
        VideoBatch.full(shifted),
        VideoBatch.full(original.pixels.flip(-1)),
        VideoBatch(original.pixels, torch.tensor([[0, 28, 0, 14]]), original.frame_mask),
        VideoBatch(original.pixels, original.content_box, one_frame_less),
        original.to(dtype=torch.float64),
    ]
    for number, other in enumerate(others, 2):
        teacher(other)
        assert counts(teacher) == (0, number)


def test_other_weights_miss(teacher: CachedTeacher, spec: ClipTeacherSpec) -> None:
    teacher(video(1))
    other = build(spec, seed=1)
    assert not torch.equal(other(video(1)), teacher(video(1)))
    assert counts(other) == (0, 1)
    with torch.no_grad():
        other.teacher.encoder.embeddings.class_embedding.add_(1)
    other(video(1))
    assert counts(other) == (0, 2)
    other.to(torch.bfloat16)
    assert other(video(1)).dtype == torch.bfloat16
    assert counts(other) == (0, 3)


def test_features_under_autocast_are_others(teacher: CachedTeacher) -> None:
    teacher(video(1))
    with torch.autocast("cpu", torch.bfloat16):
        for hits in range(2):
            teacher(video(1))
            assert counts(teacher) == (hits, 2)
    with torch.autocast("cpu", torch.float16):
        teacher(video(1))
    assert counts(teacher) == (1, 3)
    teacher(video(1))
    assert counts(teacher) == (2, 3)


def test_weights_written_past_autograd_miss(teacher: CachedTeacher) -> None:
    teacher(video(1))
    for parameter in teacher.parameters():
        parameter.data.mul_(1.5)
    assert torch.equal(teacher(video(1)), teacher.teacher(video(1)))
    assert counts(teacher) == (0, 2)


def test_inference_tensors(spec: ClipTeacherSpec) -> None:
    with torch.inference_mode():
        teacher = build(spec)
        for hits in range(2):
            teacher(video(1))
            assert counts(teacher) == (hits, 1)
        for parameter in teacher.parameters():
            parameter.mul_(1.5)
        teacher(video(1))
    assert counts(teacher) == (1, 2)


def test_other_options_miss(folder: Path) -> None:
    for number, contrast in enumerate((0.02, 0.03, 0.02)):
        teacher = HogSpec(patch=14, input={"size": 28}, contrast=contrast, cache=str(folder)).build()
        assert isinstance(teacher, CachedTeacher)
        teacher(video(1))
        assert counts(teacher) == ((1, 0) if number == 2 else (0, 1))


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text"])
def test_damaged_entry_is_computed_again_with_a_warning(
    teacher: CachedTeacher, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    computed = teacher(video(1))
    (file,) = folder.rglob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(
        {"empty": b"", "truncated": content[:-7], "flipped": content, "text": b"not tensors at all"}[damage]
    )
    with caplog.at_level(logging.WARNING):
        assert torch.equal(teacher(video(1)), computed)
    assert str(file) in caplog.text
    assert counts(teacher) == (0, 2)
    assert torch.equal(teacher(video(1)), computed)
    assert counts(teacher) == (1, 2)


def test_leaves_no_partial_files(teacher: CachedTeacher, folder: Path) -> None:
    teacher(video(1, 3))
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) == 3
    assert {file.suffix for file in files} == {".safetensors"}


def test_folder_that_cannot_be_written_is_reported(folder: Path, spec: ClipTeacherSpec) -> None:
    folder.write_text("a file stands here")
    with pytest.raises(DataError, match="cannot keep the teacher's features in"):
        build(spec)(video(1))


def test_no_gradient_and_no_training_mode_through_the_cache(teacher: CachedTeacher) -> None:
    teacher.train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    for _ in range(2):
        assert not teacher(video(1)).requires_grad


class _Mine(Teacher):
    """A teacher of a stranger, who thinks neither of freezing nor of a cache."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Linear(3, 4)
        self.dropout = nn.Dropout(0.5)

    def forward(self, video: VideoBatch) -> torch.Tensor:
        patches = F.avg_pool2d(video.pixels.flatten(0, 1), 14).unflatten(0, video.frame_mask.shape)
        return self.dropout(self.scale(patches.movedim(2, -1)))

    def load_pretrained(self) -> None:
        self.scale = nn.Linear(3, 4)


class _MineSpec(TeacherSpec):
    type: Literal["mine"] = "mine"
    input: Canvas = Canvas(size=28, multiple=14)

    @property
    def width(self) -> int:
        return 4

    def grid(self) -> tuple[int, int]:
        return 2, 2

    def build(self) -> Teacher:
        return _Mine()


def test_every_teacher_is_frozen_and_can_keep_its_features(folder: Path) -> None:
    for cache in (None, str(folder)):
        torch.manual_seed(0)
        teacher = _MineSpec(cache=cache).build()
        teacher.load_pretrained()
        teacher.train().requires_grad_()
        assert not any(module.training for module in teacher.modules())
        assert not any(parameter.requires_grad for parameter in teacher.parameters())
        features = teacher(VideoBatch.full(video(1).pixels.requires_grad_()))
        assert not features.requires_grad
        assert torch.equal(teacher(video(1)), features)
    assert isinstance(teacher, CachedTeacher)
    assert counts(teacher) == (1, 1)


def test_another_version_of_its_package_misses(spec: ClipTeacherSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    build(spec)(video(1))
    monkeypatch.setattr(registry().get("teacher", "clip").plugin, "version", "9.9")
    newer = build(spec)
    newer(video(1))
    assert counts(newer) == (0, 1)


def test_the_features_of_another_video_or_type_do_not_pass(teacher: CachedTeacher) -> None:
    """Whole entries, with right checksums of their own."""
    first, second = teacher(video(1)), teacher(video(2))
    files = sorted(teacher.folder.rglob("*.safetensors"))
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, reversed(contents), strict=True):
        file.write_bytes(content)
    assert torch.equal(teacher(video(1)), first)
    assert torch.equal(teacher(video(2)), second)
    assert counts(teacher) == (0, 4)
    for file in files:
        file.write_bytes(file.read_bytes().replace(b'"F32"', b'"I32"'))
    assert torch.equal(teacher(video(1)), first)
    assert counts(teacher) == (0, 5)
