"""transformers' own command line, with models of vlmkit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import transformers
import typer
from transformers.cli import transformers as own
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from vlmkit.errors import CheckpointError

Told = Callable[..., tuple[int, str, str]]


def test_it_is_transformers_own(told: Told) -> None:
    code, out, _ = told("transformers", "version")
    assert (code, out.strip()) == (0, transformers.__version__)
    assert "vlmkit" in CONFIG_MAPPING


def test_help_is_its_own(told: Told) -> None:
    code, out, _ = told("transformers", "serve", "--help")
    assert code == 0
    assert "vlmkit transformers serve" in out
    assert "--attn-implementation" in out


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (ValueError("no such thing"), 2, "vlmkit: transformers: ValueError: no such thing (--debug shows where)"),
        (CheckpointError("damaged"), 2, "vlmkit: damaged"),
    ],
)
def test_errors(told: Told, monkeypatch: pytest.MonkeyPatch, raised: Exception, code: int, said: str) -> None:
    failing = typer.Typer()

    @failing.command()
    def serve() -> None:
        raise raised

    monkeypatch.setattr(own, "app", failing)
    monkeypatch.setitem(serve.__globals__, "__name__", "transformers.cli.serve")
    found, _, message = told("transformers")
    assert (found, message.strip()) == (code, said)


def test_a_defect_of_vlmkit_is_one(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = typer.Typer()

    @failing.command()
    def serve() -> None:
        raise KeyError("oh")

    monkeypatch.setattr(own, "app", failing)
    monkeypatch.setitem(serve.__globals__, "__name__", "vlmkit.model.videolm")
    code, _, message = told("transformers")
    assert code == 1
    assert message.strip().endswith("please report the lines above")
