"""`vlmkit ask` and `vlmkit chat` on a terminal: text as it comes, colors, editing of lines, Ctrl-C and Ctrl-D."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

PROMPT = "\n> "
SILENCE = 180
"""Seconds without a new character after which a command hangs; while it loads torch it says nothing."""


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, *arguments: object) -> None:
        self._master, end = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "80", "LINES": "40"}
        environment.pop("NO_COLOR", None)
        command = [sys.executable, "-m", "vlmkit", *map(str, arguments)]
        session: Any = {"start_new_session": True, "preexec_fn": lambda: os.close(os.open(os.ttyname(0), os.O_RDWR))}
        self.process = Popen(command, stdin=end, stdout=end, stderr=end, env=environment, **session)
        os.close(end)
        self.seen = ""
        self._decoder = getincrementaldecoder("utf-8")(errors="replace")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def wait_for(self, text: str) -> str:
        """Return what is on the screen up to a text, which has not been there before."""
        while text not in self.seen:
            more = self._read()
            assert more, f"{text!r} is not in {self.seen!r}"
            self.seen += more
        before, _, self.seen = self.seen.partition(text)
        return before

    def finish(self) -> tuple[int, str]:
        """Return the exit code and the rest of what is on the screen."""
        while more := self._read():
            self.seen += more
        return self.process.wait(60), self.seen

    def close(self) -> None:
        """End it, however far it is."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self) -> str:
        if not select.select([self._master], [], [], SILENCE)[0]:
            return ""
        try:
            return self._decoder.decode(os.read(self._master, 1 << 16)) or self._read()  # half a character
        except OSError:  # the other end is closed
            return ""


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Filled by a test, and closed after it."""
    opened: list[Terminal] = []
    yield opened
    for each in opened:
        each.close()


@pytest.fixture
def endless_talker(talker: Path, tmp_path: Path) -> Path:
    """`talker` without a token that ends its answers, so that one can be stopped, whenever Ctrl-C comes.

    4000 tokens of it are more than a terminal holds that nobody reads.
    """
    copy = shutil.copytree(talker, tmp_path / "talker")
    file = copy / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "eos_token_id": None}))
    (copy / "checksums.json").unlink()  # of the unchanged file
    return copy


def test_a_chat(endless_talker: Path, drawn_clips: list[Path], terminals: list[Terminal]) -> None:
    terminals.append(chat := Terminal("chat", endless_talker, drawn_clips[0], "--max-new-tokens", 4000))
    assert "[talker: 57.6 k parameters on " in chat.wait_for(PROMPT)
    chat.type("/frmes\x1b[D\x1b[D\x1b[Da\n")  # three characters back
    shown = chat.wait_for("8 frames, at 0.00 ")
    assert shown.count("▀") == 8 * 9 * 4, "frames, columns, lines"
    assert "\x1b[38;2;" in shown
    chat.wait_for(PROMPT)
    chat.type("what is it\n")
    chat.wait_for("what is it\r\n")
    assert chat.wait_for("mo"), "the answer comes piece by piece"
    chat.type("\x03")
    assert chat.wait_for("[stopped]")
    chat.wait_for(PROMPT)
    chat.type("never mind\x03")
    chat.wait_for(PROMPT)
    chat.type("\x1b[A\x01\x0b/help\n")  # the last line, of which nothing is kept
    assert "/video PATH" in chat.wait_for("Ctrl-D ends.")
    chat.wait_for(PROMPT)
    chat.type("\x04")
    assert chat.finish()[0] == 0


def test_questions(talker: Path, drawn_clips: list[Path], terminals: list[Terminal]) -> None:
    terminals.append(ask := Terminal("ask", talker, drawn_clips[0], "how", "who", "--max-new-tokens", 5))
    code, screen = ask.finish()
    assert code == 0
    assert "8 frames, at 0.00 " in screen
    first, second = screen.partition("> how\r\n")[2].split("> who\r\n")
    assert first != second
    assert first.endswith("\r\n[how: cut off after 5 tokens; --max-new-tokens allows more]\r\n")


def test_no_question(talker: Path, drawn_clips: list[Path], terminals: list[Terminal]) -> None:
    terminals.append(ask := Terminal("ask", talker, drawn_clips[0]))
    code, screen = ask.finish()
    assert code == 2
    assert "there is no question: expected one or more behind the video" in screen
