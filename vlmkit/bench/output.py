"""The output of a benchmark: a table for the terminal, JSON, and a bar chart."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from typing import Any

import torch
from matplotlib.figure import Figure

from vlmkit._version import __version__
from vlmkit.bench.machine import matmul_rate
from vlmkit.bench.vision import TimingOptions, VisionTimings

__all__ = ["as_json", "bar_chart", "machine", "rows"]


def machine(options: TimingOptions) -> dict[str, Any]:
    """Return a description of the machine, for the figures."""
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    rate = matmul_rate(device, options.torch_dtype)
    return {"device": name, "torch": torch.__version__, "vlmkit": __version__, "matmul_gmacs_per_second": rate / 1e9}


def as_json(results: Sequence[VisionTimings], options: TimingOptions, where: dict[str, Any]) -> str:
    """Everything that was measured."""
    content = {"machine": where, "options": asdict(options), "results": [result.as_dict() for result in results]}
    return json.dumps(content, indent=2)


def rows(results: Sequence[VisionTimings]) -> list[tuple[str, ...]]:
    """A header and one row per spec; `x` compares with the first spec."""
    head = ("spec", "median", "spread", "x", "of matmul rate", "GMAC", "parameters", "peak MiB", "tokens", "frames")
    trained = any(result.train_seconds for result in results)
    table: list[tuple[str, ...]] = [(*head, "train step / forward") if trained else head]
    for result in results:
        figures = result.as_dict()
        row = (
            result.name,
            f"{result.median * 1000:,.1f} ms",
            f"±{result.spread * 1000:,.1f} ms",
            f"{result.median / results[0].median:.2f}",
            f"{figures['fraction']:.0%}",
            f"{result.macs / 1e9:,.1f}",
            f"{result.parameters:,}",
            "-" if result.peak_bytes is None else f"{result.peak_bytes / 2**20:,.0f}",
            f"{result.tokens:,}",
            str(result.frames),
        )
        table.append((*row, f"{figures['train_to_forward']:.2f}") if trained else row)
    return table


def bar_chart(results: Sequence[VisionTimings], options: TimingOptions) -> str:
    """SVG: the median time of each spec on a logarithmic scale, with its range."""
    figure = Figure(figsize=(7.5, 1.2 + 0.45 * len(results)), layout="constrained")
    axes = figure.subplots()
    medians = [result.median for result in results]
    low = [result.median - min(result.seconds) for result in results]
    high = [max(result.seconds) - result.median for result in results]
    places = range(len(results))
    bars = axes.barh(places, medians, xerr=[low, high], color="#3b6ea5", ecolor="#222222")
    axes.set_yticks(places, [result.name for result in results])
    axes.bar_label(bars, [f" {value * 1000:,.0f} ms" for value in medians], padding=4)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"seconds (logarithmic) per batch of {options.batch}, {options.dtype}, {options.device}")
    axes.set_title("Forward pass of the visual part", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    out = StringIO()
    figure.savefig(out, format="svg")
    return out.getvalue()
