"""The page of published numbers: each with ours, the interval and the difference."""

from __future__ import annotations

from collections.abc import Sequence

from vlmkit.answers.published import PublishedList
from vlmkit.answers.reproduction import Reproduced

__all__ = ["published_page"]

_HEAD = """# Published numbers, made again

Written by `make published`; do not edit. Each number is computed from the system's own answers, through the same steps
as the scores of any model: answers are matched with the questions of the registry's entry (or, where its annotations
may not be copied, with what the files say of them), read and judged as its protocol says, and aggregated. Verdicts are
those of the judge that the authors asked. Intervals are 95%, clustered as the entry says. Accuracy, its standard error
and differences are in percent. What is compared is listed in `benchmarks_registry/published/`.

"""


def published_page(found: Sequence[tuple[PublishedList, Sequence[Reproduced]]]) -> str:
    """Return the page as Markdown."""
    everything = [one for _, numbers in found for one in numbers]
    agreeing = sum(one.agrees for one in everything)
    counts = f"{len(everything)} numbers, of which {agreeing} agree in every printed digit.\n"
    return _HEAD + counts + "".join(_section(published, numbers) for published, numbers in found)


def _section(published: PublishedList, numbers: Sequence[Reproduced]) -> str:
    head = "| system | number | published | ours | 95% interval | difference |\n|---|---|--:|--:|--:|--:|"
    lines = [f"\n## {published.title}\n", f"Answers: {published.source}.\n", head]
    return "\n".join([*lines, *(_line(one) for one in numbers)]) + "\n"


def _line(one: Reproduced) -> str:
    decimals = len(one.published.partition(".")[2])
    interval = "" if one.interval is None else f"[{one.interval[0]:.{decimals}f}, {one.interval[1]:.{decimals}f}]"
    difference = "0" if one.agrees else f"{one.difference:+.{decimals}f}"
    return f"| {one.system} | {one.name} | {one.published} | {one.ours:.{decimals}f} | {interval} | {difference} |"
