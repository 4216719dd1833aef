"""Saved models: the spec that each has with it, and when an evaluation takes one exactly as it was saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vlmkit.api.trained_model import read_model_config, read_model_json
from vlmkit.errors import CheckpointError, PluginError, shown
from vlmkit.files import expand_path, is_file
from vlmkit.manifest import MODEL_REMEDY
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec, ModelSpec

__all__ = ["saved_model_of", "spec_of_saved"]

_CONFIG = "config.json"


def spec_of_saved(folder: Path) -> dict[str, Any]:
    """Return `model` and `data` of the spec of a saved model, whose weights and tokenizer are those in the folder.

    A CheckpointError where it holds no model of vlmkit, or needs a plugin that is not installed.
    """
    processor, config = read_model_json(folder, "processor_config.json"), read_model_config(folder)
    origins = {**_mapping(config, "components", folder), **_mapping(processor, "reader_origin", folder)}
    for key, origin in origins.items():
        _check_installed(key, origin)
    model = _mapping(config, "model", folder)
    reader = {"reader": processor["reader"]} if "reader" in processor else {}
    return {"model": {**model, "weights": str(folder)}, "data": reader}


def saved_model_of(spec: ExperimentSpec, run: RunFolder) -> Path | None:
    """Return the folder of the saved model that an evaluation loads as it is, tokenizer included.

    That is the run's own or, where the spec trains nothing, the one that it takes its weights from if that was saved
    with the very parts that the spec describes. None: the spec is composed.
    """
    if spec.training is not None or run.model.is_dir():
        return run.model
    weights = None if spec.model.weights is None else expand_path(spec.model.weights)
    if weights is None or not is_file(weights / _CONFIG):
        return None
    saved = {**_mapping(read_model_json(weights, _CONFIG), "model", weights), "weights": spec.model.weights}
    try:
        return weights if ModelSpec.model_validate(saved) == spec.model else None
    except ValidationError:  # of components that are not installed here: composing tells
        return None


def _check_installed(key: str, origin: Any) -> None:
    kind, _, name = key.partition("/")
    try:
        registry().get(kind, name)
    except PluginError:
        if isinstance(origin, dict) and {"package", "plugin", "version"} <= origin.keys():
            from vlmkit.model.config import check_installed

            check_installed(key, origin)
        raise


def _mapping(content: Mapping[str, Any], key: str, folder: Path) -> dict[str, Any]:
    found = content.get(key) or {}
    if not isinstance(found, dict):
        raise CheckpointError(f"{folder}: expected a mapping under {key!r}, found {shown(found)}; {MODEL_REMEDY}")
    return found
