"""Sketches of floating-point tensors: a few numbers by which tensors made on two machines are compared.

The numbers of a forward pass differ in their last digits between thread counts, processors and versions of libraries,
so that a hash of them says nothing. A sketch holds the norm of a tensor and its products with fixed vectors of random
signs. The same products of a difference estimate the norm of that difference (Johnson-Lindenstrauss; with signs:
Achlioptas, 2003, doi:10.1016/S0022-0000(03)00025-4), so that two sketches tell how far apart the tensors are.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from vlmkit.json_files import Record

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["TOLERANCES", "Sketch", "relative_difference", "rounded", "sketch"]

_VECTORS = 16
"""With so many, the estimate is within 40% of the norm 19 times out of 20."""
_Number = Annotated[float, Field(allow_inf_nan=False)]

TOLERANCES = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}
"""By the type of the numbers: the largest difference, as a share of the norm, that counts as none. How it was measured
is told in docs/design/capsule.md."""


class Sketch(Record):
    """The numbers that are kept of a tensor."""

    norm: _Number
    """Euclidean norm."""
    products: list[_Number]
    """With each vector of signs."""


def sketch(values: npt.NDArray[Any]) -> Sketch:
    """Return the sketch of an array of numbers, whatever its shape. A ValueError where one is not finite.

    The signs of a vector are the bits of SHAKE-256 of its number, so that they are the same everywhere.
    """
    import numpy as np

    flat = np.ravel(values).astype(np.float64)
    if not np.isfinite(flat).all():
        raise ValueError(f"{int((~np.isfinite(flat)).sum())} of {flat.size} numbers are not finite")
    total, products = float(flat.sum()), []
    for number in range(_VECTORS):
        drawn = hashlib.shake_256(f"vlmkit {number}".encode()).digest(-(-flat.size // 8))
        positive = np.unpackbits(np.frombuffer(drawn, np.uint8), count=flat.size).astype(bool)
        products.append(rounded(2 * float(flat[positive].sum()) - total))
    return Sketch(norm=rounded(float(np.linalg.norm(flat))), products=products)


def relative_difference(a: Sketch, b: Sketch) -> float:
    """Return the estimated norm of the difference of two tensors of one shape, as a share of the norm of the first."""
    products = [one - other for one, other in zip(a.products, b.products, strict=True)]
    distance = math.sqrt(sum(product**2 for product in products) / len(products))
    return distance / a.norm if a.norm else math.inf if distance else 0.0


def rounded(number: float) -> float:
    """Return a number with eight significant digits, which are more than two machines agree on."""
    return float(f"{number:.8g}")
