"""Models that vlmkit has trained or imported: the folder of one that a user names, and the aligner in it.

torch is imported when weights are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError
from xxhash import xxh3_128

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.backbone import BackboneSpec
from vlmkit.api.spec import Slot, Spec
from vlmkit.api.weights import INDEX, STANDARD, open_shard, read_index
from vlmkit.errors import CheckpointError, RunError, from_pydantic, shown
from vlmkit.files import expand_path, is_file, is_folder
from vlmkit.json_files import read_json
from vlmkit.manifest import MODEL_REMEDY, check_folder, noted_files

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "TrainedAligner",
    "find_aligner",
    "model_folder",
    "read_aligner_weights",
    "read_model_config",
    "read_model_json",
]

_CONFIG = "config.json"
_MODEL_TYPE = "vlmkit"
"""Of `vlmkit.model.VideoLMConfig`, which costs torch."""
_PREFIX = "aligner."
"""Of the names of an aligner's tensors among those of its model."""


def model_folder(target: str | Path) -> Path:
    """Return the folder of a saved model that a user names: that of a run, or the folder itself.

    Args:
        target: a run folder whose training is done; or the folder of a saved model, e.g. one that `vlmkit import` or
            `vlmkit export` has made.

    Raises:
        RunError: it is neither, the run has no trained model yet, or it is an adapter without its model.
    """
    path = expand_path(target)
    expected = "expected a run folder (e.g. runs/quickstart) or the folder of a saved model"
    if not is_folder(path):
        found = "a file" if path.exists() else f"nothing of this name here ({Path.cwd()})"
        raise RunError(f"{path}: {expected}, found {found}")
    if is_file(path / _CONFIG):
        return path
    if is_file(path / "model" / _CONFIG):
        return path / "model"
    if is_file(path / "spec.yaml"):
        raise RunError(
            f"{path}: this run has no trained model yet; `vlmkit run` or `vlmkit train` of its spec goes on where it "
            "stopped"
        )
    if is_file(path / "adapter_config.json"):
        raise RunError(
            f"{path}: {expected}, found an adapter without its model; `vlmkit export MODEL DST --adapter {path}` "
            "merges the two"
        )
    raise RunError(f"{path}: {expected}, found a folder with neither config.json nor spec.yaml")


def read_model_config(folder: Path) -> dict[str, Any]:
    """Return the content of config.json. A CheckpointError where it is not that of a model of vlmkit."""
    content = read_model_json(folder, _CONFIG)
    if (found := content.get("model_type")) != _MODEL_TYPE:
        raise CheckpointError(
            f"{folder / _CONFIG}: expected model_type {_MODEL_TYPE!r}, found {shown(found)}; "
            "`vlmkit import` makes a model of vlmkit out of a released checkpoint"
        )
    return content


def read_model_json(folder: Path, name: str) -> dict[str, Any]:
    """Return the content of a JSON file of a saved model. A CheckpointError where there is none."""
    if not is_file(folder / name):
        raise CheckpointError(f"{folder}: not a model of vlmkit: it has no {name}")
    content = read_json(folder / name, "a JSON object", CheckpointError, MODEL_REMEDY)
    if not isinstance(content, dict):
        raise CheckpointError(f"{folder / name}: expected a JSON object, found {shown(content)}; {MODEL_REMEDY}")
    return content


class _Parts(Spec):
    """The parts of a model, as its config.json describes them."""

    aligner: Slot[AlignerSpec]
    backbone: Slot[BackboneSpec]


class TrainedAligner(NamedTuple):
    """The aligner of a saved model."""

    folder: Path
    """Where the model lies."""
    spec: AlignerSpec
    llm_width: int
    """D, of the language model that it was trained with."""
    checksum: str | None
    """Of all weights of the model, as its manifest has noted them; None where it has no manifest."""


def find_aligner(target: str | Path) -> TrainedAligner:
    """Return the aligner of a run or saved model, by its config.json alone.

    Raises:
        RunError: `target` is neither, or the run has no trained model yet.
        CheckpointError: it is no model of vlmkit, or needs a component that is not installed.
    """
    folder = model_folder(target)
    described = read_model_config(folder).get("model")
    model = described if isinstance(described, dict) else {}
    try:
        parts = _Parts.model_validate({key: model[key] for key in _Parts.model_fields if key in model})
    except ValidationError as error:
        problems = "; ".join(f"model.{problem.dotted}: {problem.message}" for problem in from_pydantic(error))
        raise CheckpointError(
            f"{folder / _CONFIG}: its model does not fit what is installed here: {problems}"
        ) from None
    return TrainedAligner(folder, parts.aligner, parts.backbone.width, _checksum(folder))


def _checksum(folder: Path) -> str | None:
    noted, names = noted_files(folder, MODEL_REMEDY), sorted(_weight_files(folder))
    if not noted.keys() >= set(names):
        return None
    return xxh3_128("".join(f"{name} {noted[name].xxh3_128}\n" for name in names).encode()).hexdigest()


def _weight_files(folder: Path) -> set[str]:
    """Return the names of the files that hold a model's weights."""
    index = folder / f"{STANDARD[0]}{INDEX}"
    return set(read_index(index).values()) if is_file(index) else {STANDARD[0]}


def read_aligner_weights(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a saved model's aligner by their names in it, on the CPU; no others are read into memory.

    A CheckpointError where a file of the model is missing or damaged.
    """
    check_folder(folder, MODEL_REMEDY)
    state: dict[str, Tensor] = {}
    for name in sorted(_weight_files(folder)):
        shard = open_shard(folder / name)
        found = (key for key in shard.tensors if key.startswith(_PREFIX))
        state |= {key.removeprefix(_PREFIX): shard.read(key) for key in found}
    return state
