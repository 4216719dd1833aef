"""From a file, overrides and defaults to a validated ExperimentSpec, back to text, and the schema of such files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from vlmkit.api.spec import SLOT_MARK, ComponentSpec, Slot
from vlmkit.errors import PluginError, SpecError, from_pydantic, shown
from vlmkit.files import expand_path
from vlmkit.guard import guarded
from vlmkit.registry import KINDS, registry
from vlmkit.spec.checks import cross_check
from vlmkit.spec.design_space import DesignSpaceSpec
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import components
from vlmkit.spec.merge import apply, read_extended
from vlmkit.spec.spec_files import find_spec
from vlmkit.spec.study import StudySpec
from vlmkit.spec.tree import Placed, spec_error
from vlmkit.spec.yaml import parse_scalar, write
from vlmkit.spec.yaml import read as read_yaml

__all__ = [
    "json_schema",
    "load_spec",
    "parse_overrides",
    "read_component",
    "read_resolved",
    "resolved",
    "sha256",
    "validate_spec",
]

_DEFINITIONS = "#/$defs/"
_CHANGE = "change."
"""Stands before the name of what a file with `extends` may say of a part."""


def load_spec(path: str | Path, set: Mapping[str, Any] | None = None) -> ExperimentSpec:  # noqa: A002 -- as the CLI has it
    """Read, merge and validate a spec file.

    Args:
        path: a spec file; a path that does not exist is also looked up among the specs that vlmkit ships.
        set: values by dotted path, e.g. `{"model.aligner.fsra": False}`.

    Raises:
        SpecError: with every problem of the spec at once.
    """
    file = find_spec(expand_path(path))
    values = read_extended(file)
    if not isinstance(set or {}, Mapping):
        expected = 'expected values by dotted path, e.g. {"model.aligner.fsra": False}'
        raise SpecError(f"set: {expected}; found {shown(set)}")
    for dotted, value in (set or {}).items():
        values = apply(values, dotted, value)
    return validate_spec(values, str(file))


def validate_spec(values: Placed, name: str) -> ExperimentSpec:
    """Return the spec that these values are. A SpecError, of `name`, with every problem at once."""
    _load_plugins(values)
    try:
        spec = ExperimentSpec.model_validate(values.data)
    except ValidationError as error:
        raise spec_error(from_pydantic(error), name, values) from None
    for component in reversed(list(components(spec))):  # those within others first: it is their fault
        with guarded(component, "writing its options as JSON"):
            component.model_dump(mode="json")
    if problems := cross_check(spec):
        raise spec_error(problems, name, values)
    return spec


def _load_plugins(values: Placed) -> None:
    """Load the installed plugins, and the files under `plugins`. What is wrong with all of them is said once, and not
    of each component."""
    known, named = registry(), values.value.get("plugins") if isinstance(values.value, dict) else None
    for file in named.value if named is not None and isinstance(named.value, list) else ():
        if isinstance(file.value, str):
            try:
                known.add_file(expand_path(file.value))
            except PluginError as error:
                raise SpecError(f"{file.place}: plugins: {error}") from error


def read_component(kind: str, value: object, name: str) -> ComponentSpec:
    """Return the spec that `value` describes, outside of a larger one. A SpecError, of `name`, where it is none."""
    slot: TypeAdapter[ComponentSpec] = TypeAdapter(cast(Any, Slot)[KINDS[kind]])
    try:
        return slot.validate_python(value)
    except ValidationError as error:
        lines = [
            ": ".join([name, *filter(None, [problem.dotted]), problem.message]) for problem in from_pydantic(error)
        ]
        raise SpecError("\n".join(lines)) from None


def parse_overrides(items: Sequence[str]) -> dict[str, Any]:
    """Return e.g. `{"model.aligner.fsra": False}` for `["model.aligner.fsra=false"]`."""
    overrides = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise SpecError(f"--set {item[:200]}: expected KEY=VALUE, e.g. --set model.aligner.fsra=false")
        overrides[key] = parse_scalar(value, f"--set {key if len(key) <= 200 else shown(key)}")
    return overrides


def resolved(spec: ExperimentSpec) -> str:
    """Return the spec with every default written out, as YAML that loads to the same spec."""
    return write(spec.model_dump(mode="json"))


def read_resolved(path: Path) -> ExperimentSpec:
    """Return the resolved spec that a run holds."""
    return validate_spec(read_yaml(path), str(path))


def sha256(spec: ExperimentSpec) -> str:
    """Return a checksum of everything that the spec says, but for its observers and where its plugins lie."""
    return hashlib.sha256(
        json.dumps(spec.model_dump(mode="json", exclude={"observers", "plugins"}), sort_keys=True).encode()
    ).hexdigest()


def json_schema() -> dict[str, Any]:
    """Return a schema that validates a file, and completes its keys in an editor: of a spec, study or design space.

    Of a spec also what a file may say that `extends` another one.
    """
    spec = ExperimentSpec.model_json_schema()
    spec["properties"]["extends"] = {"type": "string", "description": "Another spec file that this one changes."}
    definitions = spec.pop("$defs", {}) | {"spec": spec}
    for kind in KINDS:
        for address, component in registry().addresses(kind).items():
            with guarded(component.spec, "describing its options"):
                own = component.spec.model_json_schema()
            definitions.update(own.pop("$defs", {}))
            if address != component.spec.component_name():
                own["properties"]["type"] |= {"const": address, "default": address}
            own["required"] = sorted({"type", *own.get("required", [])})
            definitions[f"{kind}.{address}"] = own
    _fill_slots(definitions)
    definitions |= {_CHANGE + name: _change(schema) for name, schema in definitions.items()}
    files = {"extends": f"{_CHANGE}spec"}
    for key, model in (("study", StudySpec), ("design", DesignSpaceSpec)):
        files[key] = f"file.{key}"
        other = model.model_json_schema()
        others = {**other.pop("$defs", {}), files[key]: other}
        _fill_slots(others)
        definitions = {**others, **definitions}
    found: dict[str, Any] = {"$ref": f"{_DEFINITIONS}spec"}
    for key, name in files.items():
        found = {"if": {"required": [key]}, "then": {"$ref": f"{_DEFINITIONS}{name}"}, "else": found}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": definitions, **found}


def _fill_slots(node: Any) -> None:
    """Put any component of the kind, by its name or with its options, where a slot is marked."""
    if isinstance(node, dict):
        if kind := node.pop(SLOT_MARK, None):
            names = list(registry().addresses(kind))
            choices = [{"$ref": f"{_DEFINITIONS}{kind}.{name}"} for name in names]
            node["oneOf"] = [{"type": "string", "enum": names}, *choices] if names else [{"type": "string"}]
        node = list(node.values())
    for item in node if isinstance(node, list) else []:
        _fill_slots(item)


def _change(schema: Any) -> Any:
    """Return the schema of what changes another file: nothing is required, items of lists go by their names."""
    if isinstance(schema, list):
        return [_change(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    demand = isinstance(schema.get("required"), list)  # the keyword, and not a field of that name
    changed = {key: _change(value) for key, value in schema.items() if not (demand and key == "required")}
    if isinstance(reference := changed.get("$ref"), str):
        changed["$ref"] = reference.replace(_DEFINITIONS, _DEFINITIONS + _CHANGE)
    if isinstance(choices := changed.pop("oneOf", None), list):
        changed["anyOf"] = choices  # without its `type`, a component's options may be those of several
    if changed.get("type") == "array":
        return {"anyOf": [changed, {"type": "object", "additionalProperties": changed.get("items", True)}]}
    return changed
