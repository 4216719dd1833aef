"""Options of two language models side by side, also where a file says something odd."""

from __future__ import annotations

from typing import Any

import pytest

from vlmkit.model.same import differences


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"rope_theta": 1e4}, []),
        ({"rope_theta": 5e5}, ["rope_theta is 500000.0 there and 10000.0 in the spec"]),
        ({"rope_parameters": {"rope_theta": 5e5}}, ["rope_theta is 500000.0 there and 10000.0 in the spec"]),
        ({"rope_parameters": 3, "hidden_size": 16}, []),
        ({"rope_parameters": None, "hidden_size": [16]}, ["hidden_size is [16] there and 16 in the spec"]),
    ],
)
def test_what_differs(there: dict[str, Any], expected: list[str]) -> None:
    assert differences(there, {"hidden_size": 16, "rope_parameters": {"rope_theta": 1e4}}) == expected
