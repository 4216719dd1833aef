"""A model in words, for its card: parts, frames, tokens, what it needs and what it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmkit._version import __version__
from vlmkit.errors import PluginError
from vlmkit.formatting import plural
from vlmkit.publish.card_data import CardOptions, base_model
from vlmkit.publish.card_facts import CardFacts
from vlmkit.registry import registry

__all__ = [
    "adapter_in_words", "described", "frames", "hardware", "language_model", "packages", "sampler", "summary", "tokens",
]  # fmt: skip

_SIZES = {
    "num_hidden_layers": "{:,} layers",
    "hidden_size": "width {:,}",
    "vocab_size": "vocabulary of {:,} tokens",
}


def summary(facts: CardFacts, options: CardOptions) -> str:
    """Return the first sentences of the card."""
    what = (
        "an encoder-free video-language model" if "encoder" not in facts.model["aligner"] else "a video-language model"
    )
    base = base_model(facts, options)
    built = f" on {base}" if base and facts.adapter is None else ""
    return (
        f"This is {what}{built}: it takes a video and a question, and answers in words. It was made with vlmkit "
        f"{facts.components.get('vlmkit', __version__)}, under the name `{facts.name}`."
    )


def language_model(facts: CardFacts) -> str:
    """Return family and sizes of the language model."""
    sizes = [
        said.format(facts.language[key]) for key, said in _SIZES.items() if isinstance(facts.language.get(key), int)
    ]
    return ", ".join([str(facts.language.get("model_type", facts.model["backbone"]["type"])), *sizes])


def frames(facts: CardFacts) -> str:
    """Return how many frames of a video the model looks at, and by which rule."""
    return f"up to {plural(facts.video['frames'], 'frame')} of a video, {_rule(facts.video.get('sampling'))}"


def _rule(sampling: Any) -> str:
    name = sampling.get("type") if isinstance(sampling, Mapping) else sampling
    options = {key: value for key, value in sampling.items() if key != "type"} if isinstance(sampling, Mapping) else {}
    said = ", ".join(f"{key} {value}" for key, value in options.items() if value is not None)
    return f"chosen by `{name}`{f' ({said})' if said else ''}"


def sampler(facts: CardFacts) -> str:
    """Return how that rule works, in a sentence; empty where its plugin is not installed."""
    sampling = facts.video.get("sampling")
    name = sampling.get("type") if isinstance(sampling, Mapping) else sampling
    said = described("sampler", name)
    return f"The rule `{name}`, {said.partition(': ')[2]}." if said != name else ""


def described(kind: str, component: object) -> str:
    """Return a component with its description, without a full stop; without that where it is not installed."""
    name = str(component).partition(" ")[0]
    try:
        said = registry().get(kind, name).description.rstrip(".")
    except PluginError:
        said = ""
    return f"{component}: {said}" if said else str(component)


def tokens(facts: CardFacts) -> str:
    """Return how many tokens videos become, by their aspect ratios, and how many prompts."""
    by_count: dict[int, list[str]] = {}
    for aspect, number in facts.tokens.items():
        by_count.setdefault(number, []).append(aspect)
    said = [f"{number:,} tokens ({', '.join(aspects)})" for number, aspects in by_count.items()]
    return ", ".join([*said, plural(facts.prompts, "prompt")] if facts.prompts else said)


def adapter_in_words(adapter: Mapping[str, Any]) -> str:
    """Return kind, size and place of an adapter."""
    named = {"r": "rank", "lora_alpha": "alpha"}
    said = [f"{name} {adapter[key]}" for key, name in named.items() if adapter.get(key) is not None]
    for key, verb in (("target_modules", "adapts"), ("modules_to_save", "replaces")):
        if modules := adapter.get(key):
            said.append(f"{verb} {modules if isinstance(modules, str) else ', '.join(sorted(modules))}")
    return ", ".join([str(adapter.get("peft_type", "LORA")), *said])


def packages(facts: CardFacts, *, merged: bool) -> str:
    """Return what pip has to install."""
    needed = {"vlmkit": __version__} | facts.components
    extra = "" if merged else "[peft]"
    return " ".join(f"'{name}{extra if name == 'vlmkit' else ''}=={version}'" for name, version in needed.items())


def hardware(environment: Mapping[str, Any]) -> str:
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
