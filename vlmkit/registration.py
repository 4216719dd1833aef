"""A plugin and its components, and the checks at its registration: API version, hooks, spec classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import FunctionType, ModuleType
from typing import Any, Generic, NamedTuple, TypeVar, get_args

from pluggy import PluginManager

from vlmkit.api import hookspecs
from vlmkit.api.deprecation import deprecated
from vlmkit.api.spec import ComponentSpec, Spec
from vlmkit.errors import PluginError, did_you_mean, shown

__all__ = [
    "Component",
    "Gathered",
    "Plugin",
    "alike",
    "ambiguous",
    "call_hook",
    "check_module",
    "check_offer",
    "qualifier",
]

T = TypeVar("T")
_LONG = 100
"""Characters of a description, beyond which its first sentence will do."""
_MISSPELT = 0.85
"""How like the name of a hook that of a function is that was meant to be one, as difflib's `ratio` has it."""
_HOOKS = [name for name in hookspecs.__all__ if name.startswith("vlmkit_")]


@dataclass
class Plugin:
    """One entry point of the group `vlmkit`, or one file: loaded, left out or broken."""

    name: str
    module: str
    distribution: str = ""
    """The installed package, or the name of its file where it is one; empty where the entry point is of none."""
    version: str = ""
    """Of the package, or the file's `sha256:…`."""
    state: str = "loaded"
    """`loaded`, `left out` (by VLMKIT_PLUGINS) or `broken`."""
    error: str = ""
    """Why it is broken, in one line."""
    trace: str = ""
    components: list[str] = field(default_factory=list)

    @property
    def package(self) -> str:
        """Package and version, for people."""
        return f"{self.distribution} {self.version}" if self.distribution else "(unknown package)"

    def is_called(self, name: str) -> bool:
        """Return whether this is the name of its entry point, or `package:name`."""
        package, colon, own = name.rpartition(":")
        return own == self.name and (not colon or alike(package, self.distribution))


@dataclass(frozen=True)
class Component:
    """A registered spec class and the plugin that it comes from."""

    spec: type[ComponentSpec]
    plugin: Plugin

    @property
    def description(self) -> str:
        """The first paragraph of its docstring, or the first sentence of that where it is long."""
        paragraph = " ".join((inspect.getdoc(self.spec) or "").partition("\n\n")[0].split())
        return paragraph if len(paragraph) <= _LONG else re.split(r"(?<=[.!?]) (?=[A-Z`])", paragraph, maxsplit=1)[0]


class Gathered(NamedTuple, Generic[T]):
    """The items that plugins return from one hook."""

    found: list[tuple[Plugin, T]]
    """Each item with the plugin that offers it."""
    faults: list[str]
    """A message for each plugin that raised, or returned something else."""


def check_module(module: ModuleType, where: str, manager: PluginManager) -> None:
    """Raise a PluginError where the module was made for another API, or has hooks that would never be called."""
    version = getattr(module, "VLMKIT_API", None)
    if version != hookspecs.API_VERSION:
        found = "no VLMKIT_API" if version is None else f"VLMKIT_API = {version!r}"
        wanted = f"expected VLMKIT_API = {hookspecs.API_VERSION} in {where}"
        raise PluginError(f"{wanted}, found {found}; install a version of the plugin made for this vlmkit")
    hooks = [name for name in dir(module) if _is_hook(module, name, manager)]
    if not hooks:
        wanted = f"expected a function with @hookimpl of vlmkit; hooks: {', '.join(_HOOKS)}"
        raise PluginError(f"{where} has no hook, so it offers nothing; {wanted}")


def _is_hook(module: ModuleType, name: str, manager: PluginManager) -> bool:
    """Return whether the name is that of a hook. A PluginError where it should be one and would never be called."""
    options = manager.parse_hookimpl_opts(module, name)
    if options is not None:
        hook = options.get("specname") or name
        _check_hook(hook)
        if options.get("wrapper") or options.get("hookwrapper"):
            raise PluginError(f"{hook} is a hook wrapper, but vlmkit calls each plugin by itself; leave that out")
        if hook in hookspecs.OBSERVING:
            deprecated(f"the hook {hook} of {module.__name__}", "an observer: vlmkit.api.ObserverSpec")
        return True
    if not isinstance(getattr(module, name), FunctionType):
        return False
    if name.startswith("vlmkit_") or get_close_matches(name, _HOOKS, n=1, cutoff=_MISSPELT):
        _check_hook(name)
        raise PluginError(f"{name} has no @hookimpl and would never be called; add it: from vlmkit import hookimpl")
    return False


def _check_hook(hook: str) -> None:
    if hook not in _HOOKS:
        raise PluginError(f"vlmkit has no hook {hook!r}; {did_you_mean(hook, _HOOKS)}hooks: {', '.join(_HOOKS)}")


def check_offer(spec: type, kinds: Mapping[str, type[ComponentSpec]]) -> None:
    """Raise a PluginError where this is no spec class of one of the kinds, or one that no spec file could name."""
    if not issubclass(spec, ComponentSpec):
        raise PluginError(f"vlmkit_components returned {spec!r}; expected subclasses of ComponentSpec")
    fields = spec.model_fields
    if taken := [name for name in fields if _is_of_vlmkit(spec, name)]:
        raise PluginError(f"{spec.__name__}: an option cannot be called `{taken[0]}`, which vlmkit uses; rename it")
    if wrong := sorted({*spec.renamed, *spec.removed} & {*fields} | {*spec.renamed.values()} - {*fields}):
        raise PluginError(
            f"{spec.__name__}: `renamed` maps names that options had to those that they have, `removed` those that are "
            f"gone to the reason; that does not fit {', '.join(wrong)}; options: {', '.join(fields)}"
        )
    base = kinds.get(getattr(spec, "kind", ""))
    if base is None or not issubclass(spec, base):
        raise PluginError(f"{spec.__name__} is of no known kind; derive it from one of {', '.join(sorted(kinds))}")
    name, allowed = fields["type"].default, get_args(fields["type"].annotation)
    if not isinstance(name, str) or ":" in name or not name:
        found = f", found {shown(name)}" if isinstance(name, str) else ""
        raise PluginError(f'{spec.__name__} has no name; write `type: Literal["name"] = "name"`, no colon in it{found}')
    if name not in allowed:
        raise PluginError(
            f"{spec.__name__} has two names: `type` is {shown(allowed)[:60]} by its annotation, {name!r} by default; "
            f'write `type: Literal["{name}"] = "{name}"`'
        )
    if lacking := sorted(getattr(spec, "__abstractmethods__", ())):
        wanted = f"{', '.join(lacking)}, as {base.__name__} asks for"
        raise PluginError(f"{spec.__name__} lacks {wanted}; add it, or correct its name")


def _is_of_vlmkit(spec: type[ComponentSpec], option: str) -> bool:
    """Return whether vlmkit's own base classes have a method, property or constant of this name."""
    own = [base for base in spec.__mro__ if base.__module__.startswith("vlmkit.") and issubclass(base, Spec)]
    return not any(option in base.model_fields for base in own) and any(option in base.__dict__ for base in own)


def call_hook(hook: str, function: Callable[[], Any], kind: type[T], expected: str = "") -> list[T]:
    """Return the items of one type that the hook of one plugin returns. A PluginError, in words `expected`, else."""
    found = function()
    items = list(found) if isinstance(found, Iterable) and not isinstance(found, str | bytes) else None
    if items is None or not all(isinstance(item, kind) for item in items):
        raise PluginError(f"{hook} returned {found!r}; expected a list of {expected or kind.__name__}")
    return items


def ambiguous(kind: str, name: str, offers: list[Component]) -> str:
    """Return what to say of a name that several plugins offer, or one plugin twice."""
    owners = {id(offer.plugin): f"{offer.plugin.name} ({offer.plugin.package})" for offer in offers}
    if len(owners) == 1:
        [owner], classes = owners.values(), " and ".join(offer.spec.__name__ for offer in offers)
        found = f"plugin {owner} offers {kind} {name!r} twice: its vlmkit_components returned {classes}"
        return f"{found}; remove one of them from that list"
    choices = " or ".join(f"`{qualifier(offer, offers)}:{name}`" for offer in offers)
    return (
        f"two plugins offer {kind} {name!r}: {' and '.join(owners.values())}; say which one: {choices}, or name in "
        "VLMKIT_PLUGINS those that should be loaded"
    )


def qualifier(offer: Component, offers: list[Component]) -> str:
    """Return the package of an offer, or, where that offers several, its plugin."""
    package = offer.plugin.distribution
    alone = [other.plugin.distribution for other in offers].count(package) == 1
    return package if package and alone else offer.plugin.name


def alike(name: str, *known: str) -> bool:
    """Return whether one of these is the name, as package indexes compare them: `My_Package` is `my-package`."""
    return _plain(name) in map(_plain, known)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
