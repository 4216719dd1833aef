"""Released checkpoints of others become checkpoints of vlmkit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

from vlmkit.checkpoints.formats import ReleasedFiles, published_format
from vlmkit.checkpoints.mapping import plan_import
from vlmkit.checkpoints.target import build_target
from vlmkit.checkpoints.write import ImportReport, write_config, write_distillation, write_weights
from vlmkit.errors import CheckpointError
from vlmkit.files import atomic_folder, expand_path, saving_weights
from vlmkit.manifest import write_manifest
from vlmkit.model.distillation import DISTILLATION
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec

__all__ = ["DISTILLATION", "ImportReport", "import_checkpoint"]


def import_checkpoint(
    name: str,
    source: str | Path,
    destination: str | Path,
    *,
    spec: ExperimentSpec | None = None,
    tokenizer: str | None = None,
    group_bytes: int = 2**30,
    progress: Callable[[str], None] = lambda message: None,
) -> ImportReport:
    """Write a released checkpoint as one of vlmkit, which `vlmkit.model.load` opens, and say what became of every key.

    Everything is checked before anything is written. Then one file of the source is open at a time, and at most
    `group_bytes` of the result (or one tensor) are in memory. A published distillation head goes into its own file.

    Args:
        name: the published format, e.g. `video-panda`.
        source: its folder in the layout of transformers (`config.json`, shards with an index or one file), or one file.
        destination: the folder to make; appears when it is complete.
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
    opened = ReleasedFiles(expand_path(source))
    experiment = spec if spec is not None else load_spec(f"specs/{form.spec}.yaml")
    target = build_target(form, experiment, opened, tokenizer)
    plan = plan_import(form, opened, target, listing)
    with saving_weights(folder), atomic_folder(folder) as temporary:
        write_weights(plan, target, experiment, temporary, group_bytes, progress)
        distillation = write_distillation(plan, temporary)
        write_config(plan, target, temporary)
        report = ImportReport(
            form=name,
            title=form.title,
            source=str(source),
            spec=experiment.name,
            plan=plan,
            tokenizer=target.processor.tokenizer is not None,
            distillation=distillation,
            notes=target.notes,
        )
        (temporary / "import.json").write_text(json.dumps(report.as_dict(), indent=2), encoding="utf-8")
        write_manifest(temporary)
    listing.unlink(missing_ok=True)  # of an import that did not fit
    return report


def _check_room(folder: Path) -> None:
    """A CheckpointError where the folder exists or cannot be made: before anything is read, which takes long."""
    try:
        if folder.exists():
            raise CheckpointError(f"{folder} exists already; name a folder that does not, or remove this one")
        folder.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder.parent).close()
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be made: {error.strerror or error}; name another folder") from None
