"""Runs one target: `python -m fuzz.drive specs --examples 1000 --seed 1` with `tests` on the path.

A process of its own: what hypothesis draws depends on the modules that are loaded.
"""

from __future__ import annotations

import argparse
from collections import Counter
from importlib import import_module
from typing import Any

from fuzz.child import Child
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st


class DefectFound(AssertionError):  # noqa: N818 -- what it is
    """Something other than a UserError."""


def main(name: str, examples: int, number: int) -> None:
    """Raise with a minimal example where there is one; print how far the others came."""
    module = import_module(f"fuzz.{name}")
    child = Child(f"fuzz.{name}")
    counts: Counter[str] = Counter()
    kinds: dict[str, type[DefectFound]] = {}

    def holds(example: Any) -> None:
        outcome = child.ask(example)
        counts[outcome.kind] += 1
        if outcome.kind == "defect":
            signature = outcome.signature  # each its own class, so that shrinking does not slip from one to the other
            kind = kinds.setdefault(signature, type("DefectFound", (DefectFound,), {}))
            raise kind(f"{_shown(module.show(example))}\n{outcome.said}")

    try:
        run(holds, module.examples(child.bases), examples, number)
    finally:
        child.close()
    total = counts.total()
    print(f"{name}: {total} examples, seed {number}: {dict(counts)}")
    for kind, share in module.ENOUGH.items():
        if counts[kind] < share * total:
            raise SystemExit(f"{name}: expected {share:.0%} of the examples to be {kind}, so that they test something")


def run(holds: Any, strategy: st.SearchStrategy[Any], examples: int, number: int) -> None:
    """As many examples as asked for, drawn by a seed."""
    test = given(strategy)(holds)
    test = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )(test)
    seed(number)(test)()


def _shown(text: str) -> str:
    return text if len(text) < 20_000 else f"{text[:10_000]} … {text[-10_000:]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    main(arguments.name, arguments.examples, arguments.seed)
