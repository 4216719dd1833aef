"""What the environment says of the processes of a training."""

from __future__ import annotations

import os
import runpy
import sys

import pytest

from vlmkit import runtime
from vlmkit.errors import UserError
from vlmkit.runtime import check_launcher, lost_peers, rank, set_single_process_defaults, wait_unless_first, world_size

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher; what a test sets is gone after it."""
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, instead of waiting."""
    seconds: list[float] = []
    monkeypatch.setattr(runtime.time, "sleep", seconds.append)
    return seconds


def launched(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_without_a_launcher_there_is_one_process() -> None:
    assert (world_size(), rank()) == (1, 0)
    check_launcher()


def test_a_launcher_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, RANK="1", LOCAL_RANK="1", WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT="29500")
    check_launcher()
    assert (world_size(), rank()) == (2, 1)


@pytest.mark.parametrize("text", ["x", "-1", "2.5", "²", "0x1", "1" * 5000])
@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"])
def test_a_malformed_number_is_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(
        UserError, match=rf"environment variable {name}: expected a whole number from .*, found '"
    ) as error:
        check_launcher()
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(("name", "text"), [("WORLD_SIZE", "0"), ("MASTER_PORT", "0"), ("MASTER_PORT", "65536")])
def test_a_number_out_of_its_range_is_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(
        UserError, match=f"{name}: expected a whole number from 1 to .*, found '{text}'; start vlmkit with"
    ):
        check_launcher()


def test_half_a_launcher_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, WORLD_SIZE="2", RANK="0", MASTER_PORT="29500")
    with pytest.raises(UserError, match="one of 2 processes, but there is no LOCAL_RANK, MASTER_ADDR; start"):
        check_launcher()


def test_a_rank_beyond_the_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(UserError, match="expected RANK below WORLD_SIZE 1, found 3"):
        check_launcher()


def test_a_lone_process_needs_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    set_single_process_defaults()
    assert 0 < int(os.environ.pop("MASTER_PORT")) < 65536
    assert {name: os.environ.pop(name) for name in NAMES[:4]} == {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
    }


@pytest.mark.parametrize(("number", "waits"), [("0", False), ("1", True), ("x", False)])
def test_the_first_process_speaks(
    monkeypatch: pytest.MonkeyPatch, waited: list[float], number: str, waits: bool
) -> None:
    launched(monkeypatch, WORLD_SIZE="2", RANK=number)
    wait_unless_first()
    assert bool(waited) is waits


@pytest.mark.parametrize(
    ("count", "error", "lost"),
    [
        ("2", RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:3912"), True),
        ("2", RuntimeError("expected a tensor"), False),
        ("1", RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:3912"), False),
    ],
)
def test_what_comes_of_another_process_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, waited: list[float], count: str, error: Exception, lost: bool
) -> None:
    launched(monkeypatch, WORLD_SIZE=count, RANK="0")
    assert lost_peers(error) is lost
    assert bool(waited) is lost


def test_the_package_can_be_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As torchrun and deepspeed do it, of which the latter adds an option."""
    monkeypatch.setattr(sys, "argv", ["vlmkit", "--local_rank=0", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("vlmkit", run_name="__main__")
    assert not end.value.code
    assert capsys.readouterr().out.startswith("vlmkit ")
