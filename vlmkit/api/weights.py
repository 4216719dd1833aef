"""Released weights in the layout of transformers: where they are, what their JSON says, and their tensors one by one.

Whatever is not as it should be is a CheckpointError. torch is imported when a file of weights is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vlmkit.errors import CheckpointError, Unavailable, shown
from vlmkit.files import expand_path, is_file, is_folder
from vlmkit.guard import POINTER, is_pointer
from vlmkit.json_files import read_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["INDEX", "STANDARD", "Place", "Shard", "Stored", "locate", "open_shard", "read_index", "read_mapping"]

INDEX = ".index.json"
"""How the name of an index ends."""
STANDARD = ("model.safetensors", f"model.safetensors{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")
"""Names of the weights, in the order in which transformers looks for them."""
_REMEDY = "fetch it again"


class Place(NamedTuple):
    """Where something published is: on this machine or on the hub."""

    name: str
    """What libraries are told: the path of what is here, or the hub id."""
    local: Path | None
    """The folder or file here; None where only the hub can have it."""
    offline: bool
    """True where the hub's cache is enough: what looks more like a path than a hub id waits for no network."""


def locate(path: str, absent: str) -> Place:
    """Return where the folder, file or hub id is that a user wrote.

    `Unavailable`, with a message that begins with `absent`, where it can only be a path, and there is nothing.
    """
    local = expand_path(path)
    if is_folder(local) or is_file(local):
        return Place(str(local), local, offline=True)
    if local.is_absolute() or path.startswith((".", "~")) or path.count("/") > 1 or "\\" in path:
        raise Unavailable(f"{absent} can be read from {path} (no such folder here); correct the path")
    first = local.parts[0] if local.parts else ""
    return Place(path, None, offline=is_folder(Path(first)))


def read_mapping(file: Path) -> dict[str, Any]:
    """Return the content of e.g. `config.json`."""
    found = read_json(file, "a JSON object", CheckpointError, _REMEDY)
    if not isinstance(found, dict):
        raise CheckpointError(f"{file}: expected a JSON object, found {shown(found)}; {_REMEDY}")
    return found


def read_index(file: Path) -> dict[str, str]:
    """Return by the names of tensors the names of the files that should hold them, beside the index."""
    index = read_mapping(file).get("weight_map")
    if not isinstance(index, dict) or not index:
        raise CheckpointError(f"{file}: expected weight_map, from names to files, found {shown(index)}; {_REMEDY}")
    for shard in index.values():
        if not isinstance(shard, str) or shard in ("", "..") or Path(shard).name != shard:
            raise CheckpointError(f"{file}: expected the names of files beside it, found {shown(shard)}; {_REMEDY}")
    return index


_DTYPES = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint", "BOOL": "bool"}
"""How safetensors' names of types begin, and torch's: `BF16` is `bfloat16`."""
_WRAPPERS = ("model", "module", "state_dict")
"""Under these a trainer's file has the weights, beside other things."""


class Stored(NamedTuple):
    """Shape and type of a tensor in a file."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Shard(NamedTuple):
    """One open file of weights. Tensors that were read are released with it."""

    tensors: dict[str, Stored]
    read: Callable[[str], Tensor]
    """Returns the tensor of a name, on the CPU."""


def open_shard(file: Path) -> Shard:
    """Open a file of weights. A CheckpointError where it is missing, damaged, or wants to run code."""
    if not is_file(file):
        raise CheckpointError(f"{file}: this file of the checkpoint is missing; fetch the folder again")
    if is_pointer(file):
        raise CheckpointError(f"{file}: expected weights, found {POINTER}")
    return _open_safetensors(file) if file.suffix == ".safetensors" else _open_pickle(file)


def _open_safetensors(file: Path) -> Shard:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        handle = safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: damaged or not complete ({error}); {_REMEDY}") from None
    stored = {}
    for name in handle.keys():  # noqa: SIM118 -- not a mapping
        part = handle.get_slice(name)
        kind = part.get_dtype().rstrip("0123456789")
        dtype = getattr(torch, part.get_dtype().replace(kind, _DTYPES.get(kind, ""), 1), torch.uint8)
        stored[name] = Stored(tuple(part.get_shape()), dtype)
    return Shard(stored, handle.get_tensor)


def _open_pickle(file: Path) -> Shard:
    from torch import Tensor

    state = _unpickled(file)
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        wanted = "expected a mapping of names to tensors, found something else in it"
        raise CheckpointError(f"{file}: {wanted}; give the file of weights")
    return Shard({name: Stored(tuple(value.shape), value.dtype) for name, value in state.items()}, state.__getitem__)


def _unpickled(file: Path) -> Any:
    import torch

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
    text = str(error).rpartition("WeightsUnpickler error: ")[2].partition("\n")[0][:120] or type(error).__name__
    found = text if not start or start.startswith(b"PK") else f"it begins with {start!r}"
    return f"damaged, not complete or not readable as weights of torch ({found}); fetch it again"
