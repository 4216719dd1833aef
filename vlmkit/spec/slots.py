"""Validation of a slot: `name` or `{type: name, …}` becomes the spec of that component."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from vlmkit.api.spec import ComponentSpec, Slot
from vlmkit.errors import PluginError
from vlmkit.guard import FAULTS, fault, is_of_the_machine, said
from vlmkit.registry import KINDS, registry
from vlmkit.spec.report import as_written, from_pydantic, spec_error

__all__ = ["SLOT_MARK", "read_component", "slot_json_schema", "validate_slot"]

SLOT_MARK = "x-vlmkit-slot"


def validate_slot(kind: str, value: object) -> ComponentSpec:
    """The spec that `value` describes. Errors inside keep their dotted location."""
    if isinstance(value, ComponentSpec):
        if value.kind != kind:
            raise PydanticCustomError("wrong_kind", "expected a component of kind {kind}, found {found}",
                                      {"kind": kind, "found": f"{value.kind}/{value.type}"})  # fmt: skip
        return value
    options = {"type": value} if isinstance(value, str) else value
    if not isinstance(options, Mapping) or not isinstance(options.get("type"), str):
        names = ", ".join(registry().names(kind)) or "none"
        raise PydanticCustomError(
            "no_component",
            "expected a name, or a mapping with `type: name` and options; {found}; installed of kind {kind}: {names}",
            {"kind": kind, "names": names, "found": _found(options)},
        )
    try:
        component = registry().get(kind, str(options["type"]))
    except PluginError as error:
        raise PydanticCustomError("unknown_component", "{message}", {"message": str(error)}) from None
    package, _, name = str(options["type"]).rpartition(":")
    spec = _validated(component.spec, {**options, "type": name})
    spec._package = package
    return spec


def read_component(kind: str, value: object, name: str) -> ComponentSpec:
    """The spec that `value` describes, outside of a larger one. A SpecError, of `name`, where it is none."""
    slot: TypeAdapter[ComponentSpec] = TypeAdapter(cast(Any, Slot)[KINDS[kind]])
    try:
        return slot.validate_python(value)
    except ValidationError as error:
        raise spec_error(from_pydantic(error), name) from None


def _validated(spec: type[ComponentSpec], options: dict[str, Any]) -> ComponentSpec:
    """What a ValueError says is the user's mistake; whatever else a validator raises is the plugin's."""
    try:
        return spec.model_validate(options)
    except FAULTS as error:
        if isinstance(error, ValueError) or is_of_the_machine(error):
            raise
        if os.environ.get("VLMKIT_DEBUG"):  # for pydantic the PluginError is one problem of the spec among others
            traceback.print_exception(error)
        raise fault(spec, f"looking at its options raised {said(error)}") from error


def _found(value: object) -> str:
    if isinstance(value, Mapping):
        return "found a mapping without `type`" if "type" not in value else f"found `type: {as_written(value['type'])}`"
    return f"found {as_written(value)}"


def slot_json_schema(kind: str) -> dict[str, Any]:
    """A mark for the slot, in place of which `vlmkit.spec.schema` puts every installed component of the kind."""
    return {"title": kind, SLOT_MARK: kind}
