"""Opening a saved model."""

from __future__ import annotations

import json
from pathlib import Path

from vlmkit.errors import CheckpointError
from vlmkit.model.config import VideoLMConfig
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.videolm import VideoLM

__all__ = ["load"]


def load(path: str | Path) -> tuple[VideoLM, VideoLMProcessor]:
    """The model and the processor that `save_pretrained` wrote into the folder `path`.

    Raises:
        CheckpointError: where the folder is missing, holds no model of vlmkit, or needs a plugin that is not installed.
    """
    folder = Path(path)
    _check(folder)
    model, report = VideoLM.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found := sorted(map(str, report[what])):
            raise CheckpointError(
                f"{folder}: the weights do not fit the model that config.json describes: {len(found)} "
                f"{what.replace('_', ' ')}: {', '.join(found[:5])}{', …' if len(found) > 5 else ''}"
            )
    return model, VideoLMProcessor.from_pretrained(folder, local_files_only=True)


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected the folder of a saved model; there is no such folder")
    config, processor = folder / "config.json", folder / "processor_config.json"
    for file in (config, processor):
        if not file.is_file():
            raise CheckpointError(f"{folder}: not a model of vlmkit: it has no {file.name}")
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(f"{folder}: it holds no weights (*.safetensors)")
    try:
        found = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{config}: not readable as the configuration of a model: {error}") from None
    if found != VideoLMConfig.model_type:
        raise CheckpointError(f"{config}: expected model_type {VideoLMConfig.model_type!r}, found {found!r}")
