"""Texts that a capsule may keep."""

from __future__ import annotations

import pytest

from vlmkit.publish.capsule import is_open


@pytest.mark.parametrize(
    ("license_text", "allowed"),
    [
        ("Apache-2.0, as vlmkit", True),
        ("annotations MIT; videos come from eleven other datasets, each under its own terms", True),
        ("CC BY 4.0", True),
        ("CC BY-SA 3.0; videos are others'", True),
        ("CC BY-NC-SA 4.0, research only", False),
        ("none stated; videos are on YouTube under CC BY 4.0", False),
        ("none stated for the annotations, which are built on NExT-QA; videos MIT", False),
        ("mine", False),
    ],
)
def test_open_licenses_are_known_by_the_part_about_annotations(license_text: str, allowed: bool) -> None:
    assert is_open(license_text) is allowed
