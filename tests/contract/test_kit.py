"""The conformance kit itself: it takes unusual components that keep their promises, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmkit.api import ComponentSpec, VideoInput
from vlmkit.testing import checks
from vlmkit.testing.aligners import tokens_do_not_depend_on_batch_mates
from vlmkit_baselines.chat_univi.spec import ChatUniViSpec
from vlmkit_eve.spec import EveSpec
from vlmkit_pooling.spec import AvgPoolSpec
from vlmkit_stab.spec import StabSpec
from vlmkit_teachers.hog_spec import HogSpec
from vlmkit_teachers.spec import ClipTeacherSpec, LanguageBindVideoTeacherSpec

SMALL = {"width": 32, "patch": 4, "heads": 4}
PIXELS = {"size": 32, "multiple": 8}


def _fails(spec: ComponentSpec) -> list[str]:
    found = []
    for check in checks(spec.kind):
        try:
            check(spec)
        except Exception as error:
            found.append(f"{check.__name__}: {error!r}")
    return found


@pytest.mark.parametrize(
    "spec",
    [
        EveSpec.model_validate({**SMALL, "input": {**PIXELS, "frames": 1}}),
        StabSpec.model_validate(
            {**SMALL, "input": {**PIXELS, "frames": 2}, "chunk_frames": 1, "downsampler": "half-resolution"}
        ),
        EveSpec.model_validate(
            {**SMALL, "input": PIXELS, "downsampler": {"type": "adaptive-pool", "height": 3, "width": 3}}
        ),
        AvgPoolSpec(window=3),
        AvgPoolSpec(window=16),
        LanguageBindVideoTeacherSpec.model_validate(
            {
                "encoder": {**LanguageBindVideoTeacherSpec.tiny().encoder.model_dump(), "frames": 2},
                "input": {"size": 28},
            }
        ),
    ],
    ids=lambda spec: spec.type,
)
def test_takes(spec: ComponentSpec) -> None:
    assert _fails(spec) == []


def test_takes_a_teacher_with_a_cache(tmp_path: Path) -> None:
    assert _fails(ClipTeacherSpec.tiny().model_copy(update={"cache": str(tmp_path)})) == []
    assert list(tmp_path.iterdir()) == []


def test_finds_tokens_that_depend_on_the_longest_video_of_a_batch() -> None:
    free = VideoInput(**PIXELS, sampling="one-fps")
    with pytest.raises(AssertionError, match="video 3"):
        tokens_do_not_depend_on_batch_mates(EveSpec.tiny().model_copy(update={"input": free}))
    tokens_do_not_depend_on_batch_mates(ChatUniViSpec.tiny())


def test_finds_a_downsampler_without_a_grid() -> None:
    assert all("refuses all of the grids" in fault for fault in _fails(AvgPoolSpec(window=5)))


def test_finds_a_teacher_that_is_not_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HogSpec, "width", 3)
    names = {fault.partition(":")[0] for fault in _fails(HogSpec.tiny())}
    assert names == {"features_are_as_declared", "builds_on_meta"}
