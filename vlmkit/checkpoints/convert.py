"""Released checkpoints of others become checkpoints of vlmkit, which are written group by group."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryFile

import torch
from safetensors.torch import save_file
from torch import Tensor

from vlmkit.api.hookspecs import PublishedPart
from vlmkit.api.weights import open_shard
from vlmkit.checkpoints.formats import (
    ReleasedFiles,
    ReleasedSource,
    move_apart,
    published_format,
    published_part,
)
from vlmkit.checkpoints.import_report import ImportReport
from vlmkit.checkpoints.lora import LowRank, read_changes
from vlmkit.checkpoints.mapping import ImportPlan, ReleasedTensor, plan_import
from vlmkit.checkpoints.target import build_target
from vlmkit.errors import CheckpointError
from vlmkit.files import atomic_folder, expand_path, saving_weights
from vlmkit.manifest import write_manifest
from vlmkit.model.aligners import build_aligner
from vlmkit.model.distillation import DISTILLATION
from vlmkit.spec.experiment import ExperimentSpec, part_of, without_part
from vlmkit.spec.loading import load_spec

__all__ = ["import_checkpoint"]

Progress = Callable[[str], None]


def import_checkpoint(
    name: str,
    source: str | Path,
    destination: str | Path,
    *,
    parts: Mapping[str, str | Path] | None = None,
    spec: ExperimentSpec | None = None,
    tokenizer: str | None = None,
    group_bytes: int = 2**30,
    progress: Progress = lambda message: None,
) -> ImportReport:
    """Write a released checkpoint as one of vlmkit, which `vlmkit.model.load` opens, and say what became of every key.

    Everything is checked before anything is written. Then one file of the source is open at a time, and at most
    `group_bytes` of the result (or one tensor) are in memory. A published distillation head goes into its own file.

    Args:
        name: the published format, e.g. `video-panda`.
        source: its folder in the layout of transformers (`config.json`, shards with an index or one file), or one file.
        destination: the folder to make; appears when it is complete.
        parts: by their names the folders or files of the other checkpoints that the format is made of.
        spec: the experiment whose model takes the weights; None: the shipped one that the format names.
        tokenizer: folder or hub id of the tokenizer; None: that of the source, otherwise the spec's.
        group_bytes: size of the files that are written.
        progress: is told of every file that is written.

    Raises:
        CheckpointError: the format is unknown, `destination` exists or cannot be made, or the checkpoint is damaged or
            does not fit. Where a message cannot hold all that does not fit, `destination`.problems.txt does.
    """
    form = published_format(name)
    folder = expand_path(destination)
    _check_room(folder)
    listing = folder.with_name(f"{folder.name}.problems.txt")
    experiment = spec if spec is not None else load_spec(f"specs/{form.spec}.yaml")
    form = form.for_model(experiment.model)
    sources = [ReleasedSource(form, ReleasedFiles(expand_path(source)))]
    for part, place in (parts or {}).items():
        sources.append(ReleasedSource(published_part(form, part), ReleasedFiles(expand_path(place))))
    plan = plan_import(form, sources, build_target(form, experiment, _of_language(sources), tokenizer), listing)
    changes = read_changes(form, plan)
    with saving_weights(folder), atomic_folder(folder) as temporary:
        _write_weights(plan, experiment, temporary, group_bytes, progress, changes)
        places = {part: str(place) for part, place in (parts or {}).items()}
        report = ImportReport(form, str(source), places, experiment.name, plan, _write_distillation(plan, temporary))
        _write_config(plan, temporary)
        (temporary / "import.json").write_text(json.dumps(report.as_dict(), indent=2), encoding="utf-8")
        write_manifest(temporary)
    listing.unlink(missing_ok=True)  # of an import that did not fit
    return report


def _of_language(sources: Sequence[ReleasedSource]) -> ReleasedFiles:
    """Return the source of the language model, whose config.json and tokenizer are looked at."""
    own = (source for source in sources[1:] if isinstance(source.rules, PublishedPart) and source.rules.language_model)
    return next(own, sources[0]).files


def _check_room(folder: Path) -> None:
    """Raise a CheckpointError where the folder exists or cannot be made: before anything is read, which takes long."""
    try:
        if folder.exists():
            raise CheckpointError(f"{folder} exists already; name a folder that does not, or remove this one")
        folder.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder.parent).close()
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be made: {error.strerror or error}; name another folder") from None


def _write_weights(
    plan: ImportPlan,
    spec: ExperimentSpec,
    folder: Path,
    group_bytes: int,
    progress: Progress,
    changes: Mapping[str, LowRank],
) -> None:
    """Write the model's weights as safetensors of at most `group_bytes` (or one tensor), with their index."""
    groups = list(_groups(plan, group_bytes))
    count = len(groups) + bool(plan.fresh)
    index: dict[str, str] = {}
    total = 0
    for number, tensors in enumerate(_tensors(groups, plan, spec, changes), 1):
        name = "model.safetensors" if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"
        save_file(tensors, folder / name, metadata={"format": "pt"})
        index |= dict.fromkeys(tensors, name)
        total += sum(value.nbytes for value in tensors.values())
        progress(f"written: {name} ({number} of {count})")
        tensors.clear()
    if count > 1:
        content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def _write_distillation(plan: ImportPlan, folder: Path) -> bool:
    """Write the distillation head as it was published, under our names; return whether there is one."""
    keys = [key for key in plan.taken() if part_of(key.ours) == "distillation"]
    tensors: dict[str, Tensor] = {}
    for file in dict.fromkeys(key.file for key in keys):
        shard = open_shard(file)
        tensors |= {key.ours: shard.read(key.name).clone() for key in keys if key.file == file}
        del shard  # before the next one is opened
    if tensors:
        save_file(tensors, folder / DISTILLATION, metadata={"format": "pt"})
    return bool(tensors)


def _write_config(plan: ImportPlan, folder: Path) -> None:
    """Write the files that `save_pretrained` writes besides the weights."""
    model, processor = plan.target.model, plan.target.processor
    model.config.architectures = [type(model).__name__]
    model.config.part_dtypes = {part: str(dtype).removeprefix("torch.") for part, dtype in plan.dtypes.items()}
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    if processor.tokenizer is not None:
        processor.save_pretrained(folder)


def _own(tensor: Tensor, plan: ImportPlan, key: ReleasedTensor, change: LowRank | None) -> Tensor:
    if key.side_by_side:
        tensor = move_apart(tensor, plan.target.head_dim)
    tensor = tensor if change is None else change.added_to(tensor)
    return tensor.to(plan.dtype(key.ours)).reshape(plan.target.weights[key.ours].shape).contiguous()


def _groups(plan: ImportPlan, group_bytes: int) -> Iterator[list[ReleasedTensor]]:
    """Yield the keys that are written together: of one file of the source, in its order."""
    group: list[ReleasedTensor] = []
    size = 0
    for key in (key for key in plan.taken() if key.ours in plan.target.weights):
        own = prod(key.stored.shape) * plan.dtype(key.ours).itemsize
        if group and (key.file != group[0].file or size + own > group_bytes):
            yield group
            group, size = [], 0
        group.append(key)
        size += own
    if group:
        yield group


def _tensors(
    groups: list[list[ReleasedTensor]], plan: ImportPlan, spec: ExperimentSpec, changes: Mapping[str, LowRank]
) -> Iterator[dict[str, Tensor]]:
    """Yield the tensors of each group, and last those that the checkpoint lacks, as composing the model draws them."""
    file, shard = None, None
    for group in groups:
        if group[0].file != file:
            shard = None  # released before the next one is opened
            file = group[0].file
            shard = open_shard(file)
        assert shard is not None
        yield {key.ours: _own(shard.read(key.name), plan, key, changes.get(key.ours)) for key in group}
    shard = None
    if plan.fresh:
        with torch.random.fork_rng():
            torch.manual_seed(spec.seed)
            state = build_aligner(spec.model).state_dict()
        yield {name: state[without_part(name)].to(plan.dtype(name)).contiguous() for name in plan.fresh}
