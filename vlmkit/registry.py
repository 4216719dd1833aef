"""Finding plugins and the components they offer, by name and for the slots of a spec; isolation of broken ones."""

from __future__ import annotations

import os
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pluggy
from pydantic_core import PydanticCustomError

from vlmkit import guard
from vlmkit.api import hookspecs
from vlmkit.api import spec as component_spec
from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.backbone import BackboneSpec
from vlmkit.api.dataset import DatasetSpec
from vlmkit.api.decoder_layers import LayersSpec
from vlmkit.api.downsampler import DownsamplerSpec
from vlmkit.api.encoder import EncoderSpec
from vlmkit.api.evaluator import EvaluatorSpec
from vlmkit.api.extractor import ExtractorSpec
from vlmkit.api.harness import HarnessSpec
from vlmkit.api.judge import JudgeSpec
from vlmkit.api.observer import ObserverSpec
from vlmkit.api.reader import ReaderSpec
from vlmkit.api.sampler import SamplerSpec
from vlmkit.api.spec import ComponentSpec
from vlmkit.api.teacher import TeacherSpec
from vlmkit.errors import PluginError, as_written, did_you_mean
from vlmkit.files import expand_path
from vlmkit.guard import FAULTS, component_error, error_text, is_machine_error
from vlmkit.plugin_choice import ALL, VARIABLE, PluginChoice
from vlmkit.plugin_files import FILE_VERSION, import_file, inherited_files, version_of_file
from vlmkit.registration import (
    Component,
    Gathered,
    Plugin,
    alike,
    ambiguous,
    call_hook,
    check_module,
    check_offer,
    qualifier,
)

__all__ = ["KINDS", "Component", "Gathered", "Plugin", "Registry", "registry", "unknown_kind", "validate_slot"]

T = TypeVar("T")

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
        ExtractorSpec,
        HarnessSpec,
        JudgeSpec,
        LayersSpec,
        ObserverSpec,
        ReaderSpec,
        SamplerSpec,
        TeacherSpec,
    )
}


def unknown_kind(kind: str) -> str:
    """Return what to say of a kind that there is not."""
    return f"there is no kind {kind!r}; {did_you_mean(kind, KINDS)}kinds: {', '.join(sorted(KINDS))}"


class Registry:
    """Every component of every plugin that loads."""

    def __init__(self, points: Iterable[EntryPoint], choice: PluginChoice = ALL) -> None:
        """Load the plugins at `points` that are chosen, in name order.

        A PluginError where `choice` has a name that none of them has.
        """
        self.manager = pluggy.PluginManager("vlmkit")
        self.manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        self._by_key: dict[str, Plugin] = {}
        self._by_class: dict[type, Plugin] = {}
        self._offers: dict[tuple[str, str], list[Component]] = defaultdict(list)
        for point in sorted(points, key=lambda point: (point.name, point.value)):
            distribution = (point.dist.name, point.dist.version) if point.dist else ()
            self._add(Plugin(point.name, point.value, *distribution), point.load, choice)
        choice.check(self.plugins)
        for file in choice.files:
            self.add_file(expand_path(file))

    def add_file(self, file: Path) -> None:
        """Load a plugin that is one Python file, unless it is loaded. A PluginError where it cannot be used."""
        plugin = Plugin(file.stem, str(file.absolute()), file.name, version_of_file(file))
        if not any((known.module, known.version) == (plugin.module, plugin.version) for known in self.plugins):
            self._add(plugin, partial(import_file, file.absolute()), ALL)
            if plugin.state == "broken":
                self.plugins.remove(plugin)
                raise PluginError(f"plugin {file}: {plugin.error.removeprefix('PluginError: ')}")

    def _add(self, plugin: Plugin, load: Callable[[], Any], choice: PluginChoice) -> None:
        self.plugins.append(plugin)
        if not choice.takes(plugin):
            plugin.state = "left out"
            return
        try:
            offers = self._load(plugin, load)
        except FAULTS as error:
            plugin.state, plugin.trace = "broken", traceback.format_exc()
            plugin.error = f"PluginError: {error}" if isinstance(error, PluginError) else error_text(error)
            return
        for spec in offers:
            self._by_class[spec] = plugin
            plugin.components.append(f"{spec.kind}/{spec.component_name()}")
            self._offers[spec.kind, spec.component_name()].append(Component(spec, plugin))

    def _load(self, plugin: Plugin, load: Callable[[], Any]) -> list[type[ComponentSpec]]:
        """Import, check and register the plugin; return the components that it offers."""
        module: ModuleType = load()
        check_module(module, plugin.module, self.manager)
        offers: list[type[ComponentSpec]] = []
        if components := getattr(module, "vlmkit_components", None):
            offers = call_hook("vlmkit_components", components, type, "subclasses of ComponentSpec")
        for spec in offers:
            check_offer(spec, KINDS)
        key = f"{plugin.name}={plugin.module}"
        self.manager.register(module, name=key)
        self._by_key[key] = plugin
        return offers

    def gather(self, hook: str, what: type[T]) -> Gathered[T]:
        """Return the answers of the loaded plugins, in name order, to a hook that asks for a list of `what`."""
        gathered: Gathered[T] = Gathered([], [])
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            plugin = self._by_key[implementation.plugin_name]
            try:
                gathered.found.extend((plugin, item) for item in call_hook(hook, implementation.function, what))
            except FAULTS as error:
                if is_machine_error(error):
                    raise
                raised = str(error) if isinstance(error, PluginError) else f"{hook} raised {error_text(error)}"
                gathered.faults.append(f"plugin {plugin.name!r} ({plugin.package}): {raised}")
        return gathered

    def files(self) -> dict[str, str]:
        """Return the plugins that are files: path and version of each."""
        return {known.module: known.version for known in self.plugins if known.version.startswith(FILE_VERSION)}

    def label(self, key: str) -> str:
        """Return what to call the plugin that is registered under a key; one by hand has no package."""
        plugin = self._by_key.get(key)
        return f"plugin {plugin.name!r} ({plugin.package})" if plugin else f"plugin {key!r}"

    def names(self, kind: str) -> list[str]:
        """Return the names of all components of a kind, sorted."""
        return sorted(name for offered, name in self._offers if offered == kind)

    def components(self, kind: str) -> list[Component]:
        """Return all components of a kind, by name; those of colliding plugins are all listed."""
        return [offer for name in self.names(kind) for offer in self._offers[kind, name]]

    def addresses(self, kind: str) -> dict[str, Component]:
        """Return the components of a kind by what a spec calls them: their names, or `package:name` where several
        packages offer one."""
        found: dict[str, Component] = {}
        for name in self.names(kind):
            offers = self._offers[kind, name]
            found |= {name if len(offers) == 1 else f"{qualifier(o, offers)}:{name}": o for o in offers}
        return found

    def get(self, kind: str, name: str) -> Component:
        """Return the component `kind/name`; `package:name` where several packages offer it.

        A PluginError that says what there is where it is missing or ambiguous.
        """
        package, _, own = name.rpartition(":")
        all_offers = self._offers.get((kind, own), [])
        offers = [o for o in all_offers if not package or alike(package, o.plugin.distribution, o.plugin.name)]
        if len(offers) == 1:
            return offers[0]
        if all_offers and not offers:
            owners = " and ".join(dict.fromkeys(f"{qualifier(o, all_offers)}:{own}" for o in all_offers))
            raise PluginError(f"{package!r} offers no {kind} {own!r}; there is {owners}")
        raise PluginError(ambiguous(kind, own, offers) if offers else self._missing(kind, name))

    def plugin_of(self, spec: type) -> Plugin | None:
        """Return the plugin that offers this spec class, or one that it is derived from."""
        return next((self._by_class[base] for base in spec.__mro__ if base in self._by_class), None)

    def _missing(self, kind: str, name: str) -> str:
        names = self.names(kind)
        known = f"{did_you_mean(name, names)}installed: {', '.join(names) or 'none'}"
        parts = [f"no installed plugin offers {kind} {name!r}", known]
        for p in self.plugins:
            if p.state == "broken":
                may = f"plugin {p.name!r} ({p.package}) is broken and may offer it"
                parts.append(f"{may}: {p.error} (see `vlmkit plugins`)")
        if left_out := [p.name for p in self.plugins if p.state == "left out"]:
            parts.append(f"left out by {VARIABLE}: {', '.join(left_out)}")
        return "; ".join(parts)


@lru_cache
def registry() -> Registry:
    """Return the registry of this process: the entry points `vlmkit`, filtered by the variable VLMKIT_PLUGINS."""
    chosen = os.environ.get(VARIABLE)
    choice = ALL if chosen is None else PluginChoice.parse(chosen)
    token = _searching.set(True)
    try:
        known = Registry(entry_points(group="vlmkit"), choice)
        for file in inherited_files():
            known.add_file(file)
        return known
    finally:
        _searching.reset(token)


def _package_of(cls: type) -> str:
    """Return package and version of a class, empty while the registry is being made: it cannot be asked then."""
    plugin = None if _searching.get() else registry().plugin_of(cls)
    return "" if plugin is None else plugin.package


def validate_slot(kind: str, value: object) -> ComponentSpec:
    """Return the spec that `value` describes. Errors inside keep their dotted location."""
    if isinstance(value, ComponentSpec):
        if value.kind != kind:
            context = {"kind": kind, "found": f"{value.kind}/{value.type}"}
            raise PydanticCustomError("wrong_kind", "expected a component of kind {kind}, found {found}", context)
        return value
    options = {"type": value} if isinstance(value, str) else value
    if not isinstance(options, Mapping) or not isinstance(options.get("type"), str):
        found = as_written(options)
        if isinstance(options, Mapping):
            found = f"`type: {as_written(options['type'])}`" if "type" in options else "a mapping without `type`"
        wanted = "a name, or a mapping with `type: name` and options"
        known = f"installed of kind {kind}: {', '.join(registry().names(kind)) or 'none'}"
        message = {"message": f"expected {wanted}; found {found}; {known}"}
        raise PydanticCustomError("no_component", "{message}", message)
    try:
        component = registry().get(kind, str(options["type"]))
    except PluginError as error:
        raise PydanticCustomError("unknown_component", "{message}", {"message": str(error)}) from None
    package, _, name = str(options["type"]).rpartition(":")
    spec = _validated(component.spec, {**options, "type": name})
    spec._package = package
    return spec


def _validated(spec: type[ComponentSpec], options: dict[str, Any]) -> ComponentSpec:
    """Validate options: a ValueError is the user's mistake, whatever else a validator raises the plugin's."""
    try:
        return spec.model_validate(options)
    except FAULTS as error:
        if isinstance(error, ValueError) or is_machine_error(error):
            raise
        if os.environ.get("VLMKIT_DEBUG"):  # for pydantic the PluginError is one problem of the spec among others
            traceback.print_exception(error)
        raise component_error(spec, f"looking at its options raised {error_text(error)}") from error


guard.package_of = _package_of
component_spec.resolve_slot = validate_slot
