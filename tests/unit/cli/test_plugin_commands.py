"""Commands that installed packages add."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from vlmkit.cli import plugin_commands

Install = Callable[..., None]
Call = Callable[..., int]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Add commands, by name the source of the module whose function `command` it is."""
    monkeypatch.syspath_prepend(tmp_path)

    def add(*commands: tuple[str, str]) -> None:
        points = []
        for number, (name, source) in enumerate(commands):
            module = f"added_command_{number}"
            (tmp_path / f"{module}.py").write_text(source)
            monkeypatch.delitem(sys.modules, module, raising=False)
            points.append(EntryPoint(name, f"{module}:command", "vlmkit.commands"))
        found = EntryPoints(points)
        monkeypatch.setattr(plugin_commands, "entry_points", lambda **wanted: found.select(**wanted))

    return add


GREET = 'def command(arguments):\n    """Greet people.\n\n    More."""\n    print("called with", arguments)\n'


def test_all_that_follows_is_its_own(install: Install, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    install(("greet", GREET))
    for arguments in (["run", "--model", "x", "-a", "b=c", "-h", "--debug"], ["--help"], []):
        assert call("greet", *arguments) == 0
        assert f"called with {arguments}" in capsys.readouterr().out


def test_help_lists_it(install: Install, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    install(("greet", GREET), ("broken", "import no_such_module"))
    assert call("--help") == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "greet Greet people." in said
    assert "broken Cannot be used: command 'broken' of module added_command_1 cannot be loaded" in said
    assert "components" in said


def test_nothing_is_imported_for_another_command(install: Install, call: Call) -> None:
    install(("greet", GREET))
    assert call("components", "judge") == 0
    assert "added_command_0" not in sys.modules


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "'greet' of module added_command_0 cannot be loaded: ModuleNotFoundError: No module"),
        ("import sys; sys.exit(3)", "'greet' of module added_command_0 cannot be loaded: SystemExit: 3"),
        ("command = 3", "expected a function in added_command_0:command, found int"),
        ("def command(arguments): raise KeyError('k')", "added_command_0 raised KeyError: 'k' (--debug shows where)"),
        ("from vlmkit.api import DataError\ndef command(arguments): raise DataError('no data')", "vlmkit: no data"),
    ],
)
def test_what_goes_wrong_is_one_message(
    install: Install, call: Call, source: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    install(("greet", source))
    assert call("greet") == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_it_may_end_with_a_code_of_its_own(install: Install, call: Call) -> None:
    install(("greet", "import sys\ndef command(arguments): sys.exit(5)"))
    assert call("greet") == 5


def test_two_of_one_name_are_both_named(install: Install, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    install(("greet", GREET), ("greet", GREET))
    assert call("greet") == 2
    expected = "command 'greet': 2 packages add it: module added_command_0 and module added_command_1; uninstall one"
    assert expected in capsys.readouterr().err


def test_those_of_vlmkit_go_first(install: Install, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    install(("plugins", GREET))
    assert call("plugins") == 0
    assert "called with" not in capsys.readouterr().out


def test_a_name_that_nobody_adds_is_refused(install: Install, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    install(("greet", GREET))
    assert call("greeet") == 2
    assert "No such command 'greeet'" in capsys.readouterr().err
