"""What a model card says that a model cannot do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vlmkit.publish.result_words import limitations


@pytest.mark.parametrize(
    ("canvas", "said"),
    [
        ({"size": 448, "fit": "pad"}, "seen on 448 pixels."),
        ({"size": 800, "fit": "area"}, "seen on 640,000 pixels in all."),
        ({"size": 448, "fit": "pixels", "max_pixels": 230400}, "seen on 230,400 pixels in all."),
    ],
    ids=lambda value: value["fit"] if isinstance(value, dict) else "",
)
def test_details_that_are_too_small(canvas: dict[str, Any], said: str) -> None:
    facts: Any = SimpleNamespace(video={"frames": 8, "sampling": "uniform", **canvas})
    assert next(limitations(facts, options=None)).endswith(said)  # type: ignore[arg-type]
