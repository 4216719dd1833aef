"""Every number of a spec has bounds that no model reaches, and what lies within them is checked in a moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import Spec
from vlmkit.errors import SpecError
from vlmkit.registry import KINDS, registry
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec
from vlmkit.summary import summarize

SPECS = {f"{kind}/{name}": registry().get(kind, name).spec for kind in KINDS for name in registry().names(kind)}
SPECS["experiment"] = ExperimentSpec
LOWEST = ("minimum", "exclusiveMinimum")
HIGHEST = ("maximum", "exclusiveMaximum")


def numbers(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema that takes a number, with its place."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number") and not {"const", "enum"} & schema.keys():
            yield path, schema
        for key, below in schema.items():
            if key != "default":  # a component may be called `number`
                yield from numbers(below, f"{path}.{key}")
    elif isinstance(schema, list):
        for index, below in enumerate(schema):
            yield from numbers(below, f"{path}.{index}")


@pytest.mark.parametrize("name", SPECS)
def test_every_number_has_bounds(name: str) -> None:
    found = dict(numbers(SPECS[name].model_json_schema()))
    unbounded = [
        path
        for path, schema in found.items()
        if not any(k in schema for k in LOWEST) or not any(k in schema for k in HIGHEST)
    ]
    assert unbounded == []
    assert all(abs(schema[key]) < 2**64 for schema in found.values() for key in (*LOWEST, *HIGHEST) if key in schema)


def test_there_are_numbers_to_look_at() -> None:
    found = [path for name in SPECS for path, _ in numbers(SPECS[name].model_json_schema())]
    assert len(found) > 100


def refused(file: Path, **changes: Any) -> str:
    begin = time.process_time()
    with pytest.raises(SpecError) as caught:
        summarize(load_spec(file, set=changes))
    assert time.process_time() - begin < 10
    assert len(str(caught.value)) < 2000
    return str(caught.value)


ABSURD = [10**9, 10**10, 10**15, 2**63, 10**18, 10**299, -(10**299), -1, 0, 1e30, 5e-324, True, "8", [8], None]


@pytest.mark.parametrize("key", ["size", "frames", "multiple"])
@pytest.mark.parametrize("value", ABSURD)
def test_absurd_pixels(small_file: Path, key: str, value: Any) -> None:
    found = refused(small_file, **{f"model.aligner.input.{key}": value})
    assert f"model.aligner.input.{key}: expected a " in found


@pytest.mark.parametrize("key", ["width", "patch", "heads", "mlp_ratio", "chunk_frames", "downsampler.heads"])
@pytest.mark.parametrize("value", ABSURD[:-1])
def test_absurd_sizes_of_an_aligner(small_file: Path, key: str, value: Any) -> None:
    assert f"model.aligner.{key}" in refused(small_file, **{f"model.aligner.{key}": value})


@pytest.mark.parametrize(
    "key",
    ["seed", "data.cache_mib", "training.workers", "training.log_every", "training.distillation.layer_rate",
     "training.distillation.heads", "training.distillation.weight", "training.distillation.teacher.patch",
     "training.distillation.teacher.cells", "training.distillation.teacher.orientations",
     "training.distillation.teacher.contrast", "training.stages.0.batch_size", "training.stages.0.steps",
     "training.stages.0.save_every", "training.stages.0.max_length", "training.stages.0.max_grad_norm",
     "training.stages.0.weight_decay", "training.stages.0.train.aligner", "training.stages.0.data.0.clips",
     "training.stages.0.data.0.frames", "training.stages.0.data.0.size", "training.stages.0.data.0.seed",
     "evaluation.batch_size", "evaluation.max_new_tokens", "evaluation.benchmarks.0.limit", "data.reader.threads"],
)  # fmt: skip
def test_absurd_numbers_elsewhere(small_file: Path, key: str) -> None:
    text = small_file.read_text().replace("benchmarks: [moving-shapes]", "benchmarks: [{name: moving-shapes}]")
    small_file.write_text(
        text.replace("data: [moving-shapes]", "data: [{type: moving-shapes}]") + "data: {reader: {type: decord}}\n"
    )
    for value in (10**20, 10**299, -1, 1e30, "8", True):
        assert f"{key}: expected a" in refused(small_file, **{key: value})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input.frames": 2**16, "input.size": 2**14, "input.multiple": 16}, "pixels, expected at most 4,294,967,296"),
        ({"input.frames": 2**10, "input.size": 1024, "input.multiple": 1024, "patch": 8}, "places, expected at most"),
        ({"downsampler": {"type": "adaptive-pool", "height": 2**16, "width": 2**16}}, "8 frames of 65,536x65,536 are "),
        ({"downsampler": {"type": "perceiver", "latents": 2**16}, "input.frames": 2**14}, "16,384 frames of 1x65,536"),
    ],
)
def test_products_have_bounds_too(small_file: Path, changes: dict[str, Any], said: str) -> None:
    found = refused(small_file, **{f"model.aligner.{key}": value for key, value in changes.items()})
    assert "model.aligner" in found
    assert said in found


@pytest.mark.parametrize(
    ("aligner", "changes"),
    [
        ("stab", {"width": 2**16, "input.frames": 2**14, "heads": 2**12, "mlp_ratio": 64}),
        ("stab", {"downsampler": {"type": "perceiver", "depth": 8, "dim_head": 2**16, "heads": 2**12}}),
        ("eve", {"input.size": 2**14, "input.multiple": 2**13, "patch": 2**12, "input.frames": 16}),
        (
            "video-chatgpt",
            {"encoder.layers": 8, "encoder.width": 2**16, "encoder.heads": 2**12, "input.frames": 2**16},
        ),
        ("chat-univi", {"input.frames": 2**16, "event_frames": 1, "scales.0.neighbours": 2**16}),
        ("pllava", {"input.frames": 2**16, "encoder.mlp": 2**20}),
        (
            "video-llava",
            {"input.frames": 8, "encoder": {"type": "dinov2", "width": 16, "mlp": 64, "image_size": 2**14}},
        ),
    ],
)
def test_the_largest_numbers_are_checked_in_a_moment(small_file: Path, aligner: str, changes: dict[str, Any]) -> None:
    """Whether they fit together or not."""
    spec: Any = registry().get("aligner", aligner).spec
    values = {"model.aligner": spec.tiny(), "training": None, "evaluation": None}
    begin = time.process_time()
    try:
        summarize(load_spec(small_file, set=values | {f"model.aligner.{key}": value for key, value in changes.items()}))
    except SpecError as error:
        assert "model.aligner" in str(error)  # noqa: PT017 -- both are right
    assert time.process_time() - begin < 20


def test_a_list_of_very_many_items_is_refused(small_file: Path) -> None:
    for key, most in {"training.stages": 50, "training.stages.0.data": 1000, "evaluation.benchmarks": 200}.items():
        found = refused(small_file, **{key: ["moving-shapes"] * 20_000})
        assert f"{key}: expected at most {most} in the list; found [" in found
    rates = {f"aligner.part{number}": 1e-3 for number in range(20_000)}
    assert "train: expected at most 200 in the list" in refused(small_file, **{"training.stages.0.train": rates})


class Squares(Spec):
    """A component whose own check cannot work with a number."""

    side: int = 1

    def model_post_init(self, context: object, /) -> None:
        _ = 1 // (self.side - 2), bytes(self.side) if self.side > 2**40 else b""


@pytest.mark.parametrize("side", [2, 2**61])
def test_what_a_component_cannot_count_with_is_an_error_of_the_spec(side: int) -> None:
    with pytest.raises(ValueError, match="these numbers cannot be worked with: "):
        Squares.model_validate({"side": side})
