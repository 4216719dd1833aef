"""Observers of runs: their numbers as a table in a file."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The components of this plugin."""
    from vlmkit_observers.spec import CsvSpec

    return [CsvSpec]
