"""The process that the code under test runs in: it may crash, hang or eat memory without taking the fuzzer with it.

A target is a module of this folder with a class `Target`: `bases()` is what the fuzzer mutates, `check(example)` runs
the code on one example and returns a word for how far it came. It raises a UserError where the example was refused, and
anything else where there is something to mend.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import sys
import tempfile
import time
import traceback
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from vlmkit.errors import UserError

LONGEST_MESSAGE = 100_000
SECONDS = 30
"""Of CPU time; the slowest honest example takes one or two."""


def answer(target: Any, example: Any) -> tuple[str, str, int]:
    """How one example ended (`refused`, `defect` or the target's own word), what was said, peak of memory in MiB."""
    started = time.process_time()
    try:
        kind, said = target.check(example), ""
    except UserError as error:
        kind, said = "refused", str(error)
        if not said or len(said) > LONGEST_MESSAGE:
            kind, said = "defect", f"BadMessage: a message of {len(said)} characters: {said[:200]}"
    except (Exception, SystemExit):
        kind, said = "defect", traceback.format_exc()
    if (seconds := time.process_time() - started) > SECONDS:
        kind, said = "defect", f"TooSlow: took {seconds:.0f} s\n{said}"
    return kind, said, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(module: str, descriptor: int) -> None:
    """Answer until the other end closes."""
    faulthandler.enable()
    os.environ["HF_HUB_OFFLINE"] = "1"
    connection = Connection(descriptor)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        target = import_module(module).Target(Path(folder))
        connection.send(target.bases())
        while True:
            try:
                example = connection.recv()
            except EOFError:
                return
            connection.send(answer(target, example))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
