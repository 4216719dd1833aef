"""Opening a saved model: as it is, or as the start of another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from vlmkit.errors import CheckpointError
from vlmkit.model.config import VideoLMConfig
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.videolm import VideoLM

__all__ = ["load", "load_as"]

_SHOWN = 5


def load(path: str | Path) -> tuple[VideoLM, VideoLMProcessor]:
    """The model and the processor that `save_pretrained` wrote into the folder `path`.

    Raises:
        CheckpointError: where the folder is missing, holds no model of vlmkit, or needs a plugin that is not installed.
    """
    folder = Path(path)
    _check(folder, "config.json", "processor_config.json")
    model = _read(folder, "the model that config.json describes")
    return model, VideoLMProcessor.from_pretrained(folder, local_files_only=True)


def load_as(path: str | Path, config: VideoLMConfig) -> VideoLM:
    """The model that `config` describes, in the types that it says, with all its weights from the folder `path`.

    Raises:
        CheckpointError: where the folder is missing, holds no model of vlmkit, or one of other parts.
    """
    folder = Path(path)
    _check(folder, "config.json")
    return _read(folder, "the spec's model", config=config)


def _read(folder: Path, whose: str, **options: Any) -> VideoLM:
    options |= {"local_files_only": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        model, report = VideoLM.from_pretrained(folder, **options)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: its weights are damaged or not complete: {error}") from None
    misfits = [
        f"{len(found)} {what.replace('_', ' ')}: {', '.join(found[:_SHOWN])}{', …' if len(found) > _SHOWN else ''}"
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys")
        if (found := sorted(map(_named, report[what])))
    ]
    if misfits:
        raise CheckpointError(f"{folder}: the weights do not fit {whose}: {'; '.join(misfits)}")
    return model  # type: ignore[no-any-return]


def _named(key: Any) -> str:
    if isinstance(key, str):
        return key
    name, there, here = key
    return f"{name} is {tuple(there)} there and {tuple(here)} here"


def _check(folder: Path, *files: str) -> None:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected the folder of a saved model; there is no such folder")
    for name in files:
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: not a model of vlmkit: it has no {name}")
    if not any(folder.glob("model*.safetensors")):
        raise CheckpointError(f"{folder}: it holds no weights (model*.safetensors)")
    config = folder / "config.json"
    try:
        found = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{config}: not readable as the configuration of a model: {error}") from None
    if found != VideoLMConfig.model_type:
        raise CheckpointError(f"{config}: expected model_type {VideoLMConfig.model_type!r}, found {found!r}")
