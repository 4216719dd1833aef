"""The device that a benchmark runs on."""

from __future__ import annotations

import re

import torch

from vlmkit.errors import UserError

__all__ = ["usable_device"]


def usable_device(name: str) -> torch.device:
    """`cpu`, `cuda` or `cuda:N` as a device of this machine. A UserError for any other, and where there is none."""
    found = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if found is None:
        raise UserError(f"--device {name}: expected cpu, cuda or cuda:N")
    if name == "cpu":
        return torch.device(name)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise UserError(f"--device {name}: this machine has no GPU that torch can use; leave the option out")
    if int(found[1] or 0) >= count:
        raise UserError(f"--device {name}: torch sees cuda:0 to cuda:{count - 1} on this machine, {count} in all")
    return torch.device(name)
