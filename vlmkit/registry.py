"""Finding plugins and the components they offer; isolation of broken ones, collisions, near names."""

from __future__ import annotations

import os
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from vlmkit.api import hookspecs
from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.backbone import BackboneSpec
from vlmkit.api.dataset import DatasetSpec
from vlmkit.api.downsampler import DownsamplerSpec
from vlmkit.api.encoder import EncoderSpec
from vlmkit.api.evaluator import EvaluatorSpec
from vlmkit.api.judge import JudgeSpec
from vlmkit.api.reader import ReaderSpec
from vlmkit.api.spec import ComponentSpec
from vlmkit.api.teacher import TeacherSpec
from vlmkit.errors import PluginError
from vlmkit.guard import FAULTS
from vlmkit.names import hint

__all__ = ["KINDS", "Component", "Plugin", "Registry", "registry", "searching", "unknown_kind"]

T = TypeVar("T")

_HOOKS = [name for name in hookspecs.__all__ if name.startswith("vlmkit_")]

_searching = ContextVar("searching", default=False)

KINDS: dict[str, type[ComponentSpec]] = {
    base.kind: base
    for base in (
        AlignerSpec,
        BackboneSpec,
        DatasetSpec,
        DownsamplerSpec,
        EncoderSpec,
        EvaluatorSpec,
        JudgeSpec,
        ReaderSpec,
        TeacherSpec,
    )
}


def unknown_kind(kind: str) -> str:
    """What is said of a kind that is none."""
    return f"there is no kind {kind!r}; {hint(kind, KINDS)}kinds: {', '.join(sorted(KINDS))}"


@dataclass
class Plugin:
    """One entry point of the group `vlmkit`, loaded, left out or broken."""

    name: str
    module: str
    package: str
    """The installed distribution, `name version`."""
    state: str = "loaded"
    """`loaded`, `left out` (by VLMKIT_PLUGINS) or `broken`."""
    error: str = ""
    """Why it is broken, in one line."""
    trace: str = ""
    components: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Component:
    """A registered spec class and the plugin that it comes from."""

    spec: type[ComponentSpec]
    plugin: Plugin


class Registry:
    """Every component of every plugin that loads."""

    def __init__(self, points: Iterable[EntryPoint], only: frozenset[str] | None = None) -> None:
        """Load the plugins at `points`, in name order; with `only`, those of these names.

        A PluginError where `only` has a name that none of them has.
        """
        self.manager = pluggy.PluginManager("vlmkit")
        self.manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        self._by_key: dict[str, Plugin] = {}
        self._by_class: dict[type, Plugin] = {}
        self._offers: dict[tuple[str, str], list[Component]] = defaultdict(list)
        for point in sorted(points, key=lambda point: (point.name, point.value)):
            self._add(point, only)
        names = [plugin.name for plugin in self.plugins]
        for name in sorted((only or frozenset()).difference(names)):
            known = f"{hint(name, names)}installed: {', '.join(names) or 'none'}"
            raise PluginError(f"VLMKIT_PLUGINS: no plugin {name!r} is installed; {known}")

    def _add(self, point: EntryPoint, only: frozenset[str] | None) -> None:
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "(unknown package)"
        plugin = Plugin(point.name, point.value, package)
        self.plugins.append(plugin)
        if only is not None and point.name not in only:
            plugin.state = "left out"
            return
        try:
            offers = self._load(point, plugin)
        except FAULTS as error:
            plugin.state, plugin.trace = "broken", traceback.format_exc()
            plugin.error = f"{type(error).__name__}: {error}"
            return
        for spec in offers:
            self._by_class[spec] = plugin
            plugin.components.append(f"{spec.kind}/{spec.component_name()}")
            self._offers[spec.kind, spec.component_name()].append(Component(spec, plugin))

    def _load(self, point: EntryPoint, plugin: Plugin) -> list[type[ComponentSpec]]:
        """Import, check and register the plugin; the components that it offers."""
        module: ModuleType = point.load()
        version = getattr(module, "VLMKIT_API", None)
        if version != hookspecs.API_VERSION:
            found = "no VLMKIT_API" if version is None else f"VLMKIT_API = {version!r}"
            raise PluginError(
                f"expected VLMKIT_API = {hookspecs.API_VERSION} in {point.value}, found {found}; "
                "install a version of the plugin made for this vlmkit"
            )
        for name in dir(module):
            options = self.manager.parse_hookimpl_opts(module, name)
            if options is not None and (hook := options.get("specname") or name) not in _HOOKS:
                raise PluginError(f"vlmkit has no hook {hook!r}; {hint(hook, _HOOKS)}hooks: {', '.join(_HOOKS)}")
        offers: list[type[ComponentSpec]] = []
        if components := getattr(module, "vlmkit_components", None):
            offers = _answer("vlmkit_components", components, type, "subclasses of ComponentSpec")
        for spec in offers:
            _check_offer(spec)
        key = f"{point.name}={point.value}"
        self.manager.register(module, name=key)
        self._by_key[key] = plugin
        return offers

    def gather(self, hook: str, what: type[T]) -> list[T]:
        """All that the loaded plugins answer to a hook that asks for a list of `what`, in the order of their names.

        A PluginError that names the plugin where one raises or answers something else.
        """
        found: list[T] = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                found += _answer(hook, implementation.function, what)
            except FAULTS as error:
                plugin = self._by_key[implementation.plugin_name]
                raised = "" if isinstance(error, PluginError) else f"{hook} raised {type(error).__name__}: "
                raise PluginError(
                    f"plugin {plugin.name!r} ({plugin.package}): {raised}{error}; repair or uninstall it, or name in "
                    "VLMKIT_PLUGINS those that should be loaded"
                ) from error
        return found

    @property
    def hook(self) -> Any:
        """Call a hook of every loaded plugin: `registry().hook.vlmkit_stage_ended(…)`."""
        return self.manager.hook

    def names(self, kind: str) -> list[str]:
        """The names of all components of a kind, sorted."""
        return sorted(name for offered, name in self._offers if offered == kind)

    def components(self, kind: str) -> list[Component]:
        """All components of a kind, by name; those of colliding plugins are all listed."""
        return [offer for name in self.names(kind) for offer in self._offers[kind, name]]

    def get(self, kind: str, name: str) -> Component:
        """The component `kind/name`. A PluginError that says what there is where it is missing or ambiguous."""
        offers = self._offers.get((kind, name), [])
        if len(offers) == 1:
            return offers[0]
        raise PluginError(_ambiguous(kind, name, offers) if offers else self._missing(kind, name))

    def plugin_of(self, spec: type) -> Plugin | None:
        """The plugin that offers this spec class, or one that it is derived from."""
        return next((self._by_class[base] for base in spec.__mro__ if base in self._by_class), None)

    def _missing(self, kind: str, name: str) -> str:
        names = self.names(kind)
        parts = [
            f"no installed plugin offers {kind} {name!r}",
            f"{hint(name, names)}installed: {', '.join(names) or 'none'}",
            *(
                f"plugin {p.name!r} ({p.package}) is broken and may offer it: {p.error} (see `vlmkit plugins`)"
                for p in self._in_state("broken")
            ),
        ]
        if left_out := [p.name for p in self._in_state("left out")]:
            parts.append(f"left out by VLMKIT_PLUGINS: {', '.join(left_out)}")
        return "; ".join(parts)

    def _in_state(self, state: str) -> list[Plugin]:
        return [plugin for plugin in self.plugins if plugin.state == state]


def _ambiguous(kind: str, name: str, offers: list[Component]) -> str:
    owners = {id(offer.plugin): f"{offer.plugin.name} ({offer.plugin.package})" for offer in offers}
    if len(owners) == 1:
        [owner] = owners.values()
        classes = " and ".join(offer.spec.__name__ for offer in offers)
        return (
            f"plugin {owner} offers {kind} {name!r} twice: its vlmkit_components returned {classes}; remove one of "
            "them from that list"
        )
    return (
        f"two plugins offer {kind} {name!r}: {' and '.join(owners.values())}; uninstall one, or name in VLMKIT_PLUGINS "
        "those that should be loaded"
    )


def _answer(hook: str, function: Callable[[], Any], what: type[T], item: str = "") -> list[T]:
    """What one plugin answers: a list of `what`, in words `item`. Text is no list, though it can be iterated."""
    answer = function()
    items = list(answer) if isinstance(answer, Iterable) and not isinstance(answer, str | bytes) else None
    if items is None or not all(isinstance(item, what) for item in items):
        raise PluginError(f"{hook} returned {answer!r}; expected a list of {item or what.__name__}")
    return items


def _check_offer(spec: type) -> None:
    if not issubclass(spec, ComponentSpec):
        raise PluginError(f"vlmkit_components returned {spec!r}; expected subclasses of ComponentSpec")
    base = KINDS.get(getattr(spec, "kind", ""))
    if base is None or not issubclass(spec, base):
        raise PluginError(f"{spec.__name__} is of no known kind; derive it from one of {', '.join(sorted(KINDS))}")
    if not isinstance(spec.model_fields["type"].default, str):
        raise PluginError(f'{spec.__name__} has no name; write `type: Literal["name"] = "name"`')
    if lacking := sorted(getattr(spec, "__abstractmethods__", ())):
        raise PluginError(
            f"{spec.__name__} lacks {', '.join(lacking)}, as {base.__name__} asks for; add it, or correct its name"
        )


@lru_cache
def registry() -> Registry:
    """The registry of this process: entry points of the group `vlmkit`, filtered by the variable VLMKIT_PLUGINS."""
    chosen = os.environ.get("VLMKIT_PLUGINS")
    only = None if chosen is None else frozenset(name.strip() for name in chosen.split(",") if name.strip())
    token = _searching.set(True)
    try:
        return Registry(entry_points(group="vlmkit"), only)
    finally:
        _searching.reset(token)


def searching() -> bool:
    """Whether the registry is being made: a plugin is imported, and cannot ask for it."""
    return _searching.get()
