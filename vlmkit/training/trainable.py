"""The parameters that a stage trains: patterns of `train` against their names, freezing, precision, and their file.

Names are `aligner.…`, `backbone.…` (as in the model) and `distillation.…` (the head). All but the files works on the
meta device.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vlmkit.errors import CheckpointError, RunError, SpecError, closest_name, shown
from vlmkit.files import PARTIAL_SUFFIX, move_into_place, saving_weights
from vlmkit.model.pretrained import nonfinite_weights
from vlmkit.spec.experiment import StageSpec, part_of, with_part
from vlmkit.training.checkpoint import reading_checkpoint
from vlmkit.training.distributed import gather, raised_by_all

__all__ = [
    "NamedParameters",
    "TrainingPrecision",
    "assign_parameters",
    "check_trained",
    "freeze",
    "load_weights",
    "named_parameters",
    "save_weights",
    "stage_weights",
]

NamedParameters = dict[str, nn.Parameter]


def named_parameters(model: nn.Module, head: nn.Module | None) -> NamedParameters:
    """Return the parameters of a fresh model that can be trained, under all of their names (tied weights have several).

    What a component has built frozen, e.g. the blocks of an encoder that its forward never reaches, stays frozen.
    """
    named = {name: p for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    if head is not None:
        named |= with_part("distillation", dict(head.named_parameters()))
    return named


def assign_parameters(stage: StageSpec, named: Mapping[str, nn.Parameter]) -> dict[str, list[str]]:
    """Return the names of the parameters that each pattern of `stage.train` trains, each parameter once; the longest
    match wins. A SpecError where a pattern matches no parameter."""
    prefixes = {prefix for name in named for prefix in _prefixes(name)}
    meant = {pattern: _meant(pattern, prefixes) for pattern in stage.train}
    for pattern, found in meant.items():
        if not found:
            raise SpecError(_missing(stage, pattern, prefixes))
    aliases: dict[int, list[str]] = defaultdict(list)
    for name, parameter in named.items():
        aliases[id(parameter)].append(name)
    trained: dict[str, list[str]] = {pattern: [] for pattern in stage.train}
    for names in aliases.values():
        matched = {prefix for name in names for prefix in _prefixes(name)}
        if matching := [pattern for pattern, found in meant.items() if not found.isdisjoint(matched)]:
            trained[max(matching, key=len)].append(names[0])
    return trained


def freeze(modules: Iterable[nn.Module], trained: Iterable[nn.Parameter]) -> list[nn.Module]:
    """Let only `trained` parameters take gradients.

    Returns the modules that stay in evaluation mode whatever happens, so that neither dropout nor running statistics
    of frozen parts move: each outermost module without a trained parameter.
    """
    chosen = {id(parameter) for parameter in trained}
    frozen_modules: list[nn.Module] = []
    for module in modules:
        for parameter in module.parameters():
            parameter.requires_grad_(id(parameter) in chosen)
        frozen_modules += _frozen(module)
    return frozen_modules


def _frozen(module: nn.Module) -> list[nn.Module]:
    if not any(parameter.requires_grad for parameter in module.parameters()):
        return [module]
    children = (child for child in module.children() if any(True for _ in child.parameters()))
    return [frozen for child in children for frozen in _frozen(child)]


def _meant(pattern: str, prefixes: set[str]) -> set[str]:
    """Return those of `prefixes` that a pattern means: itself, or with `*`, which stands for one part, many."""
    if "*" not in pattern:
        return {pattern} & prefixes
    expression = re.compile(re.escape(pattern).replace(r"\*", "[^.]+"))
    return {prefix for prefix in prefixes if expression.fullmatch(prefix)}


def _prefixes(name: str) -> list[str]:
    """Return every pattern that matches the name: `a.b.c` -> `a`, `a.b`, `a.b.c`."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _missing(stage: StageSpec, pattern: str, prefixes: set[str]) -> str:
    parent = pattern
    while parent and parent not in prefixes:
        parent = parent.rpartition(".")[0]
    below = sorted(prefix for prefix in prefixes if prefix.rpartition(".")[0] == parent)
    close = closest_name(pattern, below) or closest_name(pattern, prefixes)
    hint = f"; did you mean {close!r}?" if close else ""
    place = f"below {shown(parent)} there are" if parent else "there are"
    return (
        f"training.stages.{stage.name}.train: no parameter is called {shown(pattern)} or begins with it{hint} "
        f"{place}: {', '.join(below[:20]) or 'no parameters'}{', …' if len(below) > 20 else ''}"
    )


class TrainingPrecision:
    """Keeps trained weights in float32, so that small updates are not lost; what stays frozen keeps the precision that
    its spec gives, unless everything is computed in float32. `restore` gives the model its own back."""

    def __init__(
        self, model: nn.Module, trained: Iterable[nn.Parameter], arithmetic: Literal["float32", "bfloat16"]
    ) -> None:
        chosen = model.parameters() if arithmetic == "float32" else trained
        self._before = {parameter: parameter.dtype for parameter in chosen}
        for parameter in self._before:
            if parameter.is_floating_point():
                parameter.data = parameter.data.float()

    def restore(self) -> None:
        """Give every parameter the dtype that it had."""
        for parameter, dtype in self._before.items():
            parameter.data = parameter.data.to(dtype)


def stage_weights(model: nn.Module, head: nn.Module | None) -> dict[str, Tensor]:
    """Return all that a stage can change: its trainable parameters and all persistent buffers.

    Frozen parameters come from the stage before, or from composing the model. Tied weights appear once.
    """
    return _changing(model) | (with_part("distillation", _changing(head)) if head is not None else {})


def _changing(module: nn.Module) -> dict[str, Tensor]:
    state = module.state_dict(keep_vars=True)
    left_out = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    left_out -= {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return {name: tensor.detach() for name, tensor in state.items() if name not in left_out}


def check_trained(model: nn.Module, where: str) -> None:
    """Raise a RunError, in all processes, where a trained weight is not a finite number. `where` begins the message."""
    problem = nonfinite_weights((name, p) for name, p in model.named_parameters() if p.requires_grad)
    if first := next(filter(None, gather(problem)), ""):
        with raised_by_all():
            raise RunError(
                f"{where} {first}; nothing of it was saved: lower the learning rates or set max_grad_norm, and give "
                "the changed spec another name"
            )


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file, whole or not at all."""
    temporary = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
    with saving_weights(path):
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary, metadata={"format": "pt"})
    move_into_place(temporary, path)


def load_weights(path: Path, model: nn.Module, head: nn.Module | None) -> None:
    """Copy a file of `save_weights` into the model and the head, bit by bit. A CheckpointError where it is missing or
    damaged, or holds names or shapes that the model does not have."""
    own = dict(model.state_dict(keep_vars=True))
    if head is not None:
        own |= with_part("distillation", head.state_dict(keep_vars=True))
    with reading_checkpoint(path):
        state = load_file(path)
    for name, tensor in state.items():
        target = own.get(name)
        if target is None and head is None and part_of(name) == "distillation":
            continue
        if target is None or target.shape != tensor.shape:
            found = "nothing of that name" if target is None else f"shape {tuple(target.shape)}"
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, the model has {found}; was the run made with "
                "another version of a plugin? (environment.json) Start it anew under another name"
            )
        with torch.no_grad():
            target.copy_(tensor)
