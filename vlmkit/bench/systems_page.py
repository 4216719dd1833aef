"""The page that sets systems side by side, as Markdown: what is counted, what was timed, what a study has found."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from vlmkit.bench.systems import STEP_BATCH, Systems, TimedSystem
from vlmkit.formatting import EN_DASH, count, large, markdown_table, markdown_text, plural
from vlmkit.summary import Summary

__all__ = ["counts_table", "systems_page"]


def systems_page(found: Systems) -> str:
    """Return the page."""
    times, study = found.times, f"specs/studies/{found.study.file.name}"
    scores = found.scores or (
        f"Not trained yet: `vlmkit ablate {study}`, then `vlmkit bench systems --keep-times` writes its table here."
    )
    return f"""# Systems on equal footing

Written by `vlmkit bench systems`; do not edit.

## Full size, counted

The shipped specs ([specs/README.md](../specs/README.md)), without weights. The visual part is everything between pixels
and the language model, its encoder included; some systems put further parameters inside the language model. Tokens and
multiply-accumulates (those of the visual part, in matrix products and convolutions) are for one square video of as many
frames as the spec has. Each token then costs a pass through the language model, with what is inside it; prompts are
read by its attention alone.

{counts_table(found.counted)}

## Full size, timed

One run of `{times.command}`:
{times.machine}.
Where other work runs on the machine, times of another run differ; `x` is what to compare. It is the time against
{next(iter(times.systems))}, the median over the rounds, in each of which every system had its turn.

{_times(times.systems)}
{_left_out(found)}
## Small, counted

The rows of `{study}`: the same language model, the same frames and canvas, and visual parts of about
one size.

{counts_table(found.rows)}

## Small, timed

In the same run, on one thread. A training step is forward, backward and AdamW of the whole model on {STEP_BATCH} videos
with a short question and answer each, in float32, all parameters trained. `x` compares with
{markdown_text(next(iter(times.rows)))}.

{_small_times(times.rows)}

## Small, trained

Every row learns from the same clips in as many steps, with the same learning rates; the study file says the rest.

{scores}
"""


def counts_table(counted: Mapping[str, Summary]) -> str:
    """Return parameters, frames, tokens and operations of systems as Markdown, for one square video."""
    head = ("system", "visual part", "inside the LLM", "LLM", "frames", "tokens", "multiply-accumulates")
    rows = [
        (
            markdown_text(name),
            count(one.parts["aligner"]),
            count(one.parts["layers"]) if "layers" in one.parts else EN_DASH,
            count(one.parts["backbone"]),
            count(one.frames),
            count(one.tokens["square"]) + (f" and {plural(one.prompts, 'prompt')}" if one.prompts else ""),
            large(one.macs),
        )
        for name, one in counted.items()
    ]
    return markdown_table(head, rows)


def _times(timed: Mapping[str, TimedSystem]) -> str:
    base = next(iter(timed.values()))
    rows = [
        (
            markdown_text(name),
            _milliseconds(one.forward),
            f"{min(one.forward) * 1000:,.0f}{EN_DASH}{max(one.forward) * 1000:,.0f} ms",
            _ratio(one.forward, base.forward),
            f"{statistics.median(one.fractions):.0%}",
        )
        for name, one in timed.items()
    ]
    return markdown_table(("system", "median", "rounds", "x", "of a matrix product's rate"), rows)


def _left_out(found: Systems) -> str:
    left = [name for name in found.counted if name not in found.times.systems]
    return f"\nNot timed, for their memory or operations: {', '.join(left)}.\n" if left else ""


def _small_times(timed: Mapping[str, TimedSystem]) -> str:
    base = next(iter(timed.values()))
    rows = [
        (
            markdown_text(name),
            _milliseconds(one.forward),
            _ratio(one.forward, base.forward),
            _milliseconds(one.forward_backward),
            _ratio(one.forward_backward, base.forward_backward),
            _milliseconds(one.step),
            _ratio(one.step, base.step),
        )
        for name, one in timed.items()
    ]
    head = ("system", "visual part", "x", "forward and backward", "x", "training step", "x")
    return markdown_table(head, rows)


def _milliseconds(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:,.1f} ms"


def _ratio(seconds: Sequence[float], base: Sequence[float]) -> str:
    return f"{statistics.median(own / other for own, other in zip(seconds, base, strict=True)):.2f}"
