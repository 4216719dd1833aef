"""The fuzzer finds what is planted, says how to reproduce it, and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

ASK = """
import sys
from fuzz.child import Child
child = Child("fuzz.planted")
for example in sys.argv[1:]:
    child.hangs = 2 if example == "hang" else 100
    outcome = child.ask(example)
    print(outcome.kind, outcome.signature if outcome.kind == "defect" else "", sep="|")
child.close()
"""
FAULTS = {"done": "done", "refused": "refused", "silent": "defect|BadMessage", "crash": "defect|Died"}
FAULTS |= {"hang": "defect|Hang", "memory": "defect|TooMuchMemory"}


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *arguments], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


def test_each_fault_is_an_outcome_and_the_next_example_is_asked_all_the_same() -> None:
    done = _python("-c", ASK, *FAULTS, "done")
    assert done.returncode == 0, done.stderr
    for line, expected in zip(done.stdout.splitlines(), [*FAULTS.values(), "done"], strict=True):
        assert line.startswith(expected)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_defect_ends_with_the_smallest_example(seed: str) -> None:
    done = _python("-m", "fuzz.drive", "planted", "--examples", "200", "--seed", seed)
    assert done.returncode != 0
    assert "minimal: 100\n" in done.stderr
    assert "KeyError: 'planted'" in done.stderr
