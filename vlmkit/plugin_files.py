"""Plugins that are one Python file, imported by its name from its folder, which processes that read data see too."""

from __future__ import annotations

import sys
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from vlmkit.errors import PluginError
from vlmkit.files import file_sha256, is_file

__all__ = ["FILE_VERSION", "import_file", "obtain", "version_of_file"]

FILE_VERSION = "sha256:"
"""How the version of a plugin begins that is one file: the rest are digits of the checksum of its content."""
_DIGITS = 16
_imported: dict[Path, str] = {}


def version_of_file(file: Path) -> str:
    """Return what tells one content of a plugin's file from another. A PluginError where there is no such file."""
    if not is_file(file):
        raise PluginError(f"{file}: expected the Python file of a plugin; there is no such file")
    return FILE_VERSION + file_sha256(file)[:_DIGITS]


def import_file(file: Path) -> ModuleType:
    """Import a file, an absolute path, as a module of its own name. Its folder becomes the last of `sys.path`.

    A PluginError where no module can have this name, another one has it, or the file has changed since it was imported.
    """
    name, version = file.stem, version_of_file(file)
    if not name.isidentifier():
        raise PluginError(f"{file}: expected letters, digits and `_` before `.py`, as in an import; rename the file")
    if _imported.setdefault(file, version) != version:
        raise PluginError(f"{file}: it has changed since this process imported it; start Python anew")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    invalidate_caches()
    known = sys.modules.get(name)
    origin = getattr(known, "__file__", None) if known else getattr(find_spec(name), "origin", None)
    if origin is None or Path(origin).resolve() != file.resolve():
        raise PluginError(f"{file}: another module has the name {name!r} ({origin or 'built in'}); rename the file")
    return import_module(name)


def obtain(package: str, version: str) -> str:
    """Return how to get a plugin: `pip install 'mine==1.2'`, or for a file how to name it."""
    if version.startswith(FILE_VERSION):
        return f"have the file {package} ({version}) in VLMKIT_PLUGINS=FOLDER/{package}, or in the spec's `plugins`"
    return f"pip install '{package}=={version}'"
