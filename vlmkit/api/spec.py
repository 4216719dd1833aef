"""The base of every spec, and slots: fields that take any component of one kind."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from itertools import pairwise
from typing import Annotated, Any, ClassVar, LiteralString, Self, TypeVar, cast, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema
from pydantic_core.core_schema import ErrorType

from vlmkit.api.contract import Promises, enforce
from vlmkit.api.deprecation import deprecated
from vlmkit.errors import did_you_mean
from vlmkit.guard import component_label

__all__ = ["SLOT_MARK", "ComponentSpec", "Slot", "SlotMarker", "Spec", "default_component"]

_BUILT_IN = frozenset(get_args(ErrorType))
_MOST_HINTS = 50
"""Unknown keys for which a near one is looked for, which takes time."""
SLOT_MARK = "x-vlmkit-slot"
"""Key that marks a slot in a JSON schema."""


def _be_exact(schema: object) -> None:
    """Have numbers and booleans taken as they are; elsewhere pydantic converts: a folder's name becomes a Path."""
    if isinstance(schema, dict):
        if schema.get("type") in ("bool", "float", "int"):
            schema["strict"] = True
        schema = list(schema.values())
    for below in schema if isinstance(schema, list | tuple) else ():
        _be_exact(below)


class Spec(BaseModel):
    """Options as data: immutable, no unknown keys, no runtime objects, no torch. Numbers are finite, and neither text
    nor booleans."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, protected_namespaces=()
    )

    renamed: ClassVar[Mapping[str, str]] = {}
    """By the name that an option had in an earlier version: its name now. Files and saved models that have the old one
    are read with a warning."""
    removed: ClassVar[Mapping[str, str]] = {}
    """By the name of an option that an earlier version had: why it is gone, or what to set in its place. Files and
    saved models that have it are refused in these words."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _be_exact(handler.resolve_ref_schema(schema))
        return schema

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(schema)
        texts = _field_docs(cls)
        for key, option in handler.resolve_ref_schema(described).get("properties", {}).items():
            if key in texts:
                option.setdefault("description", texts[key])
        return described

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_nearest(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(_renamed(value, cls))
        except ValidationError as error:
            details = [_detail(e, cls, number < _MOST_HINTS) for number, e in enumerate(error.errors())]
            raise ValidationError.from_exception_data(error.title, details) from None
        except OSError as error:  # of a component that looks into files, whose names can be anything
            raise ValueError(f"{error.strerror or error}: {str(error.filename)[:80]}") from None
        except (ArithmeticError, MemoryError) as error:  # of its own checks, with numbers that nobody thought of
            raise ValueError(f"these numbers cannot be worked with: {str(error) or type(error).__name__}") from None


def _renamed(value: Any, model: type[Spec]) -> Any:
    """Return the options under the names that they have now. One that is given under both is left for an error."""
    if not model.renamed or not isinstance(value, Mapping):
        return value
    old = {key: new for key, new in model.renamed.items() if key in value and new not in value}
    for key, new in old.items():
        deprecated(f"the option `{key}` of {component_label(model)}", f"`{new}`")
    return {old.get(key, key): option for key, option in value.items()}


def _field_docs(spec: type[Spec]) -> dict[str, str]:
    """Return the string below each field that has one, by the key that a file gives it; inherited fields included.

    Read when it is asked for: pydantic's `use_attribute_docstrings` reads the source of every class that is made, a
    quarter of the time that vlmkit needs to start.
    """
    bases = [base for base in reversed(spec.__mro__) if issubclass(base, Spec)]
    texts = {name: text for base in bases for name, text in _own_docs(base).items()}
    return {field.alias or name: texts[name] for name, field in spec.model_fields.items() if name in texts}


@cache
def _own_docs(spec: type[Spec]) -> dict[str, str]:
    try:
        source = inspect.getsource(spec)
    except (OSError, TypeError):  # a class that was made without a file
        return {}
    if source[0].isspace():  # a class in a function: text in it may stand further left, so that dedent would not do
        source = f"if True:\n{source}"
    definition = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))
    docs = {}
    for field, below in pairwise(definition.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                docs[name] = inspect.cleandoc(text)
    return docs


def _detail(error: ErrorDetails, model: type[Spec], hints: bool) -> InitErrorDetails:
    """The same error; where it is an unknown key of `model`, in words that say which keys there are."""
    kind: PydanticCustomError | str = error["type"]
    context = error.get("ctx", {})
    if kind == "extra_forbidden" and len(error["loc"]) == 1:
        key, known = str(error["loc"][0])[:80], list(model.model_fields)
        if key in model.removed or key in model.renamed:
            kind = PydanticCustomError("replaced_key", "{message}", {"message": _replaced(key, model)})
            return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"])
        context = {"key": key, "hint": did_you_mean(key, known) if hints else "", "known": ", ".join(known)}
        kind = PydanticCustomError("unknown_key", "unknown key {key}; {hint}known keys: {known}", context)
    elif kind not in _BUILT_IN:
        kind = PydanticCustomError(cast(LiteralString, kind), "{message}", {"message": error["msg"]})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=context)


def _replaced(key: str, model: type[Spec]) -> str:
    owner = component_label(model)
    if key in model.renamed:
        return f"{owner} calls this option `{model.renamed[key]}`, which is set too; remove `{key}`"
    return f"{owner} has no option `{key}` any more: {model.removed[key]}"


class ComponentSpec(Spec):
    """The options of one component. A subclass states its name as ``type: Literal["name"] = "name"``."""

    kind: ClassVar[str]
    _promises: ClassVar[Promises] = {}
    """What its kind promises: see `vlmkit.api.contract`."""

    type: str
    _package: str = PrivateAttr(default="")

    @property
    def address(self) -> str:
        """Its name in a spec file: `name`, or `package:name` where it was called so."""
        return f"{self._package}:{self.type}" if self._package else self.type

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        enforce(cls, cls._promises)

    @classmethod
    def component_name(cls) -> str:
        """The name under which the component is registered."""
        return str(cls.model_fields["type"].default)

    @classmethod
    def tiny(cls) -> Self:
        """A small instance, for the conformance checks of `vlmkit.testing`. Override it where the default is big."""
        return cls.model_validate({"type": cls.component_name()})


def _unresolved(kind: str, value: object) -> ComponentSpec:
    raise RuntimeError(f"no {kind} can be looked up before vlmkit.registry is imported")


resolve_slot: Callable[[str, object], ComponentSpec] = _unresolved
"""Return the component of a kind that a value describes.

`vlmkit.registry`, which knows the plugins, puts its own function here."""


class SlotMarker:
    """Validates a field by `resolve_slot`."""

    def validate(self, kind: str, value: object) -> ComponentSpec | str:
        """Return what the field holds."""
        return resolve_slot(kind, value)

    def __get_pydantic_core_schema__(self, source: type[ComponentSpec], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            partial(self.validate, source.kind),
            serialization=core_schema.plain_serializer_function_ser_schema(_dump),
            metadata={"kind": source.kind},
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return a mark, in place of which `vlmkit.spec.loading` puts every installed component of the kind."""
        kind = schema["metadata"]["kind"]
        return {"title": kind, SLOT_MARK: kind}


def _dump(value: ComponentSpec | str) -> dict[str, Any] | str:
    return value if isinstance(value, str) else value.model_dump(mode="json") | {"type": value.address}


T = TypeVar("T")
Slot = Annotated[T, SlotMarker()]
"""``Slot[DownsamplerSpec]``: a field that takes any installed downsampler, by name or as ``{type: name, …}``."""


def default_component(name: str, **options: object) -> Any:
    """The default of a slot: ``downsampler: Slot[DownsamplerSpec] = default_component("lsd")``."""
    return Field(default={"type": name, **options}, validate_default=True)
