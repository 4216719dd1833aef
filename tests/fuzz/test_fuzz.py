"""Mutated inputs of every kind: nothing but messages to the user, whole files, bounded memory, no hang.

Deterministic and in parts, so that they run side by side. `make fuzz` runs twenty times as many, drawn anew each time.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

TIMES = int(os.environ.get("VLMKIT_FUZZ", "0"))
"""How many times as many; 0: the deterministic ones."""
PARTS = [("specs", 1000, 0), ("runs", 100, 0), ("annotations", 500, 0), ("answer_files", 500, 0), ("videos", 300, 0)]
PARTS += [("specs", 1000, 1), ("studies", 150, 0), ("runs", 100, 1)]
"""Target, examples and seed; in this order two processes take about equally long."""


@pytest.mark.parametrize(("name", "examples", "number"), PARTS)
def test_nothing_but_messages_to_the_user(name: str, examples: int, number: int) -> None:
    if TIMES:
        examples, number = examples * TIMES, random.randrange(2**32)
    tests = Path(__file__).resolve().parents[1]
    path = os.pathsep.join([str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.drive", name, "--examples", str(examples), "--seed", str(number)],
        env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        cwd=tests.parent,
        capture_output=True,
        check=False,
    )
    print(done.stdout.decode())
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
