"""What a run was made with: versions, plugins, machine. Reads metadata only; imports none of the packages."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vlmkit.registry import registry

__all__ = ["environment"]

_PACKAGES = (
    "accelerate",
    "av",
    "decord",
    "deepspeed",
    "lm-eval",
    "numpy",
    "peft",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "vlmkit",
)


def environment() -> dict[str, Any]:
    """Plain data: Python, platform, package versions, plugins (name, package, state) and torch's threads.

    `torch_threads` is None where torch has not been imported.
    """
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads() if torch else None,
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "plugins": [
            {"name": plugin.name, "package": plugin.package, "state": plugin.state} for plugin in registry().plugins
        ],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
