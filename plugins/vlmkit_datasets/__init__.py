"""Datasets: `llava-json` (conversations over video files) and `moving-shapes` (clips that it draws itself)."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import DatasetSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[DatasetSpec]]:
    """Return the datasets."""
    from vlmkit_datasets.spec import LlavaJsonSpec, MovingShapesSpec

    return [LlavaJsonSpec, MovingShapesSpec]
