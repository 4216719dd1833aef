"""`python -m vlmkit_datasets.shapes.worker OPTIONS START STEP`: draws one share of the clips."""

from __future__ import annotations

import sys

from vlmkit_datasets.shapes.store import draw_missing
from vlmkit_datasets.spec import MovingShapesSpec

__all__ = ["main"]


def main(options: str, start: str, step: str) -> None:
    """Draw every `step`-th clip from `start`."""
    draw_missing(MovingShapesSpec.model_validate_json(options), int(start), int(step))


if __name__ == "__main__":
    main(*sys.argv[1:])
