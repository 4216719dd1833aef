"""The JSON schema of the whole spec file, with the options of every installed component."""

from __future__ import annotations

from typing import Any

from vlmkit.api.spec import SLOT_MARK
from vlmkit.guard import guarded
from vlmkit.registry import KINDS, registry
from vlmkit.spec.experiment import ExperimentSpec

__all__ = ["json_schema"]

_DEFINITIONS = "#/$defs/"
_CHANGE = "change."
"""Stands before the name of what a file with `extends` may say of a part."""


def json_schema() -> dict[str, Any]:
    """Return a schema that validates a spec file, and completes its keys in an editor, with `extends` too."""
    spec = ExperimentSpec.model_json_schema()
    spec["properties"]["extends"] = {"type": "string", "description": "Another spec file that this one changes."}
    definitions = spec.pop("$defs", {}) | {"spec": spec}
    for kind in KINDS:
        for component in registry().components(kind):
            with guarded(component.spec, "describing its options"):
                own = component.spec.model_json_schema()
            definitions.update(own.pop("$defs", {}))
            own["required"] = sorted({"type", *own.get("required", [])})
            definitions[f"{kind}.{component.spec.component_name()}"] = own
    _fill_slots(definitions)
    definitions |= {_CHANGE + name: _change(schema) for name, schema in definitions.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": definitions,
        "if": {"required": ["extends"]},
        "then": {"$ref": f"{_DEFINITIONS}{_CHANGE}spec"},
        "else": {"$ref": f"{_DEFINITIONS}spec"},
    }


def _fill_slots(node: Any) -> None:
    """Put any component of the kind, by its name or with its options, where a slot is marked."""
    if isinstance(node, dict):
        if kind := node.pop(SLOT_MARK, None):
            names = registry().names(kind)
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
