"""The environment of a capsule, compared."""

from __future__ import annotations

from vlmkit.publish.provenance import environment_differences


def test_environments_are_compared_by_version() -> None:
    before = {"python": "3.11", "packages": {"av": "14", "torch": "2.6"}, "torch_threads": 1, "devices": None}
    now = {
        "python": "3.11",
        "packages": {"av": "15", "pillow": "11", "torch": "2.6"},
        "torch_threads": 2,
        "devices": ["A100"],
    }
    assert environment_differences(before, before) == []
    assert environment_differences(before, now) == [
        "av 14 in the capsule, 15 here",
        "pillow absent in the capsule, 11 here",
        "devices: none in the capsule, A100 here",
        "torch threads: 1 in the capsule, 2 here",
    ]
