"""The variable VLMKIT_PLUGINS: names of plugins that load, or, with `-` before each, that do not; and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmkit.errors import PluginError, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlmkit.registration import Plugin

__all__ = ["ALL", "VARIABLE", "PluginChoice"]

VARIABLE = "VLMKIT_PLUGINS"


@dataclass(frozen=True)
class PluginChoice:
    """Plugins by the names of their entry points, or as `package:name`."""

    names: frozenset[str] = frozenset()
    leaves_out: bool = True
    """True where all other plugins load, False where these alone do. By default all load."""
    files: tuple[str, ...] = ()
    """Python files that load besides, each a plugin of its own."""

    @classmethod
    def parse(cls, text: str) -> PluginChoice:
        """Read `stab,mine` or `-stab,-mine`; empty text chooses none. A word such as `./mine.py` is a file and changes
        nothing for the others. A PluginError where both forms are mixed."""
        given = [word for word in map(str.strip, text.split(",")) if word]
        files = tuple(word for word in given if word.endswith(".py"))
        words = [word for word in given if word not in files]
        without = [word[1:].strip() for word in words if word.startswith("-")]
        if (without and len(without) != len(words)) or not all(without):
            raise PluginError(
                f"{VARIABLE}: expected names of the plugins that should load (`stab,mine`), or a `-` before each "
                f"name to load all others (`-stab,-mine`); found {shown(text)}"
            )
        return cls(frozenset(without or words), bool(without) or bool(files and not words), files)

    def takes(self, plugin: Plugin) -> bool:
        """Return whether the plugin loads."""
        return any(map(plugin.is_called, self.names)) != self.leaves_out

    def check(self, plugins: Sequence[Plugin]) -> None:
        """Raise a PluginError where a name is that of no installed plugin."""
        own = [plugin.name for plugin in plugins]
        names = [p.name if own.count(p.name) == 1 else f"{p.distribution}:{p.name}" for p in plugins]
        for name in sorted(self.names):
            if not any(plugin.is_called(name) for plugin in plugins):
                known = f"{did_you_mean(name, names)}installed: {', '.join(names) or 'none'}"
                raise PluginError(f"{VARIABLE}: no plugin {name!r} is installed; {known}")


ALL = PluginChoice()
"""What holds where the variable is not set."""
