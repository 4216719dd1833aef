"""A folder of released weights in the layout of transformers: where it is, the names of its files, and what stands in
its JSON.

No torch. Whatever is not as it should be is a CheckpointError.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.errors import CheckpointError, Unavailable, shown
from vlmkit.files import expand_path, is_file, is_folder
from vlmkit.json_files import read_json

__all__ = ["INDEX", "STANDARD", "Place", "locate", "read_index", "read_mapping"]

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
    """Whether the hub's cache is enough: what looks more like a path than like a hub id does not wait for a network."""


def locate(path: str, absent: str) -> Place:
    """Return where the folder, file or hub id is.

    Args:
        path: as a user wrote it.
        absent: begins the message, e.g. "model.backbone.tokenizer: no tokenizer".

    Raises:
        Unavailable: it can only be a path, and there is nothing.
    """
    local = expand_path(path)
    if is_folder(local) or is_file(local):
        return Place(str(local), local, offline=True)
    if local.is_absolute() or path.startswith((".", "~")) or path.count("/") > 1 or "\\" in path:
        raise Unavailable(f"{absent} can be read from {path} (no such folder here); correct the path")
    first = local.parts[0] if local.parts else ""
    return Place(path, None, offline=is_folder(Path(first)))


def read_mapping(file: Path) -> dict[str, Any]:
    """The content of e.g. `config.json`."""
    found = read_json(file, "a JSON object", CheckpointError, _REMEDY)
    if not isinstance(found, dict):
        raise CheckpointError(f"{file}: expected a JSON object, found {shown(found)}; {_REMEDY}")
    return found


def read_index(file: Path) -> dict[str, str]:
    """The names of tensors, and for each the name of the file that should hold it, which stands beside the index."""
    index = read_mapping(file).get("weight_map")
    if not isinstance(index, dict) or not index:
        raise CheckpointError(f"{file}: expected weight_map, from names to files, found {shown(index)}; {_REMEDY}")
    for shard in index.values():
        if not isinstance(shard, str) or shard in ("", "..") or Path(shard).name != shard:
            raise CheckpointError(
                f"{file}: expected the names of files beside it, found {shown(shard)}; fetch it again"
            )
    return index
