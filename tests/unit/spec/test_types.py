"""What a field takes: pydantic would read `"6"` and `true` as numbers, and `"yes"` and `1` as true."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import NonNegativeInt, PositiveFloat, ValidationError, field_validator

from vlmkit.api import Spec


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
