"""The strings below a spec's fields: what an editor shows of them."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from vlmkit.api import Spec
from vlmkit.spec import EvaluationSpec


class Base(Spec):
    size: int = 1
    """Edge of a frame,
    in pixels."""
    silent: int = 1


class Derived(Base):
    unit: ClassVar[str] = "px"
    """No field."""
    size: int = 2
    rate: float = Field(default=1.0, description="Said in the field.")
    """Said below the field."""
    base: Base = Base()
    """One inside another."""


def described(spec: type[Spec]) -> dict[str, Any]:
    return {name: field.get("description") for name, field in spec.model_json_schema()["properties"].items()}


def test_the_string_below_a_field_describes_it() -> None:
    assert described(Base) == {"size": "Edge of a frame,\nin pixels.", "silent": None}


def test_an_inherited_text_stays_and_an_explicit_one_wins() -> None:
    assert described(Derived) == {
        "size": "Edge of a frame,\nin pixels.",
        "silent": None,
        "rate": "Said in the field.",
        "base": "One inside another.",
    }


def test_slots_and_items_of_lists_are_described() -> None:
    assert described(EvaluationSpec)["judge"] == "Decides whether an answer is right."
    schema = EvaluationSpec.model_json_schema()["$defs"]["BenchmarkUse"]
    assert schema["anyOf"][1]["properties"]["split"]["description"] == "Split; None: the entry's default."


def test_a_class_without_source_has_no_texts() -> None:
    space: dict[str, Any] = {"Spec": Spec, "__name__": "nowhere"}
    exec('class Bare(Spec):\n    size: int = 1\n    """Edge."""\n', space)
    assert described(space["Bare"]) == {"size": None}


def test_keys_of_a_file_are_described_and_hidden_fields_do_no_harm() -> None:
    class Inside(Spec):
        set_: int = Field(default=1, alias="set")
        """What is
set."""
        hidden: SkipJsonSchema[int] = 1
        """Not in the schema."""

    class Empty(Spec):
        pass

    assert described(Inside) == {"set": "What is\nset."}
    assert Empty.model_json_schema()["type"] == "object"
