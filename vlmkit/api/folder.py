"""A folder of released weights in the layout of transformers: the names of its files, and what stands in its JSON.

No torch. Whatever is not as it should be is a CheckpointError.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlmkit.api.files import read_json
from vlmkit.errors import CheckpointError, shown

__all__ = ["INDEX", "STANDARD", "read_index", "read_mapping"]

INDEX = ".index.json"
"""How the name of an index ends."""
STANDARD = ("model.safetensors", f"model.safetensors{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")
"""Names of the weights, in the order in which transformers looks for them."""
_REMEDY = "fetch it again"


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
