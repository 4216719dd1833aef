"""The environment of a run: what an accelerator is called."""

from __future__ import annotations

import pytest
import torch

from vlmkit.runtime import environment


@pytest.mark.parametrize("names", [["First", "Second"], []])
def test_devices(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)
    assert environment()["devices"] == (names or None)
