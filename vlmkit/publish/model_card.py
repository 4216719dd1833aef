"""The model card: README.md with metadata for the Hub and text for people, rendered from `templates/model_card.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCard
from jinja2 import Environment, PackageLoader, StrictUndefined

from vlmkit import formatting
from vlmkit.answers.exports import HubBenchmark
from vlmkit.evaluation.controls import CHANGES
from vlmkit.formatting import EN_DASH
from vlmkit.publish import model_words, result_words
from vlmkit.publish.card_data import CardOptions, base_model, metadata
from vlmkit.publish.card_facts import CardFacts
from vlmkit.report.results import interval, lost, lost_interval, score

__all__ = ["model_card"]


def model_card(
    facts: CardFacts,
    options: CardOptions,
    places: Mapping[str, HubBenchmark],
    *,
    merged: bool = True,
    capsule: bool = False,
) -> str:
    """Return the content of README.md.

    Args:
        facts: what is known of the model.
        options: what the run cannot tell.
        places: by result, the dataset of the Hub that the benchmark is kept in.
        merged: whether the repository holds a whole model, and not an adapter alone.
        capsule: whether a capsule lies beside it.
    """
    data = metadata(facts, options, places, merged=merged)
    repository = options.repository
    text = (
        _templates()
        .get_template("model_card.md")
        .render(
            facts=facts,
            summary=model_words.summary(facts, options),
            language=model_words.language_model(facts),
            frames=model_words.frames(facts),
            sampler=model_words.sampler(facts),
            tokens=model_words.tokens(facts),
            adapter=model_words.adapter_in_words(facts.adapter or {}),
            packages=model_words.packages(facts, merged=merged),
            repository=repository,
            place=repository.rpartition("/")[2] if repository else "FOLDER",
            base_model=base_model(facts, options),
            limitations=list(result_words.limitations(facts, options)),
            merged=merged,
            capsule=capsule,
        )
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))


def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("vlmkit.publish"),
        autoescape=False,  # noqa: S701 -- Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = {"count": formatting.count, "large": formatting.large, "score": score, "interval": interval}
    filters |= {"lost": lost, "lost_interval": lost_interval}
    templates.filters |= {name: _or_dash(function) for name, function in filters.items()}
    templates.filters |= {"cell": _cell, "hardware": model_words.hardware}
    templates.globals |= {"changes": CHANGES, "described": model_words.described, "words": result_words}
    return templates


def _or_dash(function: Any) -> Any:
    return lambda value, *options: EN_DASH if value is None else function(value, *options)


def _cell(value: object) -> str:
    """Return text for one cell of a table, in which nothing is markup."""
    text = " ".join(str(value).split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*") or EN_DASH
