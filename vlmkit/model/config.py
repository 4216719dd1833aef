"""The configuration of a saved model: its spec, the plugins that it needs, the backbone's own configuration."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from transformers import AutoConfig, PreTrainedConfig

from vlmkit._version import __version__
from vlmkit.api import reading
from vlmkit.api.bounds import first_too_large
from vlmkit.errors import CheckpointError, PluginError, from_pydantic, shown
from vlmkit.files import is_file
from vlmkit.json_files import read_json
from vlmkit.plugin_files import obtain
from vlmkit.registry import registry
from vlmkit.spec.experiment import ModelSpec
from vlmkit.spec.identity import changed, origins, versions

__all__ = ["VideoLMConfig", "check_installed", "describe", "refuse_code", "restore"]

_CONFIG_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
)
_CODE_KEYS = ("auto_map", "custom_generate")
"""Under these transformers finds classes and functions that stand in Python files beside the weights."""
_ADAPTER_CONFIG = "adapter_config.json"
_CODE_REMEDY = "remove it, or write or copy the folder anew"


class VideoLMConfig(PreTrainedConfig):
    """The configuration of a `VideoLM`, stored as config.json.

    `model` is the model's spec and `components` what each of its components comes from, both as `describe` gives them.
    """

    model_type = "vlmkit"
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012 -- transformers' way

    def __init__(
        self,
        model: dict[str, Any] | None = None,
        components: dict[str, dict[str, str]] | None = None,
        vlmkit_version: str = __version__,
        text_config: PreTrainedConfig | dict[str, Any] | None = None,
        video_token_id: int | None = None,
        part_dtypes: dict[str, str] | None = None,
        buffer_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        self.model = model or {}
        self.components = components or {}
        self.vlmkit_version = vlmkit_version
        self.text_config = _language(text_config)
        self.video_token_id = video_token_id
        """The id of `<video>`; it may lie beyond the embedding table."""
        self.part_dtypes = part_dtypes or {}
        """Name of the weights' dtype by part, where it is not the default of the components."""
        self.buffer_dtype = buffer_dtype
        """Name of the dtype of running statistics and the like."""
        super().__init__(**kwargs)

    @property
    def vocab_size(self) -> int | None:
        """Rows of the language model's table: by this PEFT sees that it was resized, and saves it with an adapter."""
        return getattr(self.text_config, "vocab_size", None)

    def to_dict(self) -> dict[str, Any]:
        """As in transformers; `dtype`, in which it reads what is no parameter, is that of the buffers."""
        return super().to_dict() | {"dtype": self.buffer_dtype}

    def spec(self) -> ModelSpec:
        """Return the model's spec. A CheckpointError that names the package where a plugin is missing."""
        return restore(self.model, self.components)


def _language(config: Any) -> PreTrainedConfig | None:
    """Return the language model's configuration, also from the mapping in a config.json."""
    if config is None or isinstance(config, PreTrainedConfig):
        return config
    remedy = "correct it, or write the model anew"
    with reading("text_config of the saved model (config.json) cannot be read", remedy, CheckpointError):
        if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
            raise ValueError(f"expected a mapping with a model_type, found {shown(config)}")
        if wrong := first_too_large(config):
            raise ValueError(wrong)
        read = AutoConfig.for_model(**config)
        assert isinstance(read, PreTrainedConfig)
        return read


def describe(spec: ModelSpec) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Return a model's spec as data, and for each component in it the plugin and package that it comes from.

    Where the model started from (`weights`) is left out: a checkpoint is complete.
    """
    return spec.model_dump(mode="json", exclude={"weights"}), origins(spec)


def restore(model: dict[str, Any], components: Mapping[str, Mapping[str, str]]) -> ModelSpec:
    """Invert `describe`. A warning where components are of another version than the model was made with."""
    here = {key: check_installed(key, origin) for key, origin in components.items()}
    try:
        spec = ModelSpec.model_validate(model)
    except ValidationError as error:
        problems = "; ".join(f"model.{'.'.join(map(str, p.path))}: {p.message}" for p in from_pydantic(error))
        packages = ", ".join(dict.fromkeys(versions(here).values()))
        if others := changed(components, here):
            packages = f"it was made with {'; '.join(others)}; install what it was made with"
        raise CheckpointError(
            f"the checkpoint's model spec does not fit what is installed here ({packages}): {problems}"
        ) from None
    if others := changed(components, origins(spec)):
        warnings.warn(
            f"this model was made with {'; '.join(others)}: its weights may mean something else", stacklevel=3
        )
    return spec


def check_installed(key: str, origin: Mapping[str, str]) -> dict[str, str]:
    """Return package and version that the component `kind/name` has here. A CheckpointError that names the package
    where it is missing."""
    kind, _, name = key.partition("/")
    try:
        plugin = registry().get(kind, name).plugin
    except PluginError as error:
        package, version = origin["package"], origin["version"]
        raise CheckpointError(
            f"the checkpoint needs the {kind} {name!r} of the plugin {origin['plugin']!r} from the package {package} "
            f"{version}, which is not usable here; to use it, {obtain(package, version)} ({error})"
        ) from None
    return {"package": plugin.distribution, "version": plugin.version}


def refuse_code(path: object) -> None:
    """Raise a CheckpointError where a file of the folder `path` names code, or another model to start from.

    vlmkit writes no code there, so that a file which names some is not its own.
    """
    folder = Path(str(path))
    for name in _CONFIG_FILES:
        if is_file(folder / name):
            content = read_json(folder / name, "a JSON object", CheckpointError, _CODE_REMEDY)
            top = content if isinstance(content, Mapping) else {}
            parts = [top, *(value for value in top.values() if isinstance(value, Mapping))]
            if key := next((key for part in parts for key in _CODE_KEYS if key in part), None):
                raise CheckpointError(
                    f"{folder / name}: expected a model of vlmkit, found the key {key}, which names Python code to "
                    f"run; code from a model's folder is never run: {_CODE_REMEDY}"
                )
    if is_file(folder / _ADAPTER_CONFIG):
        raise CheckpointError(
            f"{folder}: expected a whole model, found an adapter's {_ADAPTER_CONFIG} in it; {_CODE_REMEDY}"
        )
