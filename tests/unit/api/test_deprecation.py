"""Names that are replaced, and options of components that earlier versions called otherwise, or had."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from vlmkit.api import Spec, deprecated


class Widths(Spec):
    renamed: ClassVar[dict[str, str]] = {"depth": "layers", "size": "width"}
    removed: ClassVar[dict[str, str]] = {"mode": "the mean is always taken; remove it"}

    layers: int = 1
    width: int = 1


class Holder(Spec):
    widths: Widths = Widths()


def test_a_deprecated_name_is_said_once_where_it_is_used() -> None:
    def halve() -> None:
        deprecated("`halve()`", "`pool(2)`")

    with pytest.warns(FutureWarning, match=r"^`halve\(\)` is deprecated and will go away; use `pool\(2\)`$") as caught:
        halve()
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        halve()


def test_an_option_under_its_old_name_is_read_with_a_warning() -> None:
    with pytest.warns(FutureWarning, match=r"the option `depth` of Widths .* is deprecated .*; use `layers`") as caught:
        holders = [Holder.model_validate({"widths": {"depth": 3, "width": 2}}) for _ in range(2)]
    assert len(caught) == 1
    assert holders[0] == holders[1]
    assert holders[0].model_dump() == {"widths": {"layers": 3, "width": 2}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 2, "width": 3}, "calls this option `width`, which is set too; remove `size`"),
        ({"mode": "mean"}, "has no option `mode` any more: the mean is always taken; remove it"),
    ],
)
def test_an_option_that_cannot_be_read_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate({"widths": options})
    [error] = caught.value.errors()
    assert error["loc"] == ("widths", *[key for key in options if key != "width"])
    assert error["msg"].startswith("Widths (module ")
    assert error["msg"].endswith(said)
