"""The files of a released encoder: its `config.json`, from which a spec takes fields, and its weights.

They are found here or on the hub, and loaded with every name and shape checked. torch is imported when that is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import model_validator

from vlmkit.api import CheckpointError, DataError, EncoderSpec, expand_path, first_line, is_file, shown
from vlmkit.api.weights import INDEX, STANDARD, locate, open_shard, read_index, read_mapping

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ConfigKey", "ReleasedEncoderSpec", "ReleasedWeights", "check_finite_weights", "load_weights"]


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


class ReleasedWeights:
    """A local file, a local folder or a repository of the Hugging Face hub."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.place = locate(path, "no weights of an encoder")

    def config(self) -> dict[str, Any]:
        """The content of `config.json`. Raise a CheckpointError where there is none."""
        file = self._file("config.json")
        if file is None:
            raise CheckpointError(f"expected config.json at {self.path}, found none; is it in Hugging Face layout?")
        return read_mapping(file)

    def state(self, names: tuple[str, ...] = STANDARD) -> dict[str, Tensor]:
        """All tensors, on the CPU, of the first of `names` that exists, or of the file that the path itself names."""
        if self.place.local is not None and is_file(self.place.local):
            return _tensors(self.place.local)
        unreachable: CheckpointError | None = None
        for name in names:
            try:
                file = self._file(name)
            except CheckpointError as error:  # offline, a file of another name may still be in the cache
                unreachable = unreachable or error
                continue
            if file is not None:
                return self._shards(file) if name.endswith(INDEX) else _tensors(file)
        raise unreachable or CheckpointError(
            f"expected weights at {self.path} ({', '.join(names)}), found none of them"
        )

    def _shards(self, index: Path) -> dict[str, Tensor]:
        state: dict[str, Tensor] = {}
        for shard in sorted(set(read_index(index).values())):
            file = self._file(shard)
            if file is None:
                raise CheckpointError(f"{index} names the shard {shard}, which is missing; fetch the folder again")
            state.update(_tensors(file))
        return state

    def _file(self, name: str) -> Path | None:
        if self.place.local is not None:
            file = self.place.local / name
            return file if is_file(file) else None
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            return Path(hf_hub_download(self.path, name, local_files_only=self.place.offline))
        except Exception as error:  # the hub's client raises errors of several libraries
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                return None
            raise CheckpointError(
                f"cannot get {name} of {self.path!r}: no such local folder, not in the cache of the Hugging Face hub, "
                f"and the hub did not give it ({type(error).__name__}: {first_line(error)}); give a local folder as "
                "`path`, or go online once"
            ) from None


def _tensors(file: Path) -> dict[str, Tensor]:
    shard = open_shard(file)
    return {name: shard.read(name) for name in shard.tensors}


def load_weights(
    module: nn.Module, state: Mapping[str, Tensor], where: str, prefixes: tuple[str, ...], drop: tuple[str, ...]
) -> None:
    """Copy released tensors into the module, in the module's dtype.

    Args:
        module: takes tensors of its own names.
        state: the released tensors.
        where: where they are from, for messages.
        prefixes: of these the first that occurs is cut from the names, and names without it are not looked at.
        drop: beginnings of names, after the cut, that are known not to be wanted.
    """
    prefix = next((prefix for prefix in prefixes if any(name.startswith(prefix) for name in state)), "")
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    found = {name: tensor for name, tensor in found.items() if not name.startswith(drop)}
    here, wanted = ({name: tuple(x.shape) for name, x in some.items()} for some in (found, module.state_dict()))
    problems = [f"missing: {name} {shape}" for name, shape in wanted.items() if name not in here]
    problems += [f"unexpected: {name} {shape}" for name, shape in here.items() if name not in wanted]
    differ = [name for name, shape in wanted.items() if here.get(name, shape) != shape]
    problems += [f"{name}: expected {wanted[name]}, found {here[name]}" for name in differ]
    if problems:
        more = f" (and {len(problems) - 8} more)" if len(problems) > 8 else ""
        raise CheckpointError(
            f"the weights at {where} do not fit; {'; '.join(problems[:8])}{more}; compare the spec "
            "with the weights' config"
        )
    check_finite_weights(found, where)
    module.load_state_dict(found)


def check_finite_weights(state: Mapping[str, Tensor], where: str) -> None:
    """Raise a CheckpointError where a tensor holds a number that is not finite."""
    import torch

    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value.detach().sum(dtype=torch.float32)):
            raise CheckpointError(f"the weights at {where}: {name} holds numbers that are not finite; fetch them again")
