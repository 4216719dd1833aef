"""Plugins that are one Python file, imported by its name from its folder, by worker processes too."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from vlmkit.errors import PluginError
from vlmkit.files import file_sha256, is_file

__all__ = ["FILE_VERSION", "import_file", "inherited", "inherited_files", "obtain", "version_of_file"]

FILE_VERSION = "sha256:"
"""How the version of a plugin begins that is one file: the rest are digits of the checksum of its content."""
_DIGITS = 16
_INHERITED = "_VLMKIT_PLUGIN_FILES"
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


@contextmanager
def inherited(files: Mapping[str, str]) -> Iterator[None]:
    """Let processes that start inside load these files too: paths, each with its version."""
    os.environ[_INHERITED] = json.dumps(dict(files))
    try:
        yield
    finally:
        del os.environ[_INHERITED]


def inherited_files() -> list[Path]:
    """Return the files that the process which started this one had loaded. A PluginError where one has changed."""
    files = {Path(file): version for file, version in json.loads(os.environ.get(_INHERITED, "{}")).items()}
    for file, version in files.items():
        if version_of_file(file) != version:
            raise PluginError(f"{file}: it has changed since the command began; start it again")
    return [*files]


def obtain(package: str, version: str) -> str:
    """Return how to get a plugin: `pip install 'mine==1.2'`, or for a file how to name it."""
    if version.startswith(FILE_VERSION):
        return f"have the file {package} ({version}) in VLMKIT_PLUGINS=FOLDER/{package}, or in the spec's `plugins`"
    return f"pip install '{package}=={version}'"
