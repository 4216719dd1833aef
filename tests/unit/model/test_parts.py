"""Parts that nobody can build."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from vlmkit.errors import PluginError, SpecError
from vlmkit.guard import building
from vlmkit.model import compose
from vlmkit.model.aligners import check_size
from vlmkit.model.compose import check_room
from vlmkit.registry import registry
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.summary import summarize


@pytest.mark.parametrize(
    ("sizes", "said"),
    [((10**10, 10**10), "Storage size calculation overflowed"), ((10**20,), "Overflow when unpacking"),
     ((2**62, 8), "Storage size calculation overflowed")],
)  # fmt: skip
def test_sizes_that_torch_does_not_count_with(sizes: tuple[int, ...], said: str) -> None:
    expected = rf"^model\.aligner: no machine has room for these sizes: .*{said}"
    with pytest.raises(SpecError, match=expected), building("model.aligner"):
        torch.empty(*sizes, device="meta")


def test_memory_that_the_machine_lacks() -> None:
    expected = r"^model\.aligner: no machine has room .*can't allocate memory"
    with pytest.raises(SpecError, match=expected), building("model.aligner"):
        torch.empty(2**55)


@pytest.mark.parametrize(
    ("error", "said"),
    [(ValueError("8 heads do not divide 9"), "^a: 8 heads do not divide 9$"), (OverflowError("big"), "^a: .*: big"),
     (ZeroDivisionError("zero"), "^a: .*zero"), (MemoryError(), "^a: no machine has room .*MemoryError")],
)  # fmt: skip
def test_what_is_raised_names_the_part(error: Exception, said: str) -> None:
    with pytest.raises(SpecError, match=said), building("a"):
        raise error


@pytest.mark.parametrize("error", [PluginError("of a plugin"), RuntimeError("a defect"), KeyError("a defect")])
def test_what_is_no_fault_of_a_size_passes(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, building("a"):
        raise error
    assert caught.value is error


def test_more_parameters_than_any_model() -> None:
    with torch.device("meta"):
        check_size(nn.Linear(2**21, 2**22), "a")
        with pytest.raises(SpecError, match=r"^a: these options make 17,592,190,238,720 parameters, expected"):
            check_size(nn.Linear(2**22, 2**22), "a")


def test_more_weights_than_memory() -> None:
    check_room(nn.Linear(2, 2), "a")
    with torch.device("meta"), pytest.raises(SpecError, match=r"^a: its weights take 256\.\d GiB, this machine has"):
        check_room(nn.Linear(2**18, 2**18), "a")


@pytest.fixture
def experiment() -> ExperimentSpec:
    """With numbers of a component that no bound of its own has stopped."""
    aligner: Any = registry().get("aligner", "eve").spec
    backbone: Any = registry().get("backbone", "hf-causal-lm").spec
    teacher: Any = registry().get("teacher", "clip").spec
    distillation = {"teacher": teacher.tiny(), "layer_rate": 1, "heads": 4}
    rates = {"aligner": 1e-3, "distillation": 1e-3}
    return ExperimentSpec.model_validate(
        {
            "vlmkit": 1,
            "name": "small",
            "model": {"aligner": aligner.tiny(), "backbone": backbone.tiny()},
            "training": {
                "distillation": distillation,
                "stages": [{"name": "one", "data": ["moving-shapes"], "steps": 1, "train": rates}],
            },
        }
    )


def changed(spec: Any, path: str, value: object) -> Any:
    """The spec with one value changed, unchecked."""
    key, _, below = path.partition(".")
    return spec.model_copy(update={key: changed(getattr(spec, key), below, value) if below else value})


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("model.aligner.width", 2**40, r"^model\.aligner: no machine has room for these sizes: "),
        ("model.aligner.width", 10**20, r"^model\.aligner: (?:no machine has room|these numbers cannot)"),
        ("model.aligner.width", 2**23, r"^model\.aligner: these options make [\d,]+ parameters, expected at most "),
        (
            "training.distillation.teacher.encoder.width",
            2**40,
            r"^training\.distillation(?:\.teacher)?: no machine has",
        ),
        (
            "training.distillation.teacher.encoder.width",
            2**22,
            r"^training\.distillation\.teacher: these options make ",
        ),
    ],
)
def test_numbers_that_nothing_else_has_stopped(experiment: ExperimentSpec, path: str, value: int, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        summarize(changed(experiment, path, value))


def test_an_aligner_beyond_this_machine_is_refused_before_it_is_built(
    experiment: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = changed(experiment.model, "aligner.width", 512)
    monkeypatch.setattr("os.sysconf", lambda name: 1024)  # pages, of so many bytes
    compose(model, meta=True)
    with pytest.raises(SpecError, match=r"^model\.aligner: its weights take [\d,.]+ GiB, this machine has 0\.0 GiB"):
        compose(model)
