"""A new plugin package, written out of templates: all files that it needs, with a small component that works.

A template is a text for `string.Template`; below `templates`, `package` is for all kinds, `component` for those of
components, and the folder of a kind for that kind alone. `NAME` and `MODULE` in its path are replaced, `.txt` is cut.
"""

from __future__ import annotations

import keyword
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from string import Template

from vlmkit._version import __version__
from vlmkit.errors import PluginError, did_you_mean, shown
from vlmkit.files import atomic_folder, expand_path
from vlmkit.registration import alike
from vlmkit.registry import KINDS, registry

__all__ = ["TEMPLATE_KINDS", "new_package"]

_TEMPLATES = Path(__file__).parent / "templates"
_SHARED = ("package", "component")
TEMPLATE_KINDS = tuple(sorted(folder.name for folder in _TEMPLATES.iterdir() if folder.name not in _SHARED))
"""Kinds of components that there are templates of, and what plugins offer by hooks of their own."""
_LONGEST = 30
"""Characters of a name: lines with it have room for so many."""


def new_package(name: str, kind: str, folder: Path) -> Path:
    """Write the package `name`, with a component of a kind, into the new folder FOLDER/NAME, and return that.

    It is written whole or not at all. A PluginError where the kind is unknown, the name is taken or cannot be one, or
    the folder is there already.
    """
    if kind not in TEMPLATE_KINDS:
        near = did_you_mean(kind, TEMPLATE_KINDS)
        raise PluginError(f"there is no kind {shown(kind)}; {near}kinds: {', '.join(TEMPLATE_KINDS)}")
    module = name.replace("-", "_")
    _check_name(name, module, kind)
    place = expand_path(folder) / name
    if os.path.lexists(place):
        raise PluginError(f"{place} is there already; choose another name or folder, or remove it")
    worker = "".join(map(str.capitalize, name.split("-")))
    worker = worker if worker.endswith(kind.capitalize()) else f"{worker}{kind.capitalize()}"
    fields = {
        "name": name,
        "module": module,
        "kind": kind,
        "version": __version__,
        "spec": f"{worker}Spec",
        "component": worker,
    }
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(place) as made:
            for file, text in _files(kind).items():
                target = made / file.replace("MODULE", module).replace("NAME", name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(Template(text).substitute(fields), encoding="utf-8")
    except OSError as error:
        raise PluginError(f"{place}: this folder cannot be made: {error.strerror}; choose another one") from None
    return place


def _files(kind: str) -> dict[str, str]:
    """Return the templates of a kind by the path of what is made of them; the kind's own go before those of all."""
    found = {}
    for layer in (*(_SHARED if kind in KINDS else _SHARED[:1]), kind):
        for file in sorted(path for path in (_TEMPLATES / layer).rglob("*.txt") if path.is_file()):
            found[file.relative_to(_TEMPLATES / layer).as_posix().removesuffix(".txt")] = file.read_text("utf-8")
    return found


def _check_name(name: str, module: str, kind: str) -> None:
    """Raise a PluginError where this cannot be the name of a package, of its module and of its component."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > _LONGEST:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST].strip("-")
        hint = f"e.g. {plain}, " if re.match("[a-z]", plain) else ""
        raise PluginError(
            f"the name of a plugin: expected lower-case letters and digits with single hyphens between, {hint}starting "
            f"with a letter, at most {_LONGEST} characters; found {shown(name)}"
        )
    if name in TEMPLATE_KINDS or keyword.iskeyword(module) or module in sys.stdlib_module_names:
        taken = "a kind" if name in TEMPLATE_KINDS else "a word or module of Python"
        raise PluginError(f"a plugin cannot be called {name!r}, which is {taken}; choose another name")
    for plugin in registry().plugins:
        if alike(name, plugin.name, plugin.distribution) or plugin.module.partition(":")[0] == module:
            raise PluginError(f"{name!r} is an installed plugin ({plugin.package}); choose another name")
    if kind in KINDS and name in registry().names(kind):
        owners = " and ".join(
            offer.plugin.package for offer in registry().components(kind) if offer.spec.component_name() == name
        )
        raise PluginError(f"{kind} {name!r} is there already, of {owners}; choose another name")
    if _can_be_imported(module):
        raise PluginError(
            f"a package can be imported as `{module}` already, which {name!r} would hide; choose another name"
        )


def _can_be_imported(module: str) -> bool:
    found = find_spec(module)
    return found is not None and found.origin is not None  # a folder without code has no origin
