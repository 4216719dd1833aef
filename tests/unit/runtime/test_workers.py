"""Workers that a script without a guard would start again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """\
from concurrent.futures import ProcessPoolExecutor
from vlmkit.runtime import WorkerContext, exit_in_worker


def work(number):
    return -number


def start():
    exit_in_worker()
    workers = WorkerContext()
    with workers.watched(), ProcessPoolExecutor(1, workers) as pool:
        print(pool.submit(work, -3).result())


"""
GUARD = "if __name__ == '__main__':\n    "


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_guarded_script_has_workers(tmp_path: Path) -> None:
    done = run(tmp_path, f"{SCRIPT}{GUARD}start()\n")
    assert (done.stdout, done.stderr, done.returncode) == ("3\n", "", 0)


def test_a_script_without_guard_is_told_so_once(tmp_path: Path) -> None:
    done = run(tmp_path, f"{SCRIPT}start()\n")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert "script.py: worker processes run this script from its beginning" in done.stderr
    assert done.stderr.endswith("put that beneath `if __name__ == '__main__':`\n")


@pytest.mark.parametrize("error", ["RuntimeError('of another kind')", "OSError('of another kind')"])
def test_other_errors_pass(tmp_path: Path, error: str) -> None:
    raises = f"    with WorkerContext().watched():\n        raise {error}\n"
    done = run(tmp_path, f"{SCRIPT}{GUARD}from vlmkit.runtime import WorkerContext\n{raises}")
    assert done.stderr.endswith("Error: of another kind\n")
