"""A result in words, for a model card: by which rules it was measured, on what, what is left out, and its limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vlmkit.evaluation.records import BenchmarkResult
from vlmkit.formatting import EN_DASH
from vlmkit.publish.card_data import CardOptions
from vlmkit.publish.card_facts import CardFacts
from vlmkit.publish.model_words import frames
from vlmkit.publish.portable import portable, portable_text
from vlmkit.report.results import BenchmarkSection, score

__all__ = ["counts", "judge", "limitations", "limited", "protocol", "range_of", "shown_frames", "title"]


def title(section: BenchmarkSection) -> str:
    """Return name and title of a benchmark in the registry, with its paper; many a title begins with the name."""
    entry = section.benchmark
    if entry is None:
        return section.name
    named = entry.title if entry.title.startswith(section.name) else f"{section.name}: {entry.title}"
    return f"{named} ({entry.paper})" if re.match(r"(arXiv|https?):", entry.paper) else named


def range_of(facts: CardFacts, result: str, metric: str) -> str:
    """Return the lowest and highest value of a metric where they are not 0 and 1, as they follow its name."""
    low, high = facts.ranges.get(result, {}).get(metric, (0.0, 1.0))
    return "" if (low, high) == (0.0, 1.0) else f", {low:g}{EN_DASH}{high:g}"


def protocol(result: BenchmarkResult) -> str:
    """Return name and version of what scored it."""
    return f"{result.harness.name} {result.harness.version}" if result.harness else result.protocol


def judge(result: BenchmarkResult) -> str:
    """Return the judge with its prompts."""
    prompts = f", prompt {', '.join(result.judge.prompts)}" if result.judge and result.judge.prompts else ""
    return f"{portable_text(str(result.judge))}{prompts}" if result.judge else "none: rules decide"


def shown_frames(result: BenchmarkResult) -> str:
    """Return how many frames of a video were shown, and by which rule."""
    decoding = result.decoding
    if decoding is None or decoding.frames is None:
        return EN_DASH
    sampling = portable(decoding.sampling)
    rule = sampling.get("type") if isinstance(sampling, dict) else sampling
    return f"{decoding.frames}{f', {rule}' if rule else ''}"


def counts(result: BenchmarkResult) -> str:
    """Return how many questions are not in the score, or were not read, and why."""
    said = {
        "videos unreadable": result.skipped,
        "without a verdict": result.unscored,
        "left out by the protocol": result.dropped,
        "answers unreadable, counted as wrong": result.unreadable,
        "answers unreadable, replaced at random": result.drawn,
    }
    return ", ".join(f"{number:,} {what}" for what, number in said.items() if number) or "none"


def limited(result: BenchmarkResult) -> str:
    """Return how many questions were asked where not all were, as it follows the split."""
    return f", the first {result.limit:,} questions only" if result.limit else ""


def limitations(facts: CardFacts, options: CardOptions) -> Iterator[str]:
    """Yield in sentences what the model cannot do, and what its scores do not tell."""
    video = facts.video
    yield (
        f"It sees {frames(facts)}, and hears no sound. It cannot know what happens between these frames, nor what is "
        f"too small to be seen on {_pixels(video)}."
    )
    drawn = facts.model["backbone"].get("init") == "random" and facts.started_from is None
    if facts.adapter is not None:
        yield "On which data the adapter was trained is not known here."
    elif drawn and facts.stages and options.base_model is None:
        yield "Its language model was drawn at random before training: it knows nothing beyond the data listed above."
    if not facts.results:
        yield "Nothing was measured: whether its answers are right, and whether they depend on the video, is unknown."
    for section in facts.results:
        yield from _of_scores(section)
    if facts.results:
        yield (
            "Scores of other protocols, judges, splits or numbers of frames are no scores of the same thing. On other "
            "videos and questions than those of its benchmarks nothing is known of it."
        )
    yield "Nothing here was tested for bias, for safety, or for questions that a video cannot answer."
    if options.license is None:
        yield "No license is stated: ask whoever published it before you use it."


def _pixels(video: Mapping[str, Any]) -> str:
    area = video.get("max_pixels") or (video["size"] ** 2 if video.get("fit") in ("area", "pixels") else None)
    return f"{video['size']} pixels" if area is None else f"{area:,} pixels in all"


def _of_scores(section: BenchmarkSection) -> Iterator[str]:
    if section.metric is None:
        yield f"{section.name}: no question could be scored."
        return
    for row in section.controls:
        found = row.series["control"]
        if found is not None:
            yield (
                f"{section.name}: with the control `{row.name}` it still reaches {score(found, section.metric)} "
                f"({section.metric}); that much of its score is not due to {row.due_to}."
            )
    if not section.controls and section.result.harness is None:
        yield f"{section.name}: no control was measured, so how much of the score is due to the video is unknown."
