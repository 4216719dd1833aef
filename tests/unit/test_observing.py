"""Observers of a run: what they hear, and that nothing of them ends a run."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from vlmkit import hookimpl
from vlmkit.api import Observer, ObserverSpec
from vlmkit.api.observer import EVENTS
from vlmkit.evaluation.records import COUNTS
from vlmkit.observing import Observers
from vlmkit.registry import registry
from vlmkit.training.metrics import MetricsLine

ABOUT: dict[str, dict[str, Any]] = {
    "run_started": {"spec": {"name": "one"}},
    "stage_started": {"stage": "align", "options": {"steps": 3}},
    "step_ended": {"stage": "align", "step": 1, "metrics": {"loss": 1.5}},
    "stage_ended": {"stage": "align"},
    "stage_failed": {"stage": "align", "error": "OSError"},
    "evaluation_started": {"benchmark": "tiny"},
    "evaluated": {"benchmark": "tiny", "metrics": {"accuracy": 0.5}, "result": {"n": 2}},
    "evaluation_failed": {"benchmark": "tiny", "error": "OSError"},
    "run_ended": {},
    "run_failed": {"error": "OSError"},
}
HEARD: list[tuple[str, str, dict[str, Any]]] = []


def _heard(event: str) -> Any:
    def method(self: Any, **about: Any) -> None:
        HEARD.append((self.name, event, about.copy()))
        for value in about.values():
            if isinstance(value, dict):
                value.clear()
        if event == self.fails_at:
            raise self.error

    return method


class Listener(Observer):
    """Writes down what it hears, and spoils what it was given."""

    def __init__(self, name: str, fails_at: str, error: BaseException) -> None:
        self.name, self.fails_at, self.error = name, fails_at, error


for _event in EVENTS:
    setattr(Listener, _event, _heard(_event))


class EndOnly(Observer):
    """Overrides a single method."""

    def run_ended(self) -> None:
        HEARD.append(("end", "run_ended", {}))


ERRORS = {"connection": ConnectionError("no server"), "exit": SystemExit(3), "interrupt": KeyboardInterrupt()}


class ListenerSpec(ObserverSpec):
    """For these tests."""

    type: Literal["listener"] = "listener"
    name: str = "a"
    fails_at: str = ""
    error: str = "connection"

    def build(self, run: Path) -> Any:
        if self.fails_at == "build":
            raise ERRORS[self.error]
        if self.fails_at == "type":
            return run
        return EndOnly() if self.name == "end" else Listener(self.name, self.fails_at, ERRORS[self.error])


@pytest.fixture(autouse=True)
def heard() -> Iterator[list[tuple[str, str, dict[str, Any]]]]:
    HEARD.clear()
    yield HEARD
    HEARD.clear()


def test_the_events_are_those_of_the_table() -> None:
    assert tuple(ABOUT) == EVENTS


def test_each_hears_of_everything_with_copies_of_its_own() -> None:
    observers = Observers([ListenerSpec(), ListenerSpec(name="b")], Path("run"))
    for event, about in ABOUT.items():
        assert observers.tell(event, **about) == []
    assert [(event, set(about)) for name, event, about in HEARD if name == "a"] == [
        (event, set(about)) for event, about in ABOUT.items()
    ]
    assert ABOUT["evaluated"]["result"] == {"n": 2}
    assert [event for name, event, _ in HEARD if name == "b"] == list(EVENTS)


@pytest.mark.parametrize(("error", "said"), [("connection", "ConnectionError: no server"), ("exit", "SystemExit: 3")])
def test_one_that_fails_is_said_once_and_hears_no_more(
    error: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = ListenerSpec(fails_at="stage_started", error=error)
    observers = Observers([failing, ListenerSpec(name="b")], Path("run"))
    assert [observers.tell(event, **about) for event, about in ABOUT.items()] == [[], *[["listener"]] * 9]
    assert [event for name, event, _ in HEARD if name == "a"] == ["run_started", "stage_started"]
    assert [event for name, event, _ in HEARD if name == "b"] == list(EVENTS)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("vlmkit: warning: observer 'listener' (module ")
    assert line.endswith(f": stage_started raised {said}; the run goes on, and it hears no more of it")


def test_an_interruption_is_none_of_its_faults() -> None:
    observers = Observers([ListenerSpec(fails_at="run_started", error="interrupt")], Path("run"))
    with pytest.raises(KeyboardInterrupt):
        observers.tell("run_started", spec={})


@pytest.mark.parametrize(
    ("fails_at", "said"), [("build", "ConnectionError: no server; this is a fault"), ("type", "gives a ")]
)
def test_one_that_cannot_be_built_is_said_and_counts_as_not_told(
    fails_at: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    observers = Observers([ListenerSpec(fails_at=fails_at), ListenerSpec(name="b")], Path("run"))
    assert observers.listeners("evaluated") == ["listener", "listener 2"]
    assert observers.tell("evaluated", **ABOUT["evaluated"]) == ["listener"]
    assert [name for name, _, _ in HEARD] == ["b"]
    assert said in capsys.readouterr().err


def test_what_an_observer_does_not_override_it_does_not_listen_to() -> None:
    observers = Observers([ListenerSpec(name="end"), ListenerSpec(name="b"), ListenerSpec(name="c")], Path("run"))
    assert observers.listeners("evaluated") == ["listener 2", "listener 3"]
    observers.tell("run_ended", ["listener"])
    assert HEARD == [("end", "run_ended", {})]


def test_a_command_tells_how_it_ends() -> None:
    observers = Observers([ListenerSpec()], Path("run"))
    with observers.command({"name": "one"}):
        pass
    with (
        pytest.raises(ValueError, match="no"),
        observers.command({"name": "one"}),
        observers.failing("stage_failed", stage="align"),
    ):
        raise ValueError("no")
    assert [(event, about.get("error")) for _, event, about in HEARD] == [
        ("run_started", None),
        ("run_ended", None),
        ("run_started", None),
        ("stage_failed", "ValueError: no"),
        ("run_failed", "ValueError: no"),
    ]


class Hooks:
    """A plugin of the former kind."""

    @hookimpl
    def vlmkit_stage_started(self, run: Path, config: dict[str, Any]) -> None:
        HEARD.append(("hooks", str(run), config))

    @hookimpl
    def vlmkit_evaluated(self, result: dict[str, Any]) -> None:
        raise ConnectionError("no server")


def test_hooks_hear_of_what_they_name(capsys: pytest.CaptureFixture[str]) -> None:
    plugin = Hooks()
    registry().manager.register(plugin, name="hooks")
    try:
        observers = Observers(run=Path("run"))
        assert [observers.tell(event, **about) for event, about in ABOUT.items()] == [*[[]] * 6, ["hooks"], [], [], []]
        assert observers.listeners("evaluated") == ["hooks"]
    finally:
        registry().manager.unregister(plugin)
    assert HEARD == [("hooks", "run", {"steps": 3})]
    assert "plugin 'hooks': vlmkit_evaluated raised ConnectionError: no server" in capsys.readouterr().err


def test_the_observer_of_the_page_is_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block = (root / "docs" / "observers.md").read_text(encoding="utf-8").partition("# beeper.py\n")[2]
    (tmp_path / "beeper.py").write_text(textwrap.dedent(block))
    monkeypatch.setattr(sys, "path", [*sys.path])
    registry.cache_clear()
    try:
        registry().add_file(tmp_path / "beeper.py")
        observers = Observers([registry().get("observer", "beeper").spec.model_validate({"bell": False})], Path("mine"))
    finally:
        registry.cache_clear()
    assert observers.tell("run_failed", error="OSError: no disk") == []
    assert capsys.readouterr() == ("mine: OSError: no disk\n", "")


def test_the_page_has_every_event_and_number(root: Path) -> None:
    page = (root / "docs" / "observers.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    rows = {title: re.findall(r"^\| `(\w+)[^|]*\|", text, re.MULTILINE) for title, text in parts.items()}
    assert tuple(rows["Events"]) == EVENTS
    assert set(rows["Numbers of a step"]) == set(MetricsLine.model_fields)
    assert set(rows["Numbers of a benchmark"]) == {"METRIC", *COUNTS}
