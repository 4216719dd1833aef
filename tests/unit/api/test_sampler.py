"""The kind `sampler`: what its components promise, and how inputs name them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from pydantic import ValidationError

from vlmkit.api import Canvas, PluginError, Sampler, SamplerSpec, VideoInput
from vlmkit_samplers.spec import FpsSpec
from vlmkit_stab.spec import StabSpec
from vlmkit_teachers.spec import DinoV2TeacherSpec, HogSpec


class _Answering(Sampler):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def positions(self, num_frames: int, fps: float, times: Sequence[float] | None, wanted: int) -> Sequence[int]:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


class _OddSpec(SamplerSpec):
    type: Literal["odd"] = "odd"
    answer: ClassVar[Any] = None
    most: int | None = None

    @property
    def max_positions(self) -> int | None:
        return self.most

    def build(self) -> Sampler:
        return _Answering(self.answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, r"positions gives None \(is a `return` missing\?\), expected a sequence of positions"),
        (7, "gives a int, expected a sequence of positions"),
        ([], "gives 0 positions, expected 1 to 4"),
        ([0, 1, 2, 3, 4], "gives 5 positions, expected 1 to 4"),
        ([0, 2, 1], r"gives the positions .*, expected ascending ones"),
        ([-1, 3], "gives positions from -1 to 3, expected 0 to 9, as the video has 10 frames"),
        ([0, 10], "gives positions from 0 to 10, expected 0 to 9"),
        ([0, 1.5], "gives the position 1.5, expected whole numbers"),
        ([0, math.nan], "gives the position nan, expected whole numbers"),
        (["0"], "gives the position .*0.*, expected whole numbers"),
        ([True], "gives the position .*, expected whole numbers"),
        ("01", "gives the position .*, expected whole numbers"),
        (np.zeros((2, 2), int), "gives the position .*, expected whole numbers"),
        (KeyError("seconds"), "positions raised KeyError: 'seconds'"),
    ],
)
def test_broken_positions_are_the_fault_of_the_plugin(
    answer: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_OddSpec, "answer", answer)
    with pytest.raises(
        PluginError, match=rf"^sampler 'odd' \(module .*\): .*{message}.*this is a fault of that package"
    ):
        _OddSpec().build().positions(10, 25.0, None, 4)


@pytest.mark.parametrize("answer", [[0, 0, 3, 9], (1,), range(3), np.array([0, 2, 9]), [np.int32(4)]])
def test_positions_become_plain_numbers(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_OddSpec, "answer", answer)
    found = _OddSpec().build().positions(10, 25.0, None, 4)
    assert found == [int(position) for position in answer]
    assert {type(position) for position in found} == {int}


def test_a_spec_that_declares_nonsense_is_at_fault() -> None:
    with pytest.raises(PluginError, match="max_positions gives 0, expected a whole number of at least 1"):
        _ = _OddSpec(most=0).max_positions

    class NoPads(_OddSpec):
        @property
        def pads(self) -> bool:
            return None  # type: ignore[return-value]

    with pytest.raises(PluginError, match="pads gives None"):
        _ = NoPads().pads


def test_a_sampler_with_bounds_of_its_own_decides_the_frames() -> None:
    long_form = {"type": "fps", "fps": 2, "max_frames": 12}
    video = VideoInput.model_validate({"sampling": long_form, "size": 56})
    assert (video.frames, video.sampling) == (12, FpsSpec(fps=2.0, max_frames=12))
    assert VideoInput.model_validate(video.model_dump(mode="json")) == video
    assert VideoInput.model_validate({"sampling": long_form, "frames": 12}).frames == 12
    with pytest.raises(ValidationError, match="frames is 8, but sampling fps gives at most 12; make both the same"):
        VideoInput.model_validate({"sampling": long_form, "frames": 8})
    assert VideoInput(sampling=_OddSpec(), frames=5).frames == 5
    with pytest.raises(ValidationError, match="pixels, expected at most"):  # also where nobody wrote `frames`
        VideoInput.model_validate({"sampling": {"type": "fps", "max_frames": 2**16}, "size": 2**14, "multiple": 2**13})


@pytest.mark.parametrize("sampling", ["fps", {"type": "fps"}, FpsSpec()])
def test_an_aligner_finds_its_sampler(sampling: object) -> None:
    spec = StabSpec.model_validate({"input": {"sampling": sampling}})
    assert (spec.input.sampling, spec.input.frames) == (FpsSpec(), 16)
    assert StabSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert StabSpec.model_validate({"input": {"sampling": "uniform", "frames": 4}}).input.sampling == "uniform"
    assert StabSpec().input.sampling == "reference"


@pytest.mark.parametrize(
    ("sampling", "place", "message"),
    [
        ("fsp", ("input", "sampling"), "no installed plugin offers sampler 'fsp'; did you mean 'fps'"),
        ({"type": "fsp"}, ("input", "sampling"), "no installed plugin offers sampler 'fsp'"),
        (8, ("input", "sampling"), "expected a name, or a mapping with `type: name` and options; found 8"),
        ({"type": "fps", "max_frame": 3}, ("input", "sampling", "max_frame"), "did you mean 'max_frames'"),
        ({"type": "uniform", "fps": 3}, ("input", "sampling", "fps"), "unknown key fps; known keys: type"),
        (StabSpec(), ("input", "sampling"), "expected a component of kind sampler, found aligner/stab"),
    ],
)
def test_mistakes_are_placed(sampling: object, place: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValidationError) as found:
        StabSpec.model_validate({"input": {"sampling": sampling}})
    assert [(error["loc"], message in error["msg"]) for error in found.value.errors()] == [(place, True)]


def test_aligners_that_need_a_fixed_number_refuse_samplers_that_do_not_pad() -> None:
    with pytest.raises(ValidationError, match="sampling fps gives videos of 1 to 16 frames; expected a fixed number"):
        StabSpec.model_validate({"input": {"sampling": {"type": "fps", "pad": False}}})


def test_a_teacher_has_a_canvas_only() -> None:
    spec = HogSpec.model_validate({"input": {"size": 56}})
    assert spec.input == Canvas(size=56, multiple=14)
    assert not hasattr(spec.input, "frames")
    own = DinoV2TeacherSpec.model_validate({"input": {"size": 112}}).input
    assert own == DinoV2TeacherSpec().input.model_copy(update={"size": 112})


@pytest.mark.parametrize(
    ("named", "ignored"),
    [
        ({}, {}),
        ({"frames": 8, "sampling": "reference"}, {}),
        ({"frames": 4, "sampling": "uniform"}, {"frames": 4, "sampling": "uniform"}),
        ({"frames": "x"}, {"frames": "x"}),
    ],
)
def test_frames_of_a_teacher_are_written_as_ever(named: dict[str, Any], ignored: dict[str, Any]) -> None:
    spec = HogSpec.model_validate({"input": {"size": 56, **named}})
    assert spec.input == Canvas(size=56, multiple=14)
    assert spec.ignored_frames == ignored
    written = spec.model_dump(mode="json")
    usual = {"frames": 8, "sampling": "reference"}
    assert list(written["input"].items())[:3] == [*(usual | named).items(), ("size", 56)]
    again = HogSpec.model_validate(written)
    assert (again.input, again.ignored_frames, again.model_dump()) == (spec.input, ignored, spec.model_dump())


def test_a_teacher_that_states_a_whole_input_can_still_be_written_and_read() -> None:
    class Older(HogSpec):
        input: VideoInput = VideoInput(frames=16, size=56)

    for spec in (Older(), Older.model_validate({"input": {"size": 112}})):
        again = Older.model_validate(spec.model_dump(mode="json"))
        assert (again.input, again.ignored_frames) == (spec.input, {})
    assert Older.model_validate({"input": {"frames": 4}}).ignored_frames == {"frames": 4}
