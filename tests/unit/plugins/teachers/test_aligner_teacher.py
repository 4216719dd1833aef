"""The teacher that is a trained aligner: what it takes from its model, what it gives, and what does not fit."""

from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import vlmkit
from vlmkit.api import CheckpointError, Teacher, VideoBatch
from vlmkit.manifest import updating_manifest
from vlmkit_baselines.spec import ChatUniViSpec
from vlmkit_teachers.aligner_teacher import AlignerTeacherSpec

CANVAS = {"size": 48, "multiple": 16}
STAB = {"type": "stab", "width": 32, "patch": 8, "heads": 2, "input": CANVAS}


@pytest.fixture
def model(talker: Path, tmp_path: Path) -> Path:
    """A saved model of one's own."""
    return shutil.copytree(talker, tmp_path / "model")


def built(path: Path, **options: Any) -> Teacher:
    """The teacher with the weights at `path`."""
    teacher = AlignerTeacherSpec.model_validate({"path": str(path), **options}).build()
    teacher.load_pretrained()
    return teacher


def videos() -> VideoBatch:
    """One that fills the canvas, and a wide one with three frames of padding in time."""
    pixels = torch.randn(2, 8, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    box, there = torch.tensor([[0, 48, 0, 48], [0, 32, 0, 48]]), torch.ones(2, 8, dtype=torch.bool)
    there[1, 5:] = False
    return VideoBatch(pixels, box, there)


def test_the_model_tells_its_options(talker: Path) -> None:
    spec = AlignerTeacherSpec.model_validate({"path": str(talker)})
    assert (spec.width, spec.grid(), spec.frame_limit) == (32, (3, 3), 8)
    assert spec.aligner.model_dump() | STAB | {"input": {}} == spec.aligner.model_dump() | {"input": {}}
    assert (spec.input.size, spec.input.multiple, spec.input.mean) == (48, 16, spec.aligner.input.mean)


@torch.no_grad()
def test_features_are_the_tokens_that_the_model_gives_the_patches(talker: Path) -> None:
    loaded, _ = vlmkit.load(talker)
    video, features = videos(), built(talker)(videos())
    tokens = deepcopy(loaded.aligner)(video)  # weights in the mapped file are not aligned: MKL rounds in another way
    assert features.shape == (2, 8, 3, 3, 32)
    for index in range(2):
        for place in (tokens.patches[index] >= 0).nonzero().tolist():
            token = tokens.embeddings[index, tokens.patches[index][tuple(place)]]
            assert torch.equal(features[index][tuple(place)], token)
    outside = tokens.patches < 0
    assert outside[1].any()
    assert not outside[0].any()
    assert not features[outside].any()


def test_the_language_model_is_not_read(talker: Path) -> None:
    loaded, _ = vlmkit.load(talker)
    teacher = built(talker)
    assert sum(p.numel() for p in teacher.parameters()) == sum(p.numel() for p in loaded.aligner.parameters())


def test_a_resolved_spec_needs_no_model(model: Path) -> None:
    spec = AlignerTeacherSpec.model_validate({"path": str(model)})
    shutil.rmtree(model)
    again = AlignerTeacherSpec.model_validate(spec.model_dump(mode="json"))
    assert again == spec
    with pytest.raises(ValueError, match="found nothing of this name here"):
        again.build().load_pretrained()
    with pytest.raises(ValueError, match="found nothing of this name here"):
        AlignerTeacherSpec.model_validate({"path": str(model)})


def _train_on(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    with updating_manifest(model):
        save_file({name: value * 2 for name, value in weights.items()}, model / "model.safetensors", {"format": "pt"})


def test_other_weights_at_the_same_path_are_another_teacher(model: Path) -> None:
    before = AlignerTeacherSpec.model_validate({"path": str(model)})
    _train_on(model)
    now = AlignerTeacherSpec.model_validate({"path": str(model)})
    assert now.model_dump(exclude={"checksum"}) == before.model_dump(exclude={"checksum"})
    assert now.checksum != before.checksum
    with pytest.raises(CheckpointError, match=r"found another one \(its weights\); give the `path` of the first one"):
        before.build().load_pretrained()
    now.build().load_pretrained()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"aligner": STAB | {"width": 16}, "llm_width": 32}, r"found another one \(its options\)"),
        ({"aligner": STAB, "llm_width": 16}, r"found another one \(its options and the width of its LLM\)"),
    ],
)
def test_options_that_are_not_those_of_the_model(talker: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        built(talker, **options)


def test_weights_of_a_model_without_manifest(model: Path) -> None:
    (model / "checksums.json").unlink()
    spec = AlignerTeacherSpec.model_validate({"path": str(model)})
    assert spec.checksum is None
    spec.build().load_pretrained()
    weights = load_file(model / "model.safetensors")
    lost = next(name for name in weights if name.startswith("aligner."))
    save_file({name: value for name, value in weights.items() if name != lost}, model / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"do not fit; missing: {lost.removeprefix('aligner.')} "):
        spec.build().load_pretrained()


def test_drawn_weights_without_a_path() -> None:
    spec = AlignerTeacherSpec.model_validate({"aligner": STAB, "llm_width": 24})
    torch.manual_seed(0)
    one = spec.build()
    one.load_pretrained()
    torch.manual_seed(1)
    assert not torch.equal(one(videos()), spec.build()(videos()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "expected `path`, a run or saved model whose aligner teaches"),
        ({"path": None}, "found neither; give a `path`"),
        ({"path": "runs/never"}, "runs/never: expected a run folder"),
        ({"aligner": STAB, "llm_width": 24, "input": {"size": 96}}, "input.size: expected the canvas that the aligner"),
        ({"aligner": ChatUniViSpec.tiny(), "llm_width": 24}, "the aligner 'chat-univi' has patches without a token"),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AlignerTeacherSpec.model_validate(options)


def test_frames_that_it_does_not_take() -> None:
    aligner = STAB | {"chunk_frames": 2, "input": CANVAS | {"frames": 4}}
    spec = AlignerTeacherSpec.model_validate({"aligner": aligner, "llm_width": 24})
    spec.check_frames(2)
    with pytest.raises(ValueError, match="at most 4 frames, the aligner gives 6; lower the aligner"):
        spec.check_frames(6)
    with pytest.raises(ValueError, match=r"does not take videos of 3 frames, .*2, which does not divide 3 frames"):
        spec.check_frames(3)
