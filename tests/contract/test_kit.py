"""The conformance kit itself: it takes unusual components that keep their promises, and no others."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import field_serializer
from torch import Tensor, nn

import vlmkit.testing
from vlmkit.api import ComponentSpec, Downsampler, VideoInput
from vlmkit.testing import checks
from vlmkit.testing.component_checks import AlignerChecks
from vlmkit_baselines.spec import ChatUniViSpec
from vlmkit_eve.spec import EveSpec
from vlmkit_pooling.spec import AvgPoolSpec
from vlmkit_stab.spec import StabSpec
from vlmkit_teachers.spec import ClipTeacherSpec, HogSpec, LanguageBindVideoTeacherSpec

SMALL = {"width": 32, "patch": 4, "heads": 4}
PIXELS = {"size": 32, "multiple": 8}
SPECS: dict[str, ComponentSpec] = {
    "Aligner": EveSpec.tiny(),
    "Downsampler": AvgPoolSpec(window=2),
    "Teacher": HogSpec.tiny(),
}
WIDTHS = {"Aligner": (8,), "Downsampler": (8,), "Teacher": ()}
"""What each kind wants for its `build`."""


def _changed(spec: Any, **members: Any) -> Any:
    """The same options of a component that defines some members in another way."""
    return type("Changed", (type(spec),), members).model_validate(spec.model_dump())


def _with_forward(kind: str, forward: Callable[..., Any]) -> Any:
    """The same component with another forward of its module."""
    spec: Any = SPECS[kind]

    def build(self: Any, *width: int) -> Any:
        module = super(type(self), self).build(*width)
        module.__class__ = type("Changed", (type(module),), {"forward": forward})
        return module

    return _changed(spec, build=build)


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
        AlignerChecks().tokens_do_not_depend_on_batch_mates(EveSpec.tiny().model_copy(update={"input": free}))
    AlignerChecks().tokens_do_not_depend_on_batch_mates(ChatUniViSpec.tiny())


def test_finds_a_downsampler_without_a_grid() -> None:
    assert all("refuses all of the grids" in fault for fault in _fails(AvgPoolSpec(window=5)))


def test_finds_a_teacher_that_is_not_what_it_says() -> None:
    faults = _fails(_changed(HogSpec.tiny(), width=property(lambda _: 3)))
    assert {"features_are_as_declared", "builds_on_meta"} <= {fault.partition(":")[0] for fault in faults}
    assert all("expected (1, 4, 2, 2, 3), as its grid and width say" in fault for fault in faults if "(1, 4" in fault)


@pytest.mark.parametrize("kind", ["Aligner", "Downsampler", "Teacher"])
@pytest.mark.parametrize(
    ("made", "found"), [(nn.Identity(), "a Identity"), (None, "None (is a `return` missing?)")], ids=["plain", "none"]
)
def test_finds_a_build_that_gives_something_else(kind: str, made: object, found: str) -> None:
    faults = _fails(_changed(SPECS[kind], build=lambda *_: made))
    assert len(faults) >= 8
    assert [fault for fault in faults if f" gives {found}, expected a vlmkit.api.{kind}" not in fault] == []


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("Aligner", torch.zeros(1), "forward gives a Tensor, expected a vlmkit.api.VisualTokens"),
        ("Aligner", None, "forward gives None (is a `return` missing?), expected a vlmkit.api.VisualTokens"),
        ("Downsampler", (torch.zeros(1),), "forward gives a tuple, expected a Tensor"),
        ("Teacher", None, "forward gives None (is a `return` missing?), expected a Tensor"),
    ],
)
def test_finds_a_forward_that_gives_something_else(kind: str, given: object, said: str) -> None:
    faults = _fails(_with_forward(kind, lambda *_: given))
    assert len(faults) >= 7
    assert [fault for fault in faults if said not in fault] == []


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("mask", Tensor.long, "mask of torch.int64, expected torch.bool"),
        ("mask", lambda mask: mask[:, 1:], "a mask of the shape"),
        ("mask", Tensor.logical_not, "a mask with 0 tokens of video 0"),
        ("patches", Tensor.int, "patches of torch.int32, expected torch.int64"),
        ("patches", lambda patches: patches[0], "patches of the shape"),
        ("patches", lambda patches: patches.flip(1), "patches of video 0 that differ from those of its layout"),
        ("embeddings", lambda embeddings: embeddings * torch.nan, "embeddings with NaN"),
        ("embeddings", lambda embeddings: embeddings[:, 1:], "embeddings of the shape"),
    ],
)
def test_finds_an_aligner_with_other_tokens(name: str, change: Callable[[Tensor], Tensor], said: str) -> None:
    forward = type(EveSpec.tiny().build(8)).forward

    def changed(self: Any, video: Any) -> Any:
        tokens = forward(self, video)
        setattr(tokens, name, change(getattr(tokens, name)))
        return tokens

    assert any(
        "layout_is_what_comes_out" in fault and said in fault for fault in _fails(_with_forward("Aligner", changed))
    )


@pytest.mark.parametrize(("name", "given"), [("layout", None), ("grid", 4)])
def test_finds_a_spec_that_declares_nothing(name: str, given: object) -> None:
    faults = _fails(_changed(SPECS["Aligner" if name == "layout" else "Downsampler"], **{name: lambda *_: given}))
    assert len(faults) >= 3
    assert [fault for fault in faults if "AssertionError" not in fault or f"{name} gives" not in fault] == []


class _Faulty(Downsampler):
    """Keeps something that its state does not have, draws, and has a shape of its own on the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.rand(1)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 1:] if x.is_meta else x + self.kept + torch.rand(1)


class _Forgetful(AvgPoolSpec):
    """Does not write down what it was given."""

    @field_serializer("window")
    def _write(self, window: int) -> int:
        return 1 if window < 9 else 0

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    def build(self, width: int) -> Downsampler:
        return _Faulty()


def test_says_what_differs() -> None:
    faults = dict(fault.split(": ", 1) for fault in _fails(_Forgetful(window=2)))
    for name, said in {
        "spec_round_trips": "differs in ['window']",
        "saving_keeps_every_bit": "a copy's tokens: differs by ",
        "is_deterministic": "the same frames twice: differs by ",
        "builds_on_meta": "gives of the shape (2, 3, 4, 32), expected (2, 4, 4, 32), as its grid says of 4x4 patches",
    }.items():
        assert said in faults[name]
    assert "cannot be read again" in _fails(_Forgetful(window=9))[0]


def test_every_assertion_has_words() -> None:
    for file in Path(vlmkit.testing.__path__[0]).glob("*.py"):
        asserts = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Assert)]
        assert [f"{file.name}:{node.lineno}" for node in asserts if node.msg is None] == []


def test_there_are_checks_of_known_kinds_only() -> None:
    with pytest.raises(ValueError, match=r"no kind 'alinger'; did you mean 'aligner'\?"):
        checks("alinger")
