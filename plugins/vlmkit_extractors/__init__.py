"""Extractors of answers: the published rules of benchmarks and evaluation tools, each with its quirks, and strict ones
that never guess."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ExtractorSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ExtractorSpec]]:
    """Return the extractors."""
    from vlmkit_extractors.spec import SPECS

    return SPECS
