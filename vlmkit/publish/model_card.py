"""The model card: README.md with metadata for the Hub and text for people, rendered from `templates/model_card.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import ModelCard
from jinja2 import Environment, PackageLoader, StrictUndefined

from vlmkit import formatting
from vlmkit._version import __version__
from vlmkit.answers.exports import HubBenchmark
from vlmkit.benchmarks.entries import Benchmark
from vlmkit.errors import PluginError
from vlmkit.evaluation.controls import CHANGES
from vlmkit.evaluation.records import BenchmarkResult
from vlmkit.formatting import EN_DASH, plural
from vlmkit.publish.card_data import CardOptions, base_model, metadata
from vlmkit.publish.card_facts import CardFacts
from vlmkit.publish.portable import portable, portable_text
from vlmkit.registry import registry
from vlmkit.report.results import BenchmarkSection, interval, lost, lost_interval, score

__all__ = ["model_card"]

_SIZES = {
    "num_hidden_layers": "{:,} layers",
    "hidden_size": "width {:,}",
    "vocab_size": "vocabulary of {:,} tokens",
}


def model_card(
    facts: CardFacts,
    options: CardOptions,
    places: Mapping[str, HubBenchmark],
    *,
    merged: bool = True,
    capsule: str | None = None,
) -> str:
    """Return the content of README.md.

    Args:
        facts: what is known of the model.
        options: what the run cannot tell.
        places: by result, the dataset of the Hub that the benchmark is kept in.
        merged: whether the repository holds a whole model, and not an adapter alone.
        capsule: folder of the recorded answers within the repository.
    """
    data = metadata(facts, options, places, merged=merged)
    repository = options.repository
    text = (
        _templates()
        .get_template("model_card.md")
        .render(
            facts=facts,
            summary=_summary(facts, options),
            language=_language(facts),
            frames=_frames(facts),
            sampler=_sampler(facts),
            tokens=_tokens(facts),
            adapter=_adapter(facts.adapter or {}),
            packages=_packages(facts, merged=merged),
            repository=repository,
            place=repository.rpartition("/")[2] if repository else "FOLDER",
            base_model=base_model(facts, options),
            limitations=list(_limitations(facts, options, merged=merged)),
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
    templates.filters |= {"cell": _cell, "hardware": _hardware}
    described = (_protocol, _judge, _shown_frames, _counts, _limited, _described, _range_of, _title, _paper)
    templates.globals["changes"] = CHANGES
    templates.globals |= {function.__name__.lstrip("_"): function for function in described}
    return templates


def _or_dash(function: Any) -> Any:
    return lambda value, *options: EN_DASH if value is None else function(value, *options)


def _cell(value: object) -> str:
    """Return text for one cell of a table, in which nothing is markup."""
    text = " ".join(str(value).split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*") or EN_DASH


def _summary(facts: CardFacts, options: CardOptions) -> str:
    what = (
        "an encoder-free video-language model" if "encoder" not in facts.model["aligner"] else "a video-language model"
    )
    base = base_model(facts, options)
    built = f" on {base}" if base and facts.adapter is None else ""
    return (
        f"This is {what}{built}: it takes a video and a question, and answers in words. It was made with vlmkit "
        f"{facts.components.get('vlmkit', __version__)}, under the name `{facts.name}`."
    )


def _language(facts: CardFacts) -> str:
    sizes = [
        said.format(facts.language[key]) for key, said in _SIZES.items() if isinstance(facts.language.get(key), int)
    ]
    return ", ".join([str(facts.language.get("model_type", facts.model["backbone"]["type"])), *sizes])


def _frames(facts: CardFacts) -> str:
    return f"up to {plural(facts.video['frames'], 'frame')} of a video, {_rule(facts.video.get('sampling'))}"


def _rule(sampling: Any) -> str:
    name = sampling.get("type") if isinstance(sampling, Mapping) else sampling
    options = {key: value for key, value in sampling.items() if key != "type"} if isinstance(sampling, Mapping) else {}
    said = ", ".join(f"{key} {value}" for key, value in options.items() if value is not None)
    return f"chosen by `{name}`{f' ({said})' if said else ''}"


def _sampler(facts: CardFacts) -> str:
    sampling = facts.video.get("sampling")
    name = sampling.get("type") if isinstance(sampling, Mapping) else sampling
    said = _described("sampler", name)
    return f"The rule `{name}`, {said.partition(': ')[2]}." if said != name else ""


def _described(kind: str, component: object) -> str:
    """Return a component with its description, without a full stop; without that where it is not installed."""
    name = str(component).partition(" ")[0]
    try:
        said = registry().get(kind, name).description.rstrip(".")
    except PluginError:
        said = ""
    return f"{component}: {said}" if said else str(component)


def _range_of(facts: CardFacts, result: str, metric: str) -> str:
    low, high = facts.ranges.get(result, {}).get(metric, (0.0, 1.0))
    return "" if (low, high) == (0.0, 1.0) else f", {low:g}{EN_DASH}{high:g}"


def _title(section: BenchmarkSection) -> str:
    """Return name and title of a benchmark; many a title begins with the name."""
    title = section.benchmark.title if section.benchmark else ""
    return title if title.startswith(section.name) else f"{section.name}: {title}"


def _paper(benchmark: Benchmark) -> str:
    return f" ({benchmark.paper})" if re.match(r"(arXiv|https?):", benchmark.paper) else ""


def _tokens(facts: CardFacts) -> str:
    by_count: dict[int, list[str]] = {}
    for aspect, number in facts.tokens.items():
        by_count.setdefault(number, []).append(aspect)
    return ", ".join(f"{number:,} tokens ({', '.join(aspects)})" for number, aspects in by_count.items())


def _adapter(adapter: Mapping[str, Any]) -> str:
    named = {"r": "rank", "lora_alpha": "alpha"}
    said = [f"{name} {adapter[key]}" for key, name in named.items() if adapter.get(key) is not None]
    for key, verb in (("target_modules", "adapts"), ("modules_to_save", "replaces")):
        if modules := adapter.get(key):
            said.append(f"{verb} {modules if isinstance(modules, str) else ', '.join(sorted(modules))}")
    return ", ".join([str(adapter.get("peft_type", "LORA")), *said])


def _packages(facts: CardFacts, *, merged: bool) -> str:
    needed = {"vlmkit": __version__} | facts.components
    extra = "" if merged else "[peft]"
    return " ".join(f"'{name}{extra if name == 'vlmkit' else ''}=={version}'" for name, version in needed.items())


def _protocol(result: BenchmarkResult) -> str:
    return f"{result.harness.name} {result.harness.version}" if result.harness else result.protocol


def _judge(result: BenchmarkResult) -> str:
    prompts = f", prompt {', '.join(result.judge.prompts)}" if result.judge and result.judge.prompts else ""
    return f"{portable_text(str(result.judge))}{prompts}" if result.judge else "none: rules decide"


def _shown_frames(result: BenchmarkResult) -> str:
    decoding = result.decoding
    if decoding is None or decoding.frames is None:
        return EN_DASH
    sampling = portable(decoding.sampling)
    rule = sampling.get("type") if isinstance(sampling, dict) else sampling
    return f"{decoding.frames}{f', {rule}' if rule else ''}"


def _counts(result: BenchmarkResult) -> str:
    said = {
        "videos unreadable": result.skipped,
        "without a verdict": result.unscored,
        "left out by the protocol": result.dropped,
        "answers unreadable, counted as wrong": result.unreadable,
        "answers unreadable, replaced at random": result.drawn,
    }
    return ", ".join(f"{number:,} {what}" for what, number in said.items() if number) or "none"


def _limited(result: BenchmarkResult) -> str:
    return f", the first {result.limit:,} questions only" if result.limit else ""


def _hardware(environment: Mapping[str, Any]) -> str:
    """Return one environment in words, without what tells one machine from another of its kind."""
    platform = str(environment.get("platform", ""))
    system, machine = platform.partition("-")[0], next((m for m in ("x86_64", "aarch64", "arm64") if m in platform), "")
    devices = environment.get("devices") or []
    said = [
        f"Python {environment['python']}" if "python" in environment else "",
        f"{system} {machine}".strip(),
        plural(environment["cpus"], "CPU core") if environment.get("cpus") else "",
        ", ".join(f"{devices.count(one)} x {one}" for one in dict.fromkeys(devices)),
        *(f"{name} {version}" for name, version in (environment.get("packages") or {}).items()),
    ]
    return ", ".join(filter(None, said))


def _limitations(facts: CardFacts, options: CardOptions, *, merged: bool) -> Iterator[str]:
    video = facts.video
    yield (
        f"It sees {_frames(facts)}, and hears no sound. It cannot know what happens between these frames, nor what is "
        f"too small to be seen on {video['size']} pixels."
    )
    if facts.model["backbone"].get("init") == "random" and not options.base_model:
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
