"""Finding plugins and the components they offer; isolation of broken ones, collisions, near names."""

from __future__ import annotations

import os
import traceback
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

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
from vlmkit.names import hint

__all__ = ["KINDS", "Component", "Plugin", "Registry", "registry"]

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
        """Load the plugins at `points`, in name order; with `only`, those of these names."""
        self.manager = pluggy.PluginManager("vlmkit")
        self.manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        self._offers: dict[tuple[str, str], list[Component]] = defaultdict(list)
        for point in sorted(points, key=lambda point: (point.name, point.value)):
            self._add(point, only)

    def _add(self, point: EntryPoint, only: frozenset[str] | None) -> None:
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "(unknown package)"
        plugin = Plugin(point.name, point.value, package)
        self.plugins.append(plugin)
        if only is not None and point.name not in only:
            plugin.state = "left out"
            return
        try:
            module = point.load()
            version = getattr(module, "VLMKIT_API", None)
            if version != hookspecs.API_VERSION:
                found = "no VLMKIT_API" if version is None else f"VLMKIT_API = {version!r}"
                raise PluginError(
                    f"expected VLMKIT_API = {hookspecs.API_VERSION} in {point.value}, found {found}; "
                    "install a version of the plugin made for this vlmkit"
                )
            offers = list(module.vlmkit_components()) if hasattr(module, "vlmkit_components") else []
            for spec in offers:
                _check_offer(spec)
            self.manager.register(module, name=f"{point.name}={point.value}")
        except Exception as error:
            # Whatever a plugin raises at import is the plugin's fault; everything else has to go on working.
            plugin.state, plugin.trace = "broken", traceback.format_exc()
            plugin.error = f"{type(error).__name__}: {error}"
            return
        for spec in offers:
            plugin.components.append(f"{spec.kind}/{spec.component_name()}")
            self._offers[spec.kind, spec.component_name()].append(Component(spec, plugin))

    @property
    def hook(self) -> Any:
        """Call a hook of every loaded plugin: `registry().hook.vlmkit_benchmarks()`."""
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
        if offers:
            owners = " and ".join(f"{offer.plugin.name} ({offer.plugin.package})" for offer in offers)
            raise PluginError(
                f"two plugins offer {kind} {name!r}: {owners}; uninstall one, or name in VLMKIT_PLUGINS "
                "those that should be loaded"
            )
        raise PluginError(self._missing(kind, name))

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


def _check_offer(spec: object) -> None:
    if not (isinstance(spec, type) and issubclass(spec, ComponentSpec)):
        raise PluginError(f"vlmkit_components returned {spec!r}; expected subclasses of ComponentSpec")
    base = KINDS.get(getattr(spec, "kind", ""))
    if base is None or not issubclass(spec, base):
        raise PluginError(f"{spec.__name__} is of no known kind; derive it from one of {', '.join(sorted(KINDS))}")
    if not isinstance(spec.model_fields["type"].default, str):
        raise PluginError(f'{spec.__name__} has no name; write `type: Literal["name"] = "name"`')


@lru_cache
def registry() -> Registry:
    """The registry of this process: entry points of the group `vlmkit`, filtered by the variable VLMKIT_PLUGINS."""
    chosen = os.environ.get("VLMKIT_PLUGINS")
    only = None if chosen is None else frozenset(name.strip() for name in chosen.split(",") if name.strip())
    return Registry(entry_points(group="vlmkit"), only)
