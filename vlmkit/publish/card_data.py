"""The metadata of a model card, which the Hub reads: the YAML block before the text, with all scores.

Source of the keys: https://huggingface.co/docs/hub/model-cards and huggingface_hub's `ModelCardData`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, but not listed

from vlmkit.answers.exports import HubBenchmark
from vlmkit.errors import DataError, shown
from vlmkit.formatting import is_accuracy
from vlmkit.publish.card_facts import CardFacts
from vlmkit.publish.portable import hub_id, portable_text
from vlmkit.report.results import BenchmarkSection, interval

__all__ = ["TASK", "CardOptions", "check_hub_id", "metadata"]

TASK = "video-text-to-text"
"""The Hub's name of what the model does."""
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(frozen=True)
class CardOptions:
    """The metadata that a run cannot know, from whoever publishes the model."""

    license: str | None = None
    """The Hub's id of a license, e.g. `apache-2.0`."""
    base_model: str | None = None
    """Id on the Hub of the model that this one was trained from."""
    datasets: tuple[str, ...] = ()
    """Ids on the Hub of what it was trained on."""
    repository: str | None = None
    """Id on the Hub under which it will be found."""

    def __post_init__(self) -> None:
        """Raise a DataError where an id is none."""
        if self.license is not None and not _LICENSE.fullmatch(self.license):
            raise DataError(
                f"license: expected an id as the Hub has it, e.g. apache-2.0, mit or other, found "
                f"{shown(self.license)}; they are listed at https://huggingface.co/docs/hub/repositories-licenses"
            )
        named = {"base model": [self.base_model], "dataset": self.datasets, "repository": [self.repository]}
        for what, ids in named.items():
            for one in ids:
                if one is not None:
                    check_hub_id(one, what)


def check_hub_id(name: str, what: str) -> None:
    """Raise a DataError where a name is no id of a repository on the Hub with its organization."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise DataError(f"{what}: expected an id on the Hub, ORG/NAME, found {shown(name)}: {error}") from None
    if "/" not in name:
        raise DataError(f"{what}: expected an id on the Hub, ORG/NAME, found {shown(name)}, which names nobody")


def metadata(
    facts: CardFacts, options: CardOptions, places: Mapping[str, HubBenchmark], *, merged: bool
) -> ModelCardData:
    """Return the metadata as huggingface_hub's `ModelCardData`.

    Args:
        facts: what is known of the model.
        options: what the run cannot tell.
        places: by result, the dataset of the Hub that the benchmark is kept in.
        merged: whether the repository holds a whole model, and not an adapter alone.
    """
    tags = ["vlmkit", "video", "video-question-answering", facts.aligner.type]
    if "encoder" not in facts.model["aligner"]:
        tags.append("encoder-free")
    if facts.adapter is not None:
        tags.append(str(facts.adapter.get("peft_type", "lora")).lower())
    base = base_model(facts, options)
    scores = [one for section in facts.results for one in _scores(section, places.get(section.name))]
    data = ModelCardData(
        license=options.license,
        library_name="vlmkit" if merged else "peft",
        pipeline_tag=TASK,
        tags=tags,
        datasets=list(options.datasets) or None,
        base_model=base,
        metrics=["accuracy"] if any(one.metric_type == "accuracy" for one in scores) else None,
        model_name=facts.name if scores else None,
        eval_results=scores or None,
    )
    if base is not None:
        data["base_model_relation"] = "finetune" if merged else "adapter"
    return data


def base_model(facts: CardFacts, options: CardOptions) -> str | None:
    """Return the id of the model that this one was trained from: as stated, or as its spec has it."""
    if options.base_model is not None:
        return options.base_model
    backbone = facts.model["backbone"]
    named = backbone.get("path") if backbone.get("init") != "random" else None
    return hub_id(named) if isinstance(named, str) else None


def _scores(section: BenchmarkSection, place: HubBenchmark | None) -> Iterator[EvalResult]:
    result = section.result
    told = {
        "protocol": result.protocol or None,
        "judge": portable_text(str(result.judge)) if result.judge else None,
        "harness": f"{result.harness.name} {result.harness.version}" if result.harness else None,
        "frames": result.decoding.frames if result.decoding else None,
        "limit": result.limit,
        "questions": result.n,
        "skipped": result.skipped,
        "unscored": result.unscored,
    }
    label = f"{section.name}: " if section.name != result.benchmark else ""  # results of one dataset share its entry
    for metric, found in result.metrics.items():
        low, high = found.ci95
        yield EvalResult(
            task_type=TASK if result.harness is None else "text-generation",
            dataset_type=place.dataset if place is not None else result.benchmark,
            dataset_name=result.benchmark,
            dataset_split=result.split,
            metric_type="accuracy" if is_accuracy(metric) else metric,
            metric_name=f"{label}{metric}, 95% interval {interval(found, metric)}",
            metric_value=round(found.value, 6),
            metric_args={
                **{key: value for key, value in told.items() if value is not None},
                "ci95": [round(low, 6), round(high, 6)],
            },
        )
