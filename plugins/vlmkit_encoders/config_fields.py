"""Fields of a spec that come from the `config.json` in the folder of the weights. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import model_validator

from vlmkit.api import CheckpointError, DataError, EncoderSpec, expand_path, is_file, shown
from vlmkit.api.weights import read_mapping

__all__ = ["ConfigKey", "ReleasedEncoderSpec"]


class ConfigKey(NamedTuple):
    """The key under which a released config has the value of a field."""

    name: str
    absent: Any
    """Its value when the config does not have the key: the default of the config's class."""


class ReleasedEncoderSpec(EncoderSpec):
    """An encoder whose released weights come with a `config.json`.

    With a local folder as `path`, fields that are not set are taken from its config, so that the resolved spec states
    all of them and a saved model does not depend on that folder. Fields that contradict the config are refused when the
    weights are loaded; that is also when the config of a hub id is read.
    """

    keys: ClassVar[Mapping[str, ConfigKey]] = {}
    """Fields of the spec and their keys in the config."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("path"), str):
            return data
        try:
            file = expand_path(data["path"]) / "config.json"
        except DataError:  # a home folder of another machine: said when the weights are loaded, if they ever are
            return data
        return {**cls.from_config(_vision(read_mapping(file), str(file))), **data} if is_file(file) else data

    @classmethod
    def from_config(cls, vision: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that a released config decides."""
        stated = {field: vision.get(key.name) for field, key in cls.keys.items()}
        return {field: cls.keys[field].absent if value is None else value for field, value in stated.items()}

    def check_config(self, config: Mapping[str, Any], where: str) -> None:
        """Raise a CheckpointError that names every field which contradicts the config found at `where`."""
        vision = _vision(config, where)
        stated = {field for field, key in self.keys.items() if vision.get(key.name) is not None}
        wrong = {
            field: value
            for field, value in self.from_config(vision).items()
            # What the config leaves out has its class's default, unless the spec knows better.
            if getattr(self, field) != value and (field in stated or field not in self.model_fields_set)
        }
        if wrong:
            found = "; ".join(
                f"{field}: the config says {shown(value)} ({self.keys[field].name}), "
                f"the spec {shown(getattr(self, field))}"
                for field, value in wrong.items()
            )
            remedy = ", ".join(f"{field}: {value!s:.80}" for field, value in wrong.items())
            raise CheckpointError(f"encoder {self.type!r} does not fit the weights at {where}; {found}; set {remedy}")


def _vision(config: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the vision part of a config for image and text, or the config itself."""
    vision = config.get("vision_config", config)
    if not isinstance(vision, Mapping):
        raise CheckpointError(f"{where}: expected a mapping as vision_config, found {shown(vision)}; fetch it again")
    return vision
