"""What the tests of whole paths share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """One thread for tiny tensors; and transformers collects garbage at each start, which takes long where much is
    imported."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.freeze()
    yield
    gc.unfreeze()
    torch.set_num_threads(threads)
