"""One server and many clients at once, some of them malformed, too large, slow or gone: each gets what it should.

VLMKIT_SERVE_REQUESTS sets how many requests are sent, VLMKIT_SERVE_MODEL of which model (a run, or a saved one).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vlmkit.chat.chat_model import ChatModel

from .cases import MAX_BYTES, ChatCase, draw_cases
from .clients import Answered, ask_all

COUNT = int(os.environ.get("VLMKIT_SERVE_REQUESTS", "500"))
AT_ONCE = 16
READ, STOP = 2.0, 10.0
"""Seconds for a request to come in, and for the server to stop."""


def test_every_good_request_is_answered_as_offline_and_every_bad_one_refused(
    talker: Path, drawn_clips: list[Path], served: Callable[..., Any], record_property: Callable[[str, object], None]
) -> None:
    target = os.environ.get("VLMKIT_SERVE_MODEL", str(talker))
    model = ChatModel.open(target, device="cpu")
    cases = draw_cases(model, drawn_clips, COUNT, seed=1)
    server = served(
        *(target, "--allow-files", drawn_clips[0].parent, "--max-request-bytes", MAX_BYTES),
        *("--max-tokens", 256, "--read-seconds", READ, "--stop-seconds", STOP),
    )
    asyncio.run(ask_all(server.url, draw_cases(model, drawn_clips, 60, seed=2), AT_ONCE))
    before, begin = server.rss, time.monotonic()
    answered = asyncio.run(ask_all(server.url, cases, AT_ONCE))
    seconds, after = time.monotonic() - begin, server.rss
    assert [wrong for wrong in map(_wrong, answered) if wrong] == []
    assert {"good", "no json", "slow", "cut off"} <= {one.case.name for one in answered}
    assert after - before < 24 << 20
    server.terminate()
    code, stopped = server.ended()
    assert (code, stopped < STOP) == (0, True)
    assert "".join(server.errors).count("Traceback") == 0
    good = sorted(one.seconds for one in answered if one.case.name == "good")
    figures = {
        "requests per second": COUNT / seconds,
        "p50 of good ones, s": statistics.median(good),
        "p95 of good ones, s": good[int(0.95 * len(good))],
        "memory before, MiB": before / 2**20,
        "memory after, MiB": after / 2**20,
        "stopped within, s": stopped,
    }
    print({name: round(value, 3) for name, value in figures.items()}, Counter(one.status for one in answered))
    for name, value in figures.items():
        record_property(name, value)


def _wrong(one: Answered) -> str:
    """Say what is wrong with what came back, if anything is."""
    case: ChatCase = one.case
    if one.status != case.status:
        return f"{case.name}: expected {case.status}, found {one.status} {one.error}"
    if one.text != case.text:
        return f"{case.name}: expected {case.text!r}, found {one.text!r}"
    if case.param is not None and one.error["param"] != case.param:
        return f"{case.name}: expected {case.param} to be named, found {one.error}"
    if one.status not in (200, None) and not {"message", "type", "param", "code"} <= set(one.error):
        return f"{case.name}: {one.error}"
    return ""
