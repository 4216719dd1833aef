"""Videos ahead, in workers: functions of the standard library in the place of decoders."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import UnreadableVideo
from vlmkit.data import VideoLoader
from vlmkit.errors import RunError
from vlmkit.evaluation import prefetch
from vlmkit.evaluation.prefetch import AlignerVideos, VideoPart, load_ahead, worker_count


@pytest.mark.parametrize("workers", [0, 2])
def test_all_come_in_their_order(workers: int) -> None:
    assert list(load_ahead(str.upper, list("abcdefghijk"), workers)) == list("ABCDEFGHIJK")


def test_videos_are_those_of_this_process(clips: Path, experiment: Any) -> None:
    spec = experiment()
    frames = spec.model.aligner.input
    load = AlignerVideos(VideoLoader(spec.data.reader, frames, {"aligner": frames}))
    (clips / "bob.mp4").write_bytes(b"no video")
    parts = [VideoPart(str(path), span) for path in sorted(clips.glob("*.mp4")) for span in (None, (0.5, 1.0))]
    here, there = (list(load_ahead(load, parts, workers)) for workers in (0, 1))
    for one, other in zip(here, there, strict=True):
        if isinstance(one, UnreadableVideo):
            assert (type(other), str(other)) == (UnreadableVideo, str(one))
        else:
            assert not isinstance(other, UnreadableVideo)
            assert (one.pixels == other.pixels).all()
            assert one.shape == other.shape
    assert sum(isinstance(one, UnreadableVideo) for one in here) == 2
    assert (here[0].pixels != here[1].pixels).any(), "a part is not the whole"


def test_few_are_loaded_ahead(tmp_path: Path) -> None:
    names = [str(tmp_path / str(number)) for number in range(20)]
    with closing(load_ahead(os.mkdir, names, 1)) as videos:
        next(videos)
        time.sleep(0.5)
        assert len(list(tmp_path.iterdir())) == 3


def test_a_killed_worker_is_one_clear_error() -> None:
    videos = load_ahead(signal.raise_signal, [signal.SIGKILL], 1)
    with pytest.raises(RunError, match=r"a worker process ended while this video.*evaluation\.workers 0"):
        next(videos)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_another_kind_ends_it(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(load_ahead(functools.partial(divmod, 1), [1, 0], workers))


def test_a_stuck_worker_is_one_clear_error_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "_PATIENCE", 2.0)
    started = time.monotonic()
    with pytest.raises(RunError, match=r": it is not decoded after 2 s; see to this file; answers so far are kept"):
        list(load_ahead(time.sleep, [0, 1000], 1))
    assert time.monotonic() - started < 60
    _wait_for(lambda: not multiprocessing.active_children())


def _wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def _has_ended(process: int) -> bool:
    """Tell whether there is no such process, or none that does anything: nobody may have collected it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


SCRIPT = """\
import multiprocessing, time
from vlmkit.evaluation.prefetch import load_ahead

if __name__ == "__main__":
    videos = load_ahead(time.sleep, [0, 0, 0], 1)
    next(videos)
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(100)
"""


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.kill()
    _wait_for(lambda: _has_ended(worker))


def test_an_interrupt_is_told_by_the_first_process_alone(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        worker = int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert said.count("Traceback") == 1
    assert said.endswith("KeyboardInterrupt\n")
    _wait_for(lambda: _has_ended(worker))


def test_workers_do_not_run_the_callers_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from vlmkit.evaluation.prefetch import load_ahead\n"
        "print('once')\n"
        "print(list(load_ahead(str.upper, ['a', 'b'], 2)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("once\n['A', 'B']\n", "")


def test_what_cannot_be_sent_is_one_clear_error() -> None:
    with pytest.raises(RunError, match=r"cannot be sent to a worker process: .*; set evaluation\.workers to 0"):
        list(load_ahead(lambda key: key, ["a"], 1))


@pytest.mark.parametrize(
    ("wanted", "videos", "expected"), [(None, 7, 0), (None, 8, 1), (None, 10_000, 3), (0, 99, 0), (9, 4, 4), (6, 99, 6)]
)
def test_how_many_workers(monkeypatch: pytest.MonkeyPatch, wanted: int | None, videos: int, expected: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert worker_count(wanted, videos) == expected
