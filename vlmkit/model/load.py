"""Opening a saved model: as it is, or as the start of another one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedConfig
from transformers.utils import logging as transformers_logging

from vlmkit.errors import CheckpointError
from vlmkit.model.config import VideoLMConfig
from vlmkit.model.distillation import DISTILLATION, DistillationHead
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.same import differences
from vlmkit.model.videolm import VideoLM

__all__ = ["load", "load_as", "load_head"]

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
    saved = _check(folder, "config.json")
    language = config.text_config
    wanted = language.to_dict() if isinstance(language, PreTrainedConfig) else {}
    differ = differences(saved.get("text_config") or {}, wanted)
    return _read(folder, "the spec's model", differ, config=config)


def load_head(path: str | Path, head: DistillationHead) -> bool:
    """Give `head` the weights of the distillation head in the folder `path`, if there is one; whether there is.

    Raises:
        CheckpointError: it is a head for other layers, another teacher or another language model.
    """
    file = Path(path) / DISTILLATION
    if not file.is_file():
        return False
    try:
        state = {name.removeprefix("distillation."): tensor for name, tensor in load_file(file).items()}
    except SafetensorError as error:
        raise CheckpointError(f"{file}: damaged or not complete: {error}") from None
    own = head.state_dict()
    shapes = [(n, state[n].shape, own[n].shape) for n in own.keys() & state.keys() if state[n].shape != own[n].shape]
    _refuse(file, "the head of training.distillation", own.keys() - state.keys(), state.keys() - own.keys(), shapes)
    head.load_state_dict(state)
    return True


def _read(folder: Path, whose: str, differ: Iterable[str] = (), **options: Any) -> VideoLM:
    options |= {"local_files_only": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        with _errors_only():
            model, report = VideoLM.from_pretrained(folder, **options)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: its weights are damaged or not complete: {error}") from None
    _refuse(folder, whose, report["missing_keys"], report["unexpected_keys"], report["mismatched_keys"], differ)
    assert isinstance(model, VideoLM)
    return model


@contextmanager
def _errors_only() -> Iterator[None]:
    """Without transformers' own table of what does not fit: that is said in the error."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def _refuse(
    place: Path,
    whose: str,
    missing: Iterable[str],
    unexpected: Iterable[str],
    shapes: Iterable[tuple[str, Any, Any]],
    differ: Iterable[str] = (),
) -> None:
    """One error for everything that does not fit, if anything does not."""
    mismatched = [f"{name} is {tuple(there)} there and {tuple(here)} here" for name, there, here in shapes]
    kinds = {"missing keys": missing, "unexpected keys": unexpected, "mismatched keys": mismatched}
    kinds |= {"other options of the language model": differ}
    misfits = [
        f"{len(found)} {kind}: {', '.join(found[:_SHOWN])}{', …' if len(found) > _SHOWN else ''}"
        for kind, names in kinds.items()
        if (found := sorted(names))
    ]
    if misfits:
        raise CheckpointError(f"{place}: the weights do not fit {whose}: {'; '.join(misfits)}")


def _check(folder: Path, *files: str) -> dict[str, Any]:
    """The content of config.json."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected the folder of a saved model; there is no such folder")
    for name in files:
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: not a model of vlmkit: it has no {name}")
    if not any(folder.glob("model*.safetensors")):
        raise CheckpointError(f"{folder}: it holds no weights (model*.safetensors)")
    config = folder / "config.json"
    try:
        content: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
        found = content.get("model_type")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{config}: not readable as the configuration of a model: {error}") from None
    if found != VideoLMConfig.model_type:
        raise CheckpointError(f"{config}: expected model_type {VideoLMConfig.model_type!r}, found {found!r}")
    return content
