"""`vlmkit plugin check`: plugins are found by their folder; each check has a line, whatever a component does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vlmkit.errors import PluginError
from vlmkit.registry import registry
from vlmkit.scaffold.plugin_check import check_plugin, plugins_in

CODE = '''
"""Judges."""
from typing import Literal
from vlmkit import hookimpl
from vlmkit.api import Judge, JudgeSpec, Verdict

VLMKIT_API = 1


class Yes(Judge):
    version = "1"

    def judge_one(self, request):
        return Verdict(True)


class YesSpec(JudgeSpec):
    type: Literal["always-yes"] = "always-yes"
    path: str = "here"

    def build(self):
        return Yes()


class BigSpec(YesSpec):
    type: Literal["big-yes"] = "big-yes"

    @classmethod
    def tiny(cls):
        raise SystemExit("no tiny one")


class ForgetfulSpec(YesSpec):
    type: Literal["forgetful-yes"] = "forgetful-yes"

    def model_dump(self, **_):
        return {"path": "there"}


@hookimpl
def vlmkit_components():
    return [YesSpec, BigSpec, ForgetfulSpec]
'''


HOOKS = '''
"""A benchmark and formats."""
from pathlib import Path
from vlmkit import hookimpl
from vlmkit.api import PublishedFormat

VLMKIT_API = 1


@hookimpl
def vlmkit_benchmarks():
    return [Path(__file__).parent / "entries"]


@hookimpl
def vlmkit_published():
    more = {"title": "t", "spec": "quickstart"}
    return [PublishedFormat("sound", rename=((r"a\\.(.*)", r"aligner.\\1"),), **more),
            PublishedFormat("odd", rename=(("a(", "aligner"),), **more)]
'''
ENTRY = """
title: t
paper: none
license: CC0
version: "1"
default_split: test
splits: {test: {files: [{name: questions.jsonl, source: beside this fileMORE}]}}
video: {file: "{video}.mp4"}
evaluator: {type: open-ended-qa}
generation: {max_new_tokens: 8}
metrics: [accuracy]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Put a plugin with some code into a folder of its own, as an editable installation has it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("VLMKIT_PLUGINS", raising=False)

    def install(code: str) -> Path:
        info, folder = tmp_path / "yes-2.dist-info", tmp_path / "project"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: yes\nVersion: 2\n")
        (info / "entry_points.txt").write_text("[vlmkit]\nyes = yes_plugin\n")
        (folder / "yes_plugin").mkdir(parents=True)
        (folder / "yes_plugin/__init__.py").write_text(code)
        monkeypatch.syspath_prepend(folder)
        registry.cache_clear()
        return folder

    yield install
    registry.cache_clear()
    sys.modules.pop("yes_plugin", None)


def test_every_check_has_an_outcome(install: Callable[[str], Path]) -> None:
    [plugin] = plugins_in(install(CODE))
    assert plugin.package == "yes 2"
    found = {(kind, name, check): broken for kind, name, check, broken in check_plugin(plugin)}
    assert {key: said.partition(":")[0] for key, said in found.items() if said} == {
        ("judge", "big-yes", "tiny"): "SystemExit",
        ("judge", "forgetful-yes", "spec_round_trips"): "written as JSON and read again it differs in ['path']",
    }
    assert {
        ("plugin", "yes", "loads"),
        ("judge", "always-yes", "tiny"),
        ("judge", "always-yes", "spec_round_trips"),
    } <= {key for key, said in found.items() if not said}


def test_hooks_are_checked_by_what_they_return(install: Callable[[str], Path]) -> None:
    folder = install(HOOKS)
    for name, more in (("whole", ""), ("changed", f", sha256: {'a' * 64}")):
        entry = folder / "yes_plugin/entries" / name
        entry.mkdir(parents=True)
        (entry / "README.md").touch()
        (entry / "benchmark.yaml").write_text(ENTRY.replace("MORE", more))
        (entry / "questions.jsonl").write_text(
            '{"id": "1", "video": "a", "question": "Which way?", "answer": "left"}\n'
        )
    [plugin] = plugins_in(folder)
    found = {(kind, name, check): broken for kind, name, check, broken in check_plugin(plugin)}
    assert {key for key, said in found.items() if not said} == {
        ("plugin", "yes", "loads"), ("benchmark", "whole", "is_as_it_says"),
        ("format", "sound", "rules_can_be_applied"), ("format", "sound", "spec_can_be_read"),
        ("format", "odd", "spec_can_be_read"),
    }  # fmt: skip
    assert "questions.jsonl" in found["benchmark", "changed", "is_as_it_says"]
    assert "a rule of its published format 'odd' is none" in found["format", "odd", "rules_can_be_applied"]


def test_a_hook_that_raises_is_broken(install: Callable[[str], Path]) -> None:
    [plugin] = plugins_in(install(f"{HOOKS}\n\n@hookimpl\ndef vlmkit_benchmarks():\n    return 3\n"))
    found = {outcome.check: outcome.broken for outcome in check_plugin(plugin)}
    assert found["vlmkit_benchmarks"] == "vlmkit_benchmarks returned 3; expected a list of Path"


def test_a_plugin_that_does_not_load_is_broken(install: Callable[[str], Path]) -> None:
    [plugin] = plugins_in(install("1 / 0"))
    assert list(check_plugin(plugin)) == [("plugin", "yes", "loads", "ZeroDivisionError: division by zero")]


def test_a_plugin_that_is_left_out_is_not_checked(
    install: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLMKIT_PLUGINS", "stab")
    [plugin] = plugins_in(install(CODE))
    assert [outcome.broken for outcome in check_plugin(plugin)] == ["left out by VLMKIT_PLUGINS"]


def test_a_plugin_may_be_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "yes_file.py").write_text(CODE)
    registry.cache_clear()
    [plugin] = plugins_in(tmp_path / "yes_file.py")
    outcomes = list(check_plugin(plugin))
    registry.cache_clear()
    del sys.modules["yes_file"]
    assert outcomes[0] == ("plugin", "yes_file", "loads", "")
    assert {outcome.name for outcome in outcomes[1:]} == {"always-yes", "big-yes", "forgetful-yes"}


def test_a_folder_without_a_plugin_says_what_to_do(install: Callable[[str], Path], tmp_path: Path) -> None:
    install(CODE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PluginError, match=r"empty: no installed plugin has its files here; .* pip install -e \."):
        plugins_in(tmp_path / "empty")
    with pytest.raises(PluginError, match="found no folder"):
        plugins_in(tmp_path / "nowhere")
