"""Two processes do not claim the same; a claim ends with its process; without locks nobody else is kept from it."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from vlmkit.study.claims import Claims

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs the locks of POSIX")
HOLDER = """
import sys
from pathlib import Path
from vlmkit.study.claims import Claims
held = Claims(Path(sys.argv[1]))
print(held.take(sys.argv[2:]), flush=True)
sys.stdin.read()
"""


def test_what_a_process_has_claimed_no_other_one_claims(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), "a", "b"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        mine = Claims(tmp_path)
        assert not mine.take(["c", "b"])
        assert mine.take(["c", "d"])
        other.kill()
    assert mine.take(["b"])
    assert (tmp_path / ".making").stat().st_size == 0


def test_all_or_none_are_claimed_and_what_is_given_back_is_free(tmp_path: Path) -> None:
    mine = Claims(tmp_path)
    assert mine.take(["a", "b"])
    assert not mine.take(["c", "a"])
    mine.release(["a", "x"])
    assert mine.take(["c", "a"])
    mine.close()
    assert Claims(tmp_path).take(["a", "b", "c"])


def test_without_locks_only_this_process_is_kept_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / "file").write_text("")
    nowhere = Claims(tmp_path / "file")
    assert nowhere.take(["a"])
    assert not nowhere.take(["a"])
    monkeypatch.setattr("fcntl.lockf", none)
    mine = Claims(tmp_path)
    assert mine.take(["a"])
    assert not mine.take(["a"])
