"""An explored design space for a reader: the front as text and Markdown, all designs as CSV, the front as SVG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from vlmkit.files import write_atomic
from vlmkit.formatting import columns, large, markdown_table, markdown_text, plural
from vlmkit.spec.design_space import Cost
from vlmkit.study.designs import Explored
from vlmkit.study.front_figure import FrontPanel, PlottedDesign, front_figure

__all__ = ["design_text", "write_designs"]

_TITLES: Mapping[Cost, str] = {
    "parameters": "parameters",
    "tokens": "tokens",
    "operations": "multiply-accumulates",
    "memory": "memory, GiB",
}
_MOST_REASONS = 10
_TRAINED = "*"


def design_text(explored: Explored) -> str:
    """Return the front with what it costs, and what became of the other combinations."""
    return "\n".join([*_found(explored), columns([_HEAD, *_rows(explored)]), *_left_out(explored)])


_HEAD = ("", "design", *_TITLES.values())


def _found(explored: Explored) -> Iterator[str]:
    space = explored.space
    looked_at = len(space.drawn())
    spec = space.spec
    drawn = looked_at < space.combinations
    of_all = f" of {space.combinations:,}, drawn with the seed {spec.sample.seed}" if spec.sample and drawn else ""
    kept = f"{len(explored.designs):,} fit together and keep the limits"
    yield f"{spec.design}: {plural(looked_at, 'design')}{of_all}; {kept}"
    ways = ", ".join(f"{cost} ({way}d)" for cost, way in spec.objectives.items())
    trained = f"{len(explored.survivors):,} to train ({_TRAINED})"
    yield f"Pareto front of {ways}: {plural(len(explored.front), 'design')}, {trained}"


def _rows(explored: Explored) -> Iterator[tuple[str, ...]]:
    yield "", "base", *_costs(explored.base)
    first = next(iter(explored.space.spec.objectives))
    for place in sorted(explored.front, key=lambda place: explored.designs[place].costs[first]):
        design = explored.designs[place]
        yield _TRAINED if place in explored.survivors else "", design.label, *_costs(design.costs)


def _costs(costs: Mapping[Cost, float]) -> tuple[str, ...]:
    memory = f"{costs['memory']:.2f}"
    return f"{costs['parameters']:,.0f}", f"{costs['tokens']:,.0f}", large(costs["operations"]), memory


def _left_out(explored: Explored) -> Iterator[str]:
    for title, reasons in (("beyond a limit", explored.beyond), ("do not fit together", explored.misfits)):
        if reasons:
            yield f"{sum(reasons.values()):,} {title}"
            ordered = sorted(reasons.items(), key=lambda item: -item[1])
            yield columns([(f"{count:,}", reason) for reason, count in ordered[:_MOST_REASONS]])
            if len(ordered) > _MOST_REASONS:
                yield f"  and {plural(len(ordered) - _MOST_REASONS, 'further reason')}"


def write_designs(explored: Explored, folder: Path) -> list[Path]:
    """Write designs.md, designs.csv and designs.svg, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"md": _markdown(explored), "csv": _csv(explored), "svg": _figure(explored)}
    files = [folder / f"designs.{ending}" for ending in texts]
    for file, text in zip(files, texts.values(), strict=True):
        write_atomic(file, text)
    return files


def _markdown(explored: Explored) -> str:
    spec = explored.space.spec
    table = markdown_table(_HEAD, [list(map(markdown_text, row)) for row in _rows(explored)], left=2)
    left_out = [*explored.beyond.items(), *explored.misfits.items()]
    said = [*_found(explored), *(f"{count:,} left out: {reason}" for reason, count in left_out)]
    title = markdown_text(spec.title or spec.design)
    return "\n".join([f"# {title}", "", table, "", *(f"- {markdown_text(line)}." for line in said)]) + "\n"


def _csv(explored: Explored) -> str:
    """Return a line for each design that fits together and keeps the limits, numbers as they are."""
    keys = list(explored.space.spec.ranges)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["design", *keys, *_TITLES, "on_front", "to_train"])
    for place, design in enumerate(explored.designs):
        marks = [int(place in explored.front), int(place in explored.survivors)]
        values = [one if isinstance(one := design.changes[key], str) else json.dumps(one) for key in keys]
        writer.writerow([design.name, *values, *(design.costs[cost] for cost in _TITLES), *marks])
    return out.getvalue()


def _figure(explored: Explored) -> str:
    """Return the first objective against each other one; of a single one, against the parameters or operations."""
    first, *others = explored.space.spec.objectives
    others = others or ["operations" if first == "parameters" else "parameters"]
    panels = []
    for other in others:
        designs = [
            PlottedDesign(
                design.costs[first],
                design.costs[other],
                design.label if place in explored.survivors else "",
                on_front=place in explored.front,
            )
            for place, design in enumerate(explored.designs)
        ]
        base = PlottedDesign(explored.base[first], explored.base[other], "base", is_base=True)
        panels.append(FrontPanel(_TITLES[first], _TITLES[other], [*designs, base]))
    return front_figure(panels, explored.space.spec.design)
