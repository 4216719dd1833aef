"""The checks of the plugins in one folder: every component by the kit, and what its hooks return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vlmkit.api.hookspecs import PublishedFormat
from vlmkit.benchmarks.benchmark_check import check_benchmark
from vlmkit.checkpoints.formats import published_format
from vlmkit.errors import PluginError, UserError
from vlmkit.files import expand_path, is_file, is_folder
from vlmkit.guard import FAULTS, error_text, is_machine_error
from vlmkit.registry import KINDS, Plugin, registry
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.loading import load_spec
from vlmkit.testing import checks

__all__ = ["CheckOutcome", "check_plugin", "plugins_in"]

T = TypeVar("T")


class CheckOutcome(NamedTuple):
    """The result of one check."""

    kind: str
    """Of the component; `plugin` for the plugin itself."""
    name: str
    check: str
    broken: str = ""
    """What is wrong; empty: nothing."""


def plugins_in(folder: Path) -> list[Plugin]:
    """Return the installed plugins whose files lie in a folder, or the one that a Python file is.

    A PluginError where there are none, or the file is none.
    """
    place = expand_path(folder)
    if is_file(place):
        registry().add_file(place)
        return [plugin for plugin in registry().plugins if plugin.module == str(place.absolute())]
    if not is_folder(place):
        raise PluginError(f"{place}: expected the folder of a plugin package, found no folder; correct the path")
    found = [plugin for plugin in registry().plugins if _lies_in(plugin, place.resolve())]
    if not found:
        raise PluginError(
            f"{place}: no installed plugin has its files here; install the package as it stands in its folder: "
            "pip install -e .; it needs an entry point of the group `vlmkit`"
        )
    return found


def _lies_in(plugin: Plugin, folder: Path) -> bool:
    """Return whether the package that the entry point names is in the folder; nothing is imported."""
    if Path(plugin.module).is_absolute():  # one that is a file
        return False
    found = find_spec(plugin.module.partition(":")[0].partition(".")[0])
    return found is not None and found.origin is not None and folder in Path(found.origin).resolve().parents


def check_plugin(plugin: Plugin) -> Iterator[CheckOutcome]:
    """Check one plugin; each outcome comes as soon as it is known."""
    yield CheckOutcome("plugin", plugin.name, "loads", _not_loaded(plugin))
    for kind in sorted(KINDS):
        for offer in registry().components(kind):
            if offer.plugin is plugin:
                yield from _component(kind, offer.spec)
    yield from _hook(plugin, "vlmkit_benchmarks", Path, _benchmarks)
    yield from _hook(plugin, "vlmkit_published", PublishedFormat, _formats)


def _hook(
    plugin: Plugin, hook: str, what: type[T], check: Callable[[T], Iterator[CheckOutcome]]
) -> Iterator[CheckOutcome]:
    """Check what the hook of a plugin returns, and each of it."""
    gathered = registry().gather(hook, what)
    begin = f"plugin {plugin.name!r} ({plugin.package}): "
    for fault in gathered.faults:
        if fault.startswith(begin):
            yield CheckOutcome("plugin", plugin.name, hook, fault.removeprefix(begin))
    for owner, found in gathered.found:
        if owner is plugin:
            yield from check(found)


def _not_loaded(plugin: Plugin) -> str:
    return "left out by VLMKIT_PLUGINS" if plugin.state == "left out" else plugin.error


def _component(kind: str, spec: type[Any]) -> Iterator[CheckOutcome]:
    name = spec.component_name()
    made: list[Any] = []
    broken = _fault(lambda: made.append(spec.tiny()))
    yield CheckOutcome(kind, name, "tiny", broken)
    for check in checks(kind) if not broken else ():
        yield CheckOutcome(kind, name, check.__name__, _fault(partial(check, made[0])))


def _benchmarks(folder: Path) -> Iterator[CheckOutcome]:
    """Each entry in a folder: how it is put and scored, its files, its prompts. Videos are not looked at."""
    for entry in sorted(folder.glob("*/benchmark.yaml")):
        name = entry.parent.name
        problems: list[str] = []

        def look(name: str = name, problems: list[str] = problems) -> None:
            problems += check_benchmark(BenchmarkUse(name=name)).problems

        yield CheckOutcome("benchmark", name, "is_as_it_says", _fault(look) or "; ".join(problems))


def _formats(form: PublishedFormat) -> Iterator[CheckOutcome]:
    """The rules of a format, and the spec whose model takes the weights."""
    yield CheckOutcome("format", form.name, "rules_can_be_applied", _fault(lambda: published_format(form.name)))
    yield CheckOutcome("format", form.name, "spec_can_be_read", _fault(lambda: load_spec(f"specs/{form.spec}.yaml")))


def _fault(work: Callable[[], object]) -> str:
    """Return what `work` raises, in one line; empty where it raises nothing."""
    try:
        work()
    except (AssertionError, UserError) as error:
        return " ".join(str(error).split()) or "an assertion without words"
    except FAULTS as error:
        if is_machine_error(error):
            raise
        return error_text(error)
    return ""
