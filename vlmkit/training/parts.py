"""What a stage trains: the patterns of `train` against parameter names. Works on the meta device.

Names are `aligner.…`, `backbone.…` (as in the model) and `distillation.…` (the head).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from torch import nn

from vlmkit.errors import SpecError, closest_name, shown
from vlmkit.spec.experiment import StageSpec

__all__ = ["Named", "assign", "freeze", "named_parameters"]

Named = dict[str, nn.Parameter]


def named_parameters(model: nn.Module, head: nn.Module | None) -> Named:
    """Every parameter of a fresh model that can be trained, under all of its names (tied weights have several).

    What a component has built frozen, e.g. the blocks of an encoder that its forward never reaches, stays frozen.
    """
    named = {name: p for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    if head is not None:
        named |= {f"distillation.{name}": parameter for name, parameter in head.named_parameters()}
    return named


def assign(stage: StageSpec, named: Mapping[str, nn.Parameter]) -> dict[str, list[str]]:
    """The names of the parameters that each pattern of `stage.train` trains, each parameter once, the longest match
    wins.

    Raises:
        SpecError: a pattern matches no parameter.
    """
    beginnings = _all_beginnings(named)
    for pattern in stage.train:
        if pattern not in beginnings:
            raise SpecError(_missing(stage, pattern, beginnings))
    aliases: dict[int, list[str]] = defaultdict(list)
    for name, parameter in named.items():
        aliases[id(parameter)].append(name)
    trained: dict[str, list[str]] = {pattern: [] for pattern in stage.train}
    order = {pattern: place for place, pattern in enumerate(stage.train)}
    for names in aliases.values():
        matching = [pattern for name in names for pattern in _beginnings(name) if pattern in stage.train]
        if matching:
            trained[max(matching, key=lambda pattern: (len(pattern), -order[pattern]))].append(names[0])
    return trained


def freeze(modules: Iterable[nn.Module], trained: Iterable[nn.Parameter]) -> list[nn.Module]:
    """Let only `trained` parameters take gradients.

    Returns the modules that stay in evaluation mode whatever happens, so that neither dropout nor running statistics
    of frozen parts move: each outermost module without a trained parameter.
    """
    chosen = {id(parameter) for parameter in trained}
    still: list[nn.Module] = []
    for module in modules:
        for parameter in module.parameters():
            parameter.requires_grad_(id(parameter) in chosen)
        still += _frozen(module)
    return still


def _frozen(module: nn.Module) -> list[nn.Module]:
    if not any(parameter.requires_grad for parameter in module.parameters()):
        return [module]
    children = (child for child in module.children() if any(True for _ in child.parameters()))
    return [frozen for child in children for frozen in _frozen(child)]


def _beginnings(name: str) -> list[str]:
    """Every pattern that matches the name: `a.b.c` -> `a`, `a.b`, `a.b.c`."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _all_beginnings(named: Mapping[str, nn.Parameter]) -> set[str]:
    return {beginning for name in named for beginning in _beginnings(name)}


def _missing(stage: StageSpec, pattern: str, beginnings: set[str]) -> str:
    parent = pattern
    while parent and parent not in beginnings:
        parent = parent.rpartition(".")[0]
    depth = parent.count(".") + 2 if parent else 1
    below = sorted(b for b in beginnings if b.count(".") + 1 == depth and (not parent or b.startswith(f"{parent}.")))
    close = closest_name(pattern, below) or closest_name(pattern, beginnings)
    hint = f"; did you mean {close!r}?" if close else ""
    place = f"below {shown(parent)} there are" if parent else "there are"
    return (
        f"training.stages.{stage.name}.train: no parameter is called {shown(pattern)} or begins with it{hint} "
        f"{place}: {', '.join(below[:20]) or 'no parameters'}{', …' if len(below) > 20 else ''}"
    )
