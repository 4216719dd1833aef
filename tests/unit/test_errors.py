"""Messages of a length that a person can read, whatever a file holds."""

from __future__ import annotations

import pickle

from vlmkit.errors import DataError, UserError, did_you_mean, shown


def test_long_lines_are_cut() -> None:
    message = str(UserError("expected x, found " + "y" * 5_000_000 + "; correct it"))
    assert len(message) <= 1000
    assert message.startswith("expected x")
    assert message.endswith("correct it")


def test_many_lines_are_cut() -> None:
    lines = str(UserError("\n".join(f"line {n}" for n in range(10_000)))).splitlines()
    assert len(lines) == 60
    assert lines[0] == "line 0"
    assert lines[-2] == "… 9941 lines left out …"
    assert lines[-1] == "line 9999"


def test_short_ones_stay() -> None:
    assert str(DataError("a\nb")) == "a\nb"
    assert str(pickle.loads(pickle.dumps(DataError("a")))) == "a"


def test_shown_values() -> None:
    assert shown("a") == "'a'"
    assert shown([1, None]) == "[1, None]"
    assert len(shown("x" * 10**6)) == 80
    assert "digits" in shown(10**5000)
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert len(shown(nested)) <= 80


def test_no_near_name_of_a_very_long_one() -> None:
    assert did_you_mean("x" * 5_000_000, ["x" * 4_999_999]) == ""
