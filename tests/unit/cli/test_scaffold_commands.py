"""`vlmkit plugin`: what is said of a new package, and of one that is checked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit.registry import registry

Told = Callable[..., tuple[int, str, str]]

CODE = """
from typing import Literal
from vlmkit import hookimpl
from vlmkit.api import Judge, JudgeSpec, Verdict

VLMKIT_API = 1


class Yes(Judge):
    version = "1"

    def judge_one(self, request):
        return Verdict(True)


class YesSpec(JudgeSpec):
    type: Literal["yes"] = "yes"

    def build(self):
        return Yes()


@hookimpl
def vlmkit_components():
    return [YesSpec]
"""
BROKEN = """

@hookimpl
def vlmkit_benchmarks():
    return 3
"""


def test_a_new_package_is_listed_with_what_comes_next(told: Told, tmp_path: Path) -> None:
    code, out, _ = told("plugin", "new", "kind-words", "--kind", "judge", "--to", tmp_path)
    assert code == 0
    assert f"made: {tmp_path}/kind-words\n" in out
    assert "  kind_words/spec.py\n" in out
    assert "next: cd " in out
    code, _, error = told("plugin", "new", "kind-words", "--kind", "judge", "--to", tmp_path)
    assert (code, "kind-words is there already" in error) == (2, True)


@pytest.mark.parametrize(("name", "more", "expected"), [("all_right", "", 0), ("not_right", BROKEN, 2)])
def test_the_exit_code_says_whether_a_check_is_broken(
    name: str, more: str, expected: int, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / f"{name}.py").write_text(CODE + more)
    registry.cache_clear()
    code, out, error = told("plugin", "check", tmp_path / f"{name}.py")
    registry.cache_clear()
    del sys.modules[name]
    assert code == expected, error
    assert "  ok      judge  yes  spec_round_trips\n" in out
    assert (f"  broken  plugin  {name}  vlmkit_benchmarks: vlmkit_benchmarks returned 3" in out) is bool(expected)
    assert ("1 of 4 checks broken, see above" in error) is bool(expected)
