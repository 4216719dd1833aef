"""Adapters of PEFT, e.g. LoRA: merged into the weights of their model, or made ready to stand alone."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

from vlmkit.errors import CheckpointError, UserError
from vlmkit.files import is_file, is_folder, saving_weights, write_atomic
from vlmkit.json_files import read_json

__all__ = ["read_adapter", "write_adapter", "write_merged"]

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_REMEDY = "give the folder that `save_pretrained` of a PEFT model wrote"


def read_adapter(folder: Path) -> dict[str, Any]:
    """Return the options of an adapter. A CheckpointError where the folder holds none, or no safetensors."""
    if not is_folder(folder):
        raise CheckpointError(f"{folder}: expected the folder of an adapter, found none; {_REMEDY}")
    for name in (_CONFIG, _WEIGHTS):
        if not is_file(folder / name):
            raise CheckpointError(f"{folder}: expected an adapter of PEFT, but there is no {name} in it; {_REMEDY}")
    config = read_json(folder / _CONFIG, "a JSON object", CheckpointError, _REMEDY)
    if not isinstance(config, dict) or not isinstance(config.get("peft_type"), str):
        raise CheckpointError(f"{folder / _CONFIG}: expected an object with a peft_type; {_REMEDY}")
    return config


def write_merged(model: Path, adapter: Path, folder: Path) -> None:
    """Write the model with the adapter merged into its weights, and its processor, into `folder`.

    A CheckpointError where the adapter is one of another model, or of a kind that has nothing to merge.
    """
    adapted, processor = _adapted(model, adapter)
    if not hasattr(adapted.base_model, "merge_and_unload"):
        kind = adapted.peft_config["default"].peft_type
        raise CheckpointError(f"{adapter}: an adapter of the kind {kind} is no part of the weights; use --no-merge")
    merged = adapted.merge_and_unload()
    from vlmkit.model.pretrained import nonfinite_weights, without_progress_bars

    if said := nonfinite_weights(merged.named_parameters()):
        raise CheckpointError(f"{adapter}: with it the model has {said}; train it again")
    with saving_weights(folder), without_progress_bars():
        merged.save_pretrained(folder)
        processor.save_pretrained(folder)


def write_adapter(model: Path, adapter: Path, folder: Path, base_model: str) -> None:
    """Write the adapter, named as one of `base_model`, and the model's processor into `folder`. Errors as above."""
    _, processor = _adapted(model, adapter)
    processor.save_pretrained(folder)
    shutil.copyfile(adapter / _WEIGHTS, folder / _WEIGHTS)
    config = {**read_adapter(adapter), "base_model_name_or_path": base_model, "revision": None}
    write_atomic(folder / _CONFIG, json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _adapted(model: Path, adapter: Path) -> tuple[Any, Any]:
    try:
        from peft import PeftModel
    except ImportError:
        raise UserError(
            "--adapter: expected the package peft, which is not installed; pip install 'vlmkit[peft]'"
        ) from None
    from vlmkit.model import load
    from vlmkit.model.pretrained import refuse_damage

    read_adapter(adapter)
    loaded, processor = load(model)
    fits = f"give an adapter that was trained on the model in {model}"
    with (
        refuse_damage(f"{adapter}: it cannot be put on this model", fits),
        warnings.catch_warnings(record=True) as said,
    ):
        warnings.simplefilter("always")
        adapted = PeftModel.from_pretrained(loaded, str(adapter), low_cpu_mem_usage=False)
    if missing := next((f"{one.message}" for one in said if "missing adapter keys" in f"{one.message}"), ""):
        raise CheckpointError(f"{adapter}: its weights do not fit this model: {missing}; {fits}")
    return adapted, processor
