"""Released weights on disk, read tensor by tensor: pickled (`.bin`) or safetensors, in one file or in shards."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vlmkit.errors import CheckpointError

__all__ = ["Shard", "Source", "Stored", "open_shard"]

_NAMES = ("model.safetensors", "pytorch_model.bin")
"""File names of transformers, the preferred first; an index is called NAME.index.json."""
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


class Source:
    """A folder in the layout of transformers, or one file of weights.

    `index` maps names to the files that should hold them; it is empty where there is a single file.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path if path.is_dir() else path.parent
        self.index: dict[str, str] = {}
        if path.is_file():
            self.files = [path]
            return
        if not path.is_dir():
            raise CheckpointError(f"{path}: expected the folder of a released checkpoint; there is no such folder")
        for name in _NAMES:
            if (path / f"{name}.index.json").is_file():
                self.index = _read_index(path / f"{name}.index.json")
                self.files = [path / shard for shard in sorted(set(self.index.values()))]
                return
            if (path / name).is_file():
                self.files = [path / name]
                return
        wanted = ", ".join(f"{name}, {name}.index.json" for name in _NAMES)
        raise CheckpointError(f"{path}: expected one of {wanted}; found none of them")

    def config(self) -> dict[str, Any] | None:
        """`config.json`, or None where there is none."""
        file = self.folder / "config.json"
        if not file.is_file():
            return None
        found = _read_json(file)
        if not isinstance(found, dict):
            raise CheckpointError(f"{file}: expected a mapping, found {type(found).__name__}")
        return found


def open_shard(file: Path) -> Shard:
    """A file of weights. A CheckpointError where it is missing, damaged, or wants to run code."""
    if not file.is_file():
        raise CheckpointError(f"{file}: this file of the checkpoint is missing; fetch the folder again")
    return _Safe(file) if file.suffix == ".safetensors" else _Pickled(file)


class _Safe:
    def __init__(self, file: Path) -> None:
        try:
            self.handle = safe_open(file, framework="pt")
        except SafetensorError as error:
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
        with file.open("rb") as stream:
            mmap = stream.read(2) == b"PK"  # files from before torch 1.6 cannot be mapped
        try:
            state = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
        except pickle.UnpicklingError as error:
            raise CheckpointError(_refused(file, error)) from None
        except (RuntimeError, EOFError, KeyError, ValueError, OSError) as error:
            reason = str(error).partition("\n")[0][:120]
            raise CheckpointError(
                f"{file}: damaged, not complete or no file of torch ({reason}); fetch it again"
            ) from None
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise CheckpointError(f"{file}: expected a mapping of names to tensors, found something else in it")
        self.state: dict[str, Tensor] = state

    def tensors(self) -> dict[str, Stored]:
        return {name: Stored(tuple(value.shape), value.dtype) for name, value in self.state.items()}

    def read(self, name: str) -> Tensor:
        return self.state[name]


def _refused(file: Path, error: Exception) -> str:
    """torch names the first global that a pickle asks for and that it does not allow."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    if found is None:
        return f"{file}: not readable as weights; damaged, or no file of torch"
    return (
        f"{file}: refused: its pickle asks for {found[1]}, and nothing but tensors is read from a pickle, because more "
        "can run code; ask its publisher for safetensors"
    )


def _read_index(file: Path) -> dict[str, str]:
    content = _read_json(file)
    index = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(index, dict) or not index:
        raise CheckpointError(f"{file}: expected the key weight_map, names to files; found none")
    for shard in set(index.values()):
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise CheckpointError(f"{file}: expected the names of files beside it, found {shard!r}")
    return index


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file}: not readable as JSON: {error}") from None
