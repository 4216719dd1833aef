"""Commands as processes of this machine: their output, their exit code, their share of the machine, their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from vlmkit.errors import UserError
from vlmkit.study import launching
from vlmkit.study.launching import Job, LocalLauncher, SubmititLauncher

SLEEPER = """
import sys, time
from pathlib import Path
from vlmkit.study import launching
from vlmkit.study.launching import LocalLauncher
launching.sys.executable = sys.argv[2]
LocalLauncher(1).start([], Path(sys.argv[1]), 0)
print("started", flush=True)
time.sleep(60)
"""


def ended(job: Job) -> int:
    for _ in range(600):
        if (code := job.exit_code()) is not None:
            return code
        time.sleep(0.05)
    raise AssertionError("it does not end")


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of Python, which is called as `SCRIPT -m vlmkit …`."""
    file = tmp_path / "program"
    file.write_text("#!/bin/sh\n" + "echo $$ $CUDA_VISIBLE_DEVICES $OMP_NUM_THREADS $@\n" + "exec $LAST_WORDS\n")
    file.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(file))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return file


def test_output_and_exit_code_are_kept(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAST_WORDS", "false")
    job = LocalLauncher(1).start(["run", "a.yaml"], tmp_path / "log", 0)
    assert ended(job) == 1
    assert (tmp_path / "log").read_text().split()[1:] == ["-m", "vlmkit", "run", "a.yaml"]


@pytest.mark.parametrize(
    ("jobs", "devices", "shares"),
    [
        (1, "3 5", ["3 4", "5 4"]),
        (1, "", [""]),
        (2, "", ["4", "4"]),
        (3, "3 5", ["3 2", "5 2", "3 2"]),
        (16, "0", ["0 1"] * 16),
    ],
    ids=["one on each GPU", "one", "CPUs", "more than GPUs", "all on one GPU"],
)
def test_each_slot_has_its_share_of_eight_cpus(
    jobs: int, devices: str, shares: list[str], script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAST_WORDS", "true")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(launching, "_cpus", lambda: 8)
    launcher = LocalLauncher(jobs, devices.split())
    assert launcher.slots == len(shares)
    for slot, share in enumerate(shares):
        assert ended(launcher.start([], tmp_path / "log", slot)) == 0
        assert (tmp_path / "log").read_text().split()[1:-2] == share.split()


def test_threads_that_the_user_has_set_are_left(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAST_WORDS", "true")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert ended(LocalLauncher(2, ["0"]).start([], tmp_path / "log", 1)) == 0
    assert (tmp_path / "log").read_text().split()[1:3] == ["0", "3"]


def test_a_process_is_stopped(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAST_WORDS", "sleep 60")
    job = LocalLauncher(1).start([], tmp_path / "log", 0)
    assert job.exit_code() is None
    job.stop()
    assert job.exit_code() == -signal.SIGINT


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, whose kernel ends the children of a process")
def test_runs_end_with_a_study_that_is_killed(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    environment = {**os.environ, "LAST_WORDS": "sleep 60"}
    python = sys.executable
    with subprocess.Popen(
        [python, "-c", SLEEPER, str(tmp_path / "log"), str(script)],
        stdout=subprocess.PIPE, text=True, env=environment,
    ) as study:  # fmt: skip
        assert study.stdout is not None
        assert study.stdout.readline() == "started\n"
        while not (tmp_path / "log").read_text():
            time.sleep(0.02)
        child = int((tmp_path / "log").read_text().split()[0])
        os.kill(child, 0)
        study.kill()
    for _ in range(200):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the run goes on")


def test_a_cluster_needs_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install 'vlmkit\[cluster\]'"):
        SubmititLauncher(2, tmp_path)


def test_runs_are_jobs_of_a_cluster(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pytest.importorskip("submitit", reason="needs submitit (pip install 'vlmkit[cluster]')")
    launcher = SubmititLauncher(1, tmp_path / "jobs", "local")
    python = sys.executable
    for words, code in (("true", 0), ("false", 1)):
        monkeypatch.setenv("LAST_WORDS", words)
        monkeypatch.setattr(launching, "sys", SimpleNamespace(executable=str(script)))
        job = launcher.start(["run", "a.yaml"], tmp_path / "log", 0)
        assert ended(job) == code
        assert (tmp_path / "log").read_text().split()[-4:] == ["-m", "vlmkit", "run", "a.yaml"]
    assert sys.executable == python
    job = launcher.start([], tmp_path / "log", 0)
    job.stop()


def test_what_the_cluster_does_not_take_is_told(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="needs submitit (pip install 'vlmkit[cluster]')")
    with pytest.raises(UserError, match="executor 'local' does not start here"):
        SubmititLauncher(1, tmp_path, "local", {"timeout_minn": 3})
