"""Numbers and components in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["NONE", "component", "count", "duration", "interval", "large", "plural", "primary", "rate", "score"]

DASH = "\N{EN DASH}"
NONE = DASH
"""Stands where there is no value."""


def count(number: int) -> str:
    """1234567 -> 1,234,567."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """2, "question" -> 2 questions."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def large(number: float) -> str:
    """Three significant digits with a unit prefix: 68300000000 -> 68.3 G."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def rate(value: float) -> str:
    """A learning rate: 0.0004 -> 4e-4."""
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def duration(seconds: float) -> str:
    """Seconds for a reader: 4000 -> 1 h 7 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def primary(metrics: Mapping[str, Any]) -> str:
    """The metric that stands for a benchmark: accuracy where there is one, else the first."""
    return "accuracy" if "accuracy" in metrics else next(iter(metrics))


def score(name: str, value: float) -> str:
    """A metric's value: accuracies in percent, others as they are."""
    return f"{value * 100:.1f}%" if name == "accuracy" else f"{value:.2f}"


def interval(name: str, metric: Mapping[str, Any]) -> str:
    """The 95% interval of a metric."""
    low, high = metric["ci95"]
    return f"{score(name, low).rstrip('%')}{DASH}{score(name, high)}"


def component(options: Mapping[str, Any]) -> str:
    """A component and what fills its slots: `stab (downsampler lsd)`."""
    slots = [f"{key} {value['type']}" for key, value in options.items() if isinstance(value, dict) and "type" in value]
    return f"{options['type']} ({', '.join(slots)})" if slots else str(options["type"])
