"""Entries of data files."""

from __future__ import annotations

from typing import Any

import pytest

from vlmkit.api import DataError, name_of, parse_rows, text_of


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("[]", []),
        ('[{"a": 1}, 2]', [{"a": 1}, 2]),
        ('\n [\n{"a": 1}\n]\n', [{"a": 1}]),
        ('{"a": 1}', [{"a": 1}]),
        ('{"a": 1}\n{"b": 2}\n', [{"a": 1}, {"b": 2}]),
        ('\r\n{"a": 1}\r\n\r\n {"b": 2}\r\n', [{"a": 1}, {"b": 2}]),
        ('{"a": "\u2028\x85"}\n{}', [{"a": "\u2028\x85"}, {}]),
    ],
)
def test_lists_and_lines(text: str, rows: list[Any]) -> None:
    assert parse_rows(text.encode(), "here", "rows") == rows
    assert parse_rows(text.encode("utf-8-sig"), "here", "rows") == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ('{\n "a": 1\n}', r'found \{"a": 1\}'),
        ("null", "found null"),
        ("[1]\n[2]", "no JSON: Extra data"),
        ('{"a": 1}\n{"b"\n', "^here, line 2: .*no JSON"),
        ('{"a": 1}\n{}\n3]', "^here, line 3: .*no JSON"),
    ],
)
def test_what_is_neither(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        parse_rows(text.encode(), "here", "rows")
    assert "expected a JSON list of rows, or one JSON object per line" in str(error.value)


def test_names_and_texts() -> None:
    assert [name_of(value, "id", "here") for value in ("a", "", 0, -3, 10**4000)][:4] == ["a", "", "0", "-3"]
    assert text_of("a", "question", "here") == "a"
    for value in (None, True, 1.0, [], {}):
        with pytest.raises(DataError, match=r"^here: `id` should be text or a whole number, found "):
            name_of(value, "id", "here")
        with pytest.raises(DataError, match=r"^here: `question` should be text, found "):
            text_of(value, "question", "here")
    with pytest.raises(DataError, match="should be text, found 3; correct it"):
        text_of(3, "question", "here")
    with pytest.raises(DataError, match="half a character"):
        name_of("\ud83d", "id", "here")
