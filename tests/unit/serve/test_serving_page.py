"""docs/serving.md names what the server has."""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path

import pytest

from vlmkit.cli.serve_command import serve_model
from vlmkit.serve.openai_api import ChatBody


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "serving.md").read_text()


def test_every_option_that_is_named_exists(page: str) -> None:
    options = {f"--{name.replace('_', '-')}" for name in signature(serve_model).parameters}
    named = set(re.findall(r"`(--[a-z-]+)", page)) - {"--help"}
    assert len(named) > 9
    assert named <= options


def test_every_field_of_a_request_is_named(page: str) -> None:
    table = page.split("| field |")[1].split("\n\n")[0]
    fields = set(ChatBody.model_fields) - {"messages", "model", "n"}
    assert {name for name in fields if f"`{name}" in table} == fields
