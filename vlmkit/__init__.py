"""vlmkit composes, trains and measures encoder-free video-language models out of plugins.

What needs torch is imported when it is first used: `import vlmkit` alone costs a fraction of a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vlmkit._version import __version__
from vlmkit.api.hookspecs import hookimpl
from vlmkit.errors import UserError
from vlmkit.spec.loading import load_spec

if TYPE_CHECKING:
    from vlmkit.api.tensors import VideoBatch, VisualTokens
    from vlmkit.checkpoints.formats import import_state_dict
    from vlmkit.model.compose import build, compose
    from vlmkit.runner import Run, evaluate, load, run

__all__ = [
    "Run",
    "UserError",
    "VideoBatch",
    "VisualTokens",
    "__version__",
    "build",
    "compose",
    "evaluate",
    "hookimpl",
    "import_state_dict",
    "load",
    "load_spec",
    "run",
]

_LATE = dict.fromkeys(("VideoBatch", "VisualTokens"), "vlmkit.api.tensors")
_LATE |= dict.fromkeys(("build", "compose"), "vlmkit.model.compose")
_LATE |= dict.fromkeys(("Run", "evaluate", "load", "run"), "vlmkit.runner") | {
    "import_state_dict": "vlmkit.checkpoints.formats"
}


def __getattr__(name: str) -> object:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
