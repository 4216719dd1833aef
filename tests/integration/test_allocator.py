"""Large blocks stay with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from vlmkit.runtime import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "keep":
    keep_freed_memory()
def work():
    return torch.ones(16 * 2**20).sum()
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_later_pass_faults_no_pages_in() -> None:
    faults = {}
    for mode in ("keep", "give back"):
        done = subprocess.run([sys.executable, "-c", CODE, mode], check=True, capture_output=True, text=True)
        faults[mode] = int(done.stdout)
    assert faults["keep"] < faults["give back"] / 2


THREADS = """
import sys, threading
from vlmkit.runtime import give_back_freed_memory, share_one_heap
if sys.argv[1] == "share":
    share_one_heap()
def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])
def work():
    kept.append([bytes(60_000) for _ in range(1000)][::50])
kept = []
before = rss()
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
if sys.argv[1] == "share":
    give_back_freed_memory()
print(rss() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_gaps_between_kept_blocks_are_given_back() -> None:
    pages = {}
    for mode in ("share", "by default"):
        done = subprocess.run([sys.executable, "-c", THREADS, mode], check=True, capture_output=True, text=True)
        pages[mode] = int(done.stdout)
    assert pages["share"] < pages["by default"] / 4
