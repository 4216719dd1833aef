"""On the meta device: components whose modules give something else than their specs declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vlmkit.api import Aligner, Downsampler, PluginError, VideoBatch, VisualTokens
from vlmkit.data import FittedVideo
from vlmkit.model import compose
from vlmkit.model.compose import check_shapes
from vlmkit.spec.experiment import ModelSpec
from vlmkit.summary import build_meta_teacher
from vlmkit_pooling.spec import AvgPoolSpec
from vlmkit_stab.spec import StabSpec
from vlmkit_teachers.spec import HogSpec

SpecMaker = Callable[..., ModelSpec]


class _Short(Downsampler):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, 2::2, ::2]


class _ShortSpec(AvgPoolSpec):
    """One row fewer than its grid says."""

    def build(self, width: int) -> Downsampler:
        return _Short()


class _Changed(StabSpec):
    """An aligner whose tokens are changed on their way out."""

    def build(self, llm_width: int) -> Aligner:
        module = super().build(llm_width)
        module.__class__ = type("Changed", (type(module),), {"forward": _forward})
        return module


CHANGES: dict[str, Callable[[VisualTokens], object]] = {}


def _forward(self: Any, video: VideoBatch) -> Any:
    tokens = super(type(self), self).forward(video)
    for name, change in CHANGES.items():
        setattr(tokens, name, change(getattr(tokens, name)))
    return tokens


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What becomes of the tokens, by name."""
    return lambda **changes: [monkeypatch.setitem(CHANGES, *item) for item in changes.items()]  # type: ignore[return-value]


def _with_aligner(spec: ModelSpec, aligner: type[StabSpec], **options: Any) -> ModelSpec:
    changed = aligner.model_validate(spec.aligner.model_dump()).model_copy(update=options)
    return spec.model_copy(update={"aligner": changed})


def _try(spec: ModelSpec) -> None:
    check_shapes(compose(spec, meta=True)[0], spec)


def test_what_fits_passes(make_spec: SpecMaker) -> None:
    _try(make_spec())


def test_a_downsampler_within_an_aligner_is_the_one_that_is_named(make_spec: SpecMaker) -> None:
    spec = _with_aligner(make_spec(), StabSpec, downsampler=_ShortSpec(window=2))
    with pytest.raises(PluginError, match=r"^downsampler 'avg-pool' \(vlmkit .*: forward gives of .*its grid"):
        _try(spec)


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("embeddings", lambda x: x[:, 1:], "gives embeddings of the shape"),
        ("embeddings", lambda x: x[..., 1:], "gives embeddings of the shape"),
        ("mask", lambda x: x.long(), "gives mask of torch.int64, expected torch.bool"),
        ("patches", lambda x: x[:, 1:], "gives patches of the shape"),
        ("patches", lambda x: None, "gives None .*, expected a Tensor as `patches`"),
    ],
)
def test_tokens_that_differ_from_the_layout(
    make_spec: SpecMaker, change: Callable[..., None], name: str, changed: Any, said: str
) -> None:
    change(**{name: changed})
    with pytest.raises(PluginError, match=rf"^aligner 'stab' \(vlmkit .*: forward {said}"):
        _try(_with_aligner(make_spec(), _Changed))


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("embeddings", lambda x: x * torch.inf, "gives embeddings with NaN or infinity"),
        ("mask", torch.logical_not, "gives a mask with 0 tokens of video 0, expected that the first 28"),
        ("patches", lambda x: x.flip(-1), "gives patches of video 0 that differ from those of its layout"),
    ],
)
def test_values_are_looked_at_in_the_first_batch(
    make_spec: SpecMaker, change: Callable[..., None], make_clip: Any, name: str, changed: Any, said: str
) -> None:
    model, processor = compose(_with_aligner(make_spec(), _Changed))
    clip: FittedVideo = make_clip()
    inputs = processor(text=["<video> what"], videos=[clip])
    change(**{name: changed})
    with pytest.raises(PluginError, match=f"forward {said}"):
        model(**inputs)
    CHANGES.clear()
    model(**inputs)


def _other_language_model(spec: ModelSpec, build: Callable[[Any], Any]) -> ModelSpec:
    backbone = spec.backbone
    changed = type("Changed", (type(backbone),), {"build": build})
    return spec.model_copy(update={"backbone": changed.model_validate(backbone.model_dump())})


class _Wrong(nn.Module):
    """A language model with one member changed."""

    def __init__(self, model: Any, output: Callable[[Any], Any]) -> None:
        super().__init__()
        self.model, self.config, self.output = model, model.config, output

    def get_input_embeddings(self) -> Any:
        return self.model.get_input_embeddings()

    def forward(self, **inputs: Any) -> Any:
        return self.output(self.model(**inputs))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (lambda out: type(out)(logits=out.logits), "gives 0 hidden states, expected 3: the embeddings and those of 2"),
        (lambda out: type(out)(logits=out.logits, hidden_states=out.hidden_states[1:]), "gives 2 hidden states"),
        (
            lambda out: type(out)(logits=out.logits, hidden_states=tuple(x[..., 1:] for x in out.hidden_states)),
            "gives hidden states of 31 channels, expected 32",
        ),
        (lambda out: None, r"gives None .* without logits"),
        (lambda out: {}["logits"], "raised KeyError: 'logits'"),
    ],
)
def test_language_models(make_spec: SpecMaker, output: Callable[[Any], Any], said: str) -> None:
    def build(self: Any) -> Any:
        return _Wrong(super(type(self), self).build(), output)

    with pytest.raises(PluginError, match=rf"^backbone 'hf-causal-lm' \(vlmkit .*: forward {said}"):
        _try(_other_language_model(make_spec(), build))


@pytest.mark.parametrize("member", [{"grid": lambda self: (3, 2)}, {"width": property(lambda self: 5)}])
def test_teachers(member: dict[str, Any]) -> None:
    build_meta_teacher(HogSpec.tiny(), 2)
    spec = type("Changed", (HogSpec,), member).model_validate(HogSpec.tiny().model_dump())
    with pytest.raises(PluginError, match=r"^teacher 'hog' .*: forward gives of the shape \(1, 2, 2, 2, 16\), "):
        build_meta_teacher(spec, 2)
