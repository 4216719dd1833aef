"""What the fields of a spec say of themselves: the string below a field describes it."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise

from vlmkit.api.spec import Spec

__all__ = ["field_docs"]


def field_docs(spec: type[Spec]) -> dict[str, str]:
    """The text of each field that has one, by the key that a file gives it; inherited fields included.

    Read when it is asked for: pydantic's `use_attribute_docstrings` reads the source of every class that is made, a
    quarter of the time that vlmkit needs to start.
    """
    bases = [base for base in reversed(spec.__mro__) if issubclass(base, Spec)]
    texts = {name: text for base in bases for name, text in _own(base).items()}
    return {field.alias or name: texts[name] for name, field in spec.model_fields.items() if name in texts}


@cache
def _own(spec: type[Spec]) -> dict[str, str]:
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
