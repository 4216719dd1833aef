"""Opening a saved model: as it is, or as the start of another one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.utils import logging as transformers_logging

from vlmkit.api import quiet_transformers, reading, refuse_pointers
from vlmkit.api.chat_template import check_prompt
from vlmkit.errors import CheckpointError, shown
from vlmkit.files import expand_path, is_file, is_folder
from vlmkit.json_files import read_json
from vlmkit.manifest import MODEL_REMEDY, check_folder
from vlmkit.model.config import VideoLMConfig
from vlmkit.model.distillation import DISTILLATION, DistillationHead
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.tokens import check_generation, check_rows, check_tokenizer
from vlmkit.model.videolm import VideoLM
from vlmkit.spec.experiment import without_part

__all__ = [
    "config_differences",
    "load",
    "load_head",
    "load_with_config",
    "nonfinite_weights",
    "refuse_damage",
    "without_progress_bars",
]

_SHOWN = 5
_MATTERS = ("hidden_act", "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers",
            "num_key_value_heads", "rms_norm_eps", "rope_theta", "tie_word_embeddings", "vocab_size")  # fmt: skip
"""Keys of a language model's configuration that change what its weights compute."""


def load(path: str | Path) -> tuple[VideoLM, VideoLMProcessor]:
    """Return the model and the processor that `save_pretrained` wrote into the folder `path`. A CheckpointError where
    it is missing or damaged, holds no model of vlmkit, or needs a plugin that is not installed."""
    folder = expand_path(path)
    _check(folder, "config.json", "generation_config.json", "processor_config.json", "tokenizer_config.json")
    model = _read(folder, "the model that config.json describes")
    check_generation(model.generation_config, f"{folder}", CheckpointError)
    where = f"{folder}: tokenizer or processor"
    with refuse_damage(where):
        processor = VideoLMProcessor.from_pretrained(folder, local_files_only=True)
        check_tokenizer(processor.tokenizer, where, CheckpointError)
        check_prompt(processor.tokenizer.chat_template, processor.tokenizer.special_tokens_map)
        check_rows(processor.tokenizer, model.get_input_embeddings(), where, CheckpointError)
    return model, processor


def load_with_config(path: str | Path, config: VideoLMConfig) -> VideoLM:
    """Return the model that `config` describes, in the types that it says, with all its weights from the folder `path`.
    A CheckpointError where it is missing, holds no model of vlmkit, or one of other parts."""
    folder = expand_path(path)
    saved = _check(folder, "config.json")
    language = config.text_config
    wanted = language.to_dict() if isinstance(language, PreTrainedConfig) else {}
    there = saved.get("text_config")
    differ = config_differences(there if isinstance(there, dict) else {}, wanted)
    return _read(folder, "the spec's model", differ, config=config)


def load_head(path: str | Path, head: DistillationHead) -> None:
    """Give `head` the weights of the distillation head in the folder `path`, if there is one. A CheckpointError where
    it is for other layers, another teacher or another language model."""
    file = expand_path(path) / DISTILLATION
    check_folder(file.parent, MODEL_REMEDY)
    if not is_file(file):
        return
    with refuse_damage(file):
        state = {without_part(name): tensor for name, tensor in load_file(file).items()}
    own = head.state_dict()
    shapes = [(n, state[n].shape, own[n].shape) for n in own.keys() & state.keys() if state[n].shape != own[n].shape]
    _refuse(file, "the head of training.distillation", own.keys() - state.keys(), state.keys() - own.keys(), shapes)
    head.load_state_dict(state)


def refuse_damage(place: Path | str, remedy: str = MODEL_REMEDY) -> AbstractContextManager[None]:
    """Raise a CheckpointError for whatever a damaged file makes its reader raise; `remedy` ends the message."""
    return reading(f"{place}: damaged or not complete", remedy, CheckpointError)


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Hide the bars that transformers draws while weights load, also where no terminal shows them."""
    before = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            transformers_logging.enable_progress_bar()


def _read(folder: Path, whose: str, differ: Iterable[str] = (), **options: Any) -> VideoLM:
    options |= {"local_files_only": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    refuse_pointers(folder, CheckpointError)
    damaged = f"{folder}: its weights are damaged or not complete"
    with reading(damaged, MODEL_REMEDY, CheckpointError), quiet_transformers(), without_progress_bars():
        try:
            model, report = VideoLM.from_pretrained(folder, **options)
        except ImportError as error:  # of a quantizer, whose package transformers names
            raise CheckpointError(f"{folder}: its weights need a package that is missing here: {error}") from error
    _refuse(folder, whose, report["missing_keys"], report["unexpected_keys"], report["mismatched_keys"], differ)
    assert isinstance(model, VideoLM)
    if said := nonfinite_weights(model.named_parameters()):
        raise CheckpointError(f"{folder}: {said}; {MODEL_REMEDY}")
    return model


def _refuse(
    place: Path,
    whose: str,
    missing: Iterable[str],
    unexpected: Iterable[str],
    shapes: Iterable[tuple[str, Any, Any]],
    differ: Iterable[str] = (),
) -> None:
    """Raise one error for everything that does not fit, if anything does not."""
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
    """Return the content of the first of these JSON files, which is config.json."""
    if not is_folder(folder):
        raise CheckpointError(f"{folder}: expected the folder of a saved model; there is no such folder")
    if odd := [file for file in folder.iterdir() if not (is_file(file) or is_folder(file)) and file.exists()]:
        raise CheckpointError(f"{min(odd)}: expected a file, found a pipe or device; {MODEL_REMEDY}")
    for name in files:
        if not is_file(folder / name):
            raise CheckpointError(f"{folder}: not a model of vlmkit: it has no {name}")
    if not any(folder.glob("model*.safetensors")):
        raise CheckpointError(f"{folder}: it holds no weights (model*.safetensors)")
    contents = {
        folder / name: read_json(folder / name, "a JSON object", CheckpointError, MODEL_REMEDY) for name in files
    }
    for file, content in contents.items():
        if not isinstance(content, dict):
            raise CheckpointError(f"{file}: expected a JSON object, found {shown(content)}; {MODEL_REMEDY}")
    config: dict[str, Any] = contents[folder / files[0]]
    if (found := config.get("model_type")) != VideoLMConfig.model_type:
        where = folder / files[0]
        raise CheckpointError(f"{where}: expected model_type {VideoLMConfig.model_type!r}, found {found!r}")
    return config


def config_differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return what differs between the language model's configuration in a checkpoint and the spec's, both as
    transformers writes them. A key that one of them lacks is not compared."""
    pairs = ((key, _value(there, key), _value(here, key)) for key in _MATTERS)
    return [
        f"{key} is {found!r} there and {wanted!r} in the spec"
        for key, found, wanted in pairs
        if found is not None and wanted is not None and found != wanted
    ]


def _value(config: Mapping[str, Any], key: str) -> Any:
    """Return a value. The base of rotary positions stands at the top in older files, else in `rope_parameters`."""
    value, rope = config.get(key), config.get("rope_parameters")
    return rope.get(key) if value is None and isinstance(rope, Mapping) else value


def nonfinite_weights(named: Iterable[tuple[str, Tensor]]) -> str:
    """Return what is wrong with weights, for a message; empty where all are finite. The device is waited for once."""
    tensors = {name: value.detach() for name, value in named if type(value) in (Tensor, nn.Parameter)}  # not quantized
    names = [name for name, value in tensors.items() if value.is_floating_point() and value.numel()]
    # Both ends are NaN where one value is; `isfinite` would take a copy, and many times as long.
    ends = [torch.stack(torch.aminmax(tensors[name])).float() for name in names]
    finite = torch.stack(ends).isfinite().all(1).tolist() if ends else []
    bad = [name for name, fine in zip(names, finite, strict=True) if not fine]
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    said = f"{len(bad)} of {len(tensors)} weights hold values that are no finite numbers: {', '.join(bad[:3])}{more}"
    return said if bad else ""
