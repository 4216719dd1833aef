"""The JSON schema of the whole spec file, with the options of every installed component."""

from __future__ import annotations

from typing import Any

from vlmkit.registry import KINDS, registry
from vlmkit.spec.experiment import ExperimentSpec

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
    return schema
