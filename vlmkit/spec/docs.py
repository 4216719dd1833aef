"""What the fields of a spec say of themselves: the string below a field describes it."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from textwrap import dedent

from vlmkit.api.spec import Spec

__all__ = ["field_docs"]


def field_docs(spec: type[Spec]) -> dict[str, str]:
    """The text of each field that has one, inherited fields included.

    Read when it is asked for: pydantic's `use_attribute_docstrings` reads the source of every class that is made, a
    quarter of the time that vlmkit needs to start.
    """
    bases = [base for base in reversed(spec.__mro__) if issubclass(base, Spec)]
    return {name: text for base in bases for name, text in _own(base).items() if name in spec.model_fields}


@cache
def _own(spec: type[Spec]) -> dict[str, str]:
    try:
        source = inspect.getsource(spec)
    except (OSError, TypeError):  # a class that was made without a file
        return {}
    [definition] = ast.parse(dedent(source)).body
    docs = {}
    for field, below in pairwise(getattr(definition, "body", [])):
        match field, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                docs[name] = inspect.cleandoc(text)
    return docs
