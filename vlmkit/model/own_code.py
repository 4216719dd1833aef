"""No code from a model's folder: vlmkit writes none there, so that a file which names some is not its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmkit.errors import CheckpointError
from vlmkit.files import is_file
from vlmkit.json_files import read_json

__all__ = ["refuse_code"]

_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
)
_KEYS = ("auto_map", "custom_generate")
"""Under these transformers finds classes and functions that stand in Python files beside the weights."""
_ADAPTER = "adapter_config.json"
_REMEDY = "remove it, or write or copy the folder anew"


def refuse_code(path: object) -> None:
    """Raise a CheckpointError where a file of the folder `path` names code, or another model to start from."""
    folder = Path(str(path))
    for name in _FILES:
        if is_file(folder / name):
            content = read_json(folder / name, "a JSON object", CheckpointError, _REMEDY)
            if key := _named(content):
                raise CheckpointError(
                    f"{folder / name}: expected a model of vlmkit, found the key {key}, which names Python code to "
                    f"run; code from a model's folder is never run: {_REMEDY}"
                )
    if is_file(folder / _ADAPTER):
        raise CheckpointError(f"{folder}: expected a whole model, found an adapter's {_ADAPTER} in it; {_REMEDY}")


def _named(content: Any) -> str:
    """The key under which code is named, at the top or in a part; empty where there is none."""
    if not isinstance(content, Mapping):
        return ""
    parts = [content, *(value for value in content.values() if isinstance(value, Mapping))]
    return next((key for part in parts for key in _KEYS if key in part), "")
