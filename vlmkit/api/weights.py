"""Released weights, file by file and tensor by tensor: pickled (`.bin`, `.pt`) or safetensors. It needs torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vlmkit.api.foreign import POINTER, is_pointer
from vlmkit.errors import CheckpointError
from vlmkit.files import is_file

__all__ = ["Shard", "Stored", "open_shard"]

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_WRAPPERS = ("model", "module", "state_dict")
"""Under these a trainer's file has the weights, beside other things."""


class Stored(NamedTuple):
    """What a file says of a tensor without its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Shard(Protocol):
    """One open file. What was read is released with it."""

    def tensors(self) -> dict[str, Stored]:
        """Names, shapes and types."""

    def read(self, name: str) -> Tensor:
        """One tensor, on the CPU."""


def open_shard(file: Path) -> Shard:
    """A file of weights. A CheckpointError where it is missing, damaged, or wants to run code."""
    if not is_file(file):
        raise CheckpointError(f"{file}: this file of the checkpoint is missing; fetch the folder again")
    if is_pointer(file):
        raise CheckpointError(f"{file}: expected weights, found {POINTER}")
    return _Safe(file) if file.suffix == ".safetensors" else _Pickled(file)


class _Safe:
    def __init__(self, file: Path) -> None:
        try:
            self.handle = safe_open(file, framework="pt")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file}: damaged or not complete ({error}); fetch it again") from None

    def tensors(self) -> dict[str, Stored]:
        found = {}
        for name in self.handle.keys():  # noqa: SIM118 -- not a mapping
            part = self.handle.get_slice(name)
            found[name] = Stored(tuple(part.get_shape()), _DTYPES.get(part.get_dtype(), torch.uint8))
        return found

    def read(self, name: str) -> Tensor:
        tensor: Tensor = self.handle.get_tensor(name)
        return tensor


class _Pickled:
    def __init__(self, file: Path) -> None:
        state = _unpickled(file)
        for wrapper in _WRAPPERS:
            if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
                state = state[wrapper]
        if not isinstance(state, dict) or not all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
        ):
            raise CheckpointError(
                f"{file}: expected a mapping of names to tensors, found something else in it; give the file of weights"
            )
        self.state: dict[str, Tensor] = state

    def tensors(self) -> dict[str, Stored]:
        return {name: Stored(tuple(value.shape), value.dtype) for name, value in self.state.items()}

    def read(self, name: str) -> Tensor:
        return self.state[name]


def _unpickled(file: Path) -> Any:
    start = b""
    try:
        with file.open("rb") as stream:
            start = stream.read(16)
        # files from before torch 1.6 are no archives and cannot be mapped
        return torch.load(file, map_location="cpu", weights_only=True, mmap=start.startswith(b"PK"))
    except MemoryError:
        raise
    except Exception as error:  # what a damaged pickle raises can be anything
        raise CheckpointError(f"{file}: {_reason(error, start)}") from None


def _reason(error: Exception, start: bytes) -> str:
    if refused := re.search(r"GLOBAL ([\w.]+)", str(error)):  # the first thing asked for that torch does not allow
        return (
            f"refused: its pickle asks for {refused[1]}, and nothing but tensors is read from a pickle, because more "
            "can run code; ask its publisher for safetensors"
        )
    said = str(error).rpartition("WeightsUnpickler error: ")[2].partition("\n")[0][:120] or type(error).__name__
    found = said if not start or start.startswith(b"PK") else f"it begins with {start!r}"
    return f"damaged, not complete or not readable as weights of torch ({found}); fetch it again"
