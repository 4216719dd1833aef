"""Options as data: what a field takes, where pydantic would convert, and what an editor shows of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field, NonNegativeInt, PositiveFloat, ValidationError, field_validator
from pydantic.json_schema import SkipJsonSchema

from vlmkit.api import Spec
from vlmkit.spec.evaluation import EvaluationSpec


class Inner(Spec):
    rates: dict[str, PositiveFloat] | None = None
    mean: tuple[float, float] = (0.0, 1.0)


class Outer(Spec):
    count: NonNegativeInt = 1
    some: int | None = None
    share: float = 0.5
    blind: bool = False
    inner: Inner = Inner()
    folder: Path | None = None


@pytest.mark.parametrize(
    ("options", "place", "said"),
    [
        ({"count": "16"}, ("count",), "valid integer"),
        ({"count": True}, ("count",), "valid integer"),
        ({"count": 1.5}, ("count",), "valid integer"),
        ({"some": "6"}, ("some",), "valid integer"),
        ({"share": "0.5"}, ("share",), "valid number"),
        ({"share": True}, ("share",), "valid number"),
        ({"share": math.inf}, ("share",), "finite number"),
        ({"blind": "yes"}, ("blind",), "valid boolean"),
        ({"blind": 1}, ("blind",), "valid boolean"),
        ({"inner": {"rates": {"aligner": "1e-3"}}}, ("inner", "rates", "aligner"), "valid number"),
        ({"inner": {"rates": {"aligner": math.inf}}}, ("inner", "rates", "aligner"), "finite number"),
        ({"inner": {"mean": [0, math.nan]}}, ("inner", "mean", 1), "finite number"),
    ],
)
def test_nothing_is_converted_into_a_number(options: dict[str, Any], place: tuple[str | int, ...], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(options)
    [error] = caught.value.errors()
    assert error["loc"] == place
    assert said in error["msg"]


class Reading(Spec):
    path: Path

    @field_validator("path")
    @classmethod
    def _there(cls, path: Path) -> Path:
        path.stat()
        return path


def test_a_file_that_a_component_cannot_look_at_is_an_error_of_the_spec() -> None:
    with pytest.raises(ValidationError, match="Value error, File name too long: aaa"):
        Reading.model_validate({"path": "a" * 5000})


def test_what_still_becomes_what_the_field_wants() -> None:
    spec = Outer.model_validate({"share": 1, "folder": "clips", "inner": {"mean": [1, 2], "rates": {"aligner": 1}}})
    assert spec.share == 1.0
    assert spec.folder == Path("clips")
    assert spec.inner.mean == (1.0, 2.0)


class Base(Spec):
    size: int = 1
    """Edge of a frame,
    in pixels."""
    silent: int = 1


class Derived(Base):
    unit: ClassVar[str] = "px"
    """No field."""
    size: int = 2
    rate: float = Field(default=1.0, description="Said in the field.")
    """Said below the field."""
    base: Base = Base()
    """One inside another."""


def described(spec: type[Spec]) -> dict[str, Any]:
    return {name: field.get("description") for name, field in spec.model_json_schema()["properties"].items()}


def test_the_string_below_a_field_describes_it() -> None:
    assert described(Base) == {"size": "Edge of a frame,\nin pixels.", "silent": None}


def test_an_inherited_text_stays_and_an_explicit_one_wins() -> None:
    assert described(Derived) == {
        "size": "Edge of a frame,\nin pixels.",
        "silent": None,
        "rate": "Said in the field.",
        "base": "One inside another.",
    }


def test_slots_and_items_of_lists_are_described() -> None:
    assert described(EvaluationSpec)["judge"] == (
        "Decides whether an answer is right, where no rule does; None: the benchmark's own, or else `exact`."
    )
    schema = EvaluationSpec.model_json_schema()["$defs"]["BenchmarkUse"]
    assert schema["anyOf"][1]["properties"]["split"]["description"] == "Split; None: the entry's default."


def test_a_class_without_source_has_no_texts() -> None:
    space: dict[str, Any] = {"Spec": Spec, "__name__": "nowhere"}
    exec('class Bare(Spec):\n    size: int = 1\n    """Edge."""\n', space)
    assert described(space["Bare"]) == {"size": None}


def test_keys_of_a_file_are_described_and_hidden_fields_do_no_harm() -> None:
    class Inside(Spec):
        set_: int = Field(default=1, alias="set")
        """What is
set."""
        hidden: SkipJsonSchema[int] = 1
        """Not in the schema."""

    class Empty(Spec):
        pass

    assert described(Inside) == {"set": "What is\nset."}
    assert Empty.model_json_schema()["type"] == "object"
