"""The JSON schema of the whole spec file, with the options of every installed component."""

from __future__ import annotations

from typing import Any

from vlmkit.registry import KINDS, registry
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.slots import SLOT_MARK

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """For editors: validates a spec file and completes its keys."""
    schema = ExperimentSpec.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for kind in KINDS:
        for component in registry().components(kind):
            own = component.spec.model_json_schema()
            definitions.update(own.pop("$defs", {}))
            own["required"] = sorted({"type", *own.get("required", [])})
            definitions[f"{kind}.{component.spec.component_name()}"] = own
    schema["properties"]["extends"] = {"type": "string", "description": "Another spec file that this one changes."}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    _fill_slots(schema)
    return schema


def _fill_slots(node: Any) -> None:
    """Any component of the kind, by its name or with its options, where a slot is marked."""
    if isinstance(node, dict):
        if kind := node.pop(SLOT_MARK, None):
            names = registry().names(kind)
            choices = [{"$ref": f"#/$defs/{kind}.{name}"} for name in names]
            node["oneOf"] = [{"type": "string", "enum": names}, *choices] if names else [{"type": "string"}]
        node = list(node.values())
    for item in node if isinstance(node, list) else []:
        _fill_slots(item)
