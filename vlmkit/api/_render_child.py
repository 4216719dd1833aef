"""Renders chat templates in a process of its own, with bounds: `vlmkit.api.chat_template` starts it.

In: one JSON object with the `path` of modules, the `template`, the bounds `seconds`, `bytes` and `characters`, and for
each trial what is `given` to the template. Out: a JSON list with `{"text": …}` or `{"error": …}` for each.
"""

from __future__ import annotations

import json
import resource
import sys
from datetime import datetime
from typing import Any


def main() -> None:
    """Read, render, and write; the operating system ends what takes longer."""
    order = json.load(sys.stdin)
    seconds, size = order["seconds"], order["bytes"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    sys.path[:] = order["path"]
    json.dump(_render(order), sys.stdout)


def _render(order: dict[str, Any]) -> list[dict[str, str]]:
    from jinja2 import TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = json.dumps
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    try:
        made = environment.from_string(order["template"])
    except TemplateSyntaxError as error:
        return [{"error": f"it is none: line {error.lineno} of it: {error.message}"}]
    except Exception as error:
        return [{"error": _said(error)}]
    answers = []
    for given in order["trials"]:
        try:
            text = made.render(given)
        except Exception as error:  # what a template does is up to whoever wrote it
            answers.append({"error": _said(error)})
            continue
        long = len(text) > order["characters"]
        answers.append({"error": f"it makes {len(text):,} characters of a question"} if long else {"text": text})
    return answers


def _said(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it fills the memory"
    return f"{type(error).__name__}: {error}"[:1000]


def _refuse(message: str) -> None:
    raise ValueError(message)


if __name__ == "__main__":
    main()
