"""Weights on disk: complete files and folders only, found again by the step in their name, never used when damaged.

Of a stage one checkpoint is kept. Where it is damaged the stage is not trained anew behind the user's back, which can
take days: the message names the folder to be removed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vlmkit.errors import CheckpointError, RunError
from vlmkit.files import PARTIAL_SUFFIX, move_into_place, saving_weights
from vlmkit.json_files import read_record, write_record
from vlmkit.manifest import Manifest, check_files, file_entries
from vlmkit.model.load import undamaged
from vlmkit.runtime import rank
from vlmkit.training.together import agree, gather, share

__all__ = [
    "WEIGHTS",
    "check_finished",
    "checkpoint_name",
    "checkpoint_step",
    "clean",
    "finish",
    "finished",
    "intact",
    "latest",
    "load_weights",
    "save_weights",
    "seal",
    "stage_state",
    "unseal",
]

WEIGHTS = "weights.safetensors"
"""Name of the file of what a stage trains, in its checkpoints and, when it is done, beside them."""

_PREFIX = "checkpoint-"
_NUMBERED = re.compile(f"{_PREFIX}[0-9]+")
_SEAL = "sealed.json"
_DONE = "stage.json"
_KEPT = (WEIGHTS, "data.json", "metrics.jsonl")
_LEFT = (PARTIAL_SUFFIX, ".old")


def latest(stage: Path) -> Path | None:
    """The newest checkpoint of a stage. A folder with this name is complete: it is renamed when it is."""
    found = _checkpoints(stage)
    return found[-1] if found else None


def checkpoint_name(step: int) -> str:
    """Name of the checkpoint that was written after so many steps."""
    return f"{_PREFIX}{step}"


def checkpoint_step(folder: Path) -> int:
    """After how many steps a checkpoint was written."""
    return int(folder.name.removeprefix(_PREFIX))


class _Stage(Manifest):
    run: str
    stage: str


class _Mark(BaseModel):
    bytes: int
    xxh3_128: str


class _Checkpoint(_Stage):
    sums: Annotated[list[float], Field(min_length=2, max_length=2)]
    steps: int
    skipped: int
    processes: int = 1
    metrics: _Mark


def seal(folder: Path, state: Mapping[str, Any]) -> None:
    """Give the checkpoint its last file: its state, with size and checksum of every other file.

    All processes call it when all files are there, and each reads a part of them.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    entries: dict[str, Any] = {}
    for part in gather(file_entries(folder, share(files))):
        entries |= part
    if not rank():
        write_record(folder / _SEAL, {**state, "files": dict(sorted(entries.items()))})


def unseal(folder: Path, run: str, stage: str) -> dict[str, Any]:
    """Return the state that `seal` was given.

    Args:
        folder: the checkpoint.
        run: what `vlmkit.run_folder.identity` says of the run's spec.
        stage: name of the stage's folder.

    Raises:
        CheckpointError: a file is missing or damaged, or the checkpoint is that of another run or stage. All processes
            raise it together. The Trainer would go on without some of the files, e.g. with a fresh optimizer.
    """
    return agree(lambda: _unseal(folder / _SEAL, _Checkpoint, run, stage))


def finish(folder: Path, state: Mapping[str, Any]) -> None:
    """Give the folder of a stage its last file, which says that the stage is done."""
    files = [file for name in _KEPT if (file := folder / name).is_file()]
    write_record(folder / _DONE, {**state, "files": file_entries(folder, files)})


def finished(folder: Path) -> bool:
    """Return whether the stage is done."""
    return (folder / _DONE).is_file()


def check_finished(folder: Path, run: str) -> None:
    """Raise a CheckpointError where a file of a stage that is done is missing, damaged or another run's."""
    agree(lambda: _unseal(folder / _DONE, _Stage, run, folder.name))


def _unseal(file: Path, kind: type[_Stage], run: str, stage: str) -> dict[str, Any]:
    folder = file.parent
    try:
        state: dict[str, Any] = read_record(file, kind, _again(folder))
    except RunError as error:
        raise CheckpointError(str(error)) from None
    if (state["run"], state["stage"]) != (run, stage):
        raise CheckpointError(f"{folder}: this was written by another run, or by another stage; {_again(folder)}")
    files = state.pop("files")
    check_files(folder, {name: files[name] for name in share(sorted(files))}, _again(folder))
    return state


def intact(file: Path) -> AbstractContextManager[None]:
    """A CheckpointError for whatever damage of a checkpoint's, or finished stage's, file makes its reader raise."""
    return undamaged(file, _again(file.parent))


def _again(folder: Path) -> str:
    return f"remove the folder {folder}: what it held is then trained again"


def clean(stage: Path, keep: Path | None) -> None:
    """Remove what a kill has left half written, and every checkpoint but `keep`."""
    for folder in _checkpoints(stage):
        if folder != keep:
            # Renamed first: a kill in the middle of the removal must not leave a part of it under its good name.
            gone = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(gone, ignore_errors=True)
            folder.rename(gone)
    for left in [entry for entry in stage.iterdir() if entry.name.startswith(".") and entry.name.endswith(_LEFT)]:
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def _checkpoints(stage: Path) -> list[Path]:
    numbered = [f for f in stage.glob(f"{_PREFIX}*") if f.is_dir() and _NUMBERED.fullmatch(f.name)]
    return sorted(numbered, key=checkpoint_step)


def stage_state(model: nn.Module, head: nn.Module | None) -> dict[str, Tensor]:
    """Everything that a stage can change: its trainable parameters and all persistent buffers, by our names.

    Frozen parameters come from the stage before, or from composing the model. Tied weights appear once.
    """
    state: dict[str, Tensor] = {}
    for prefix, module in (("", model), ("distillation.", head)):
        if module is None:
            continue
        frozen = {name for name, p in module.named_parameters(remove_duplicate=False) if not p.requires_grad}
        first = {name for name, _ in module.named_parameters()}
        parameters = dict(module.named_parameters(remove_duplicate=False))
        for name, tensor in module.state_dict(keep_vars=True).items():
            if name not in frozen and (name not in parameters or name in first):
                state[prefix + name] = tensor.detach()
    return state


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file, whole or not at all."""
    temporary = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
    with saving_weights(path):
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary, metadata={"format": "pt"})
    move_into_place(temporary, path)


def load_weights(path: Path, model: nn.Module, head: nn.Module | None) -> None:
    """Put a file of `save_weights` into the model and the head, bit by bit.

    Raises:
        CheckpointError: it is missing or damaged, or holds names or shapes that the model does not have.
    """
    own = dict(model.state_dict(keep_vars=True))
    if head is not None:
        own |= {f"distillation.{name}": tensor for name, tensor in head.state_dict(keep_vars=True).items()}
    with intact(path):
        state = load_file(path)
    for name, tensor in state.items():
        target = own.get(name)
        if target is None and name.startswith("distillation.") and head is None:
            continue
        if target is None or target.shape != tensor.shape:
            found = "nothing of that name" if target is None else f"shape {tuple(target.shape)}"
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, the model has {found}; was the run made with "
                "another version of a plugin? (environment.json) Start it anew under another name"
            )
        with torch.no_grad():
            target.copy_(tensor)
