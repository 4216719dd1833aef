"""Pieces of a text that is still generated: nothing is handed out that a later token takes back."""

from __future__ import annotations

import torch

from vlmkit.chat.replies import RowLimits, StopRows

END = 99


class Letters:
    """A tokenizer with one character per token; the end token says nothing."""

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return "".join(chr(token) for token in ids if token != END)


def follow(text: str, limits: RowLimits) -> tuple[StopRows, list[str]]:
    pieces: list[str] = []
    rows = StopRows(Letters(), [END], [limits], on_text=lambda row, piece: pieces.append(piece))
    rows.put(torch.zeros(1, 4))
    for letter in text:
        rows.put(torch.tensor([ord(letter)]))
        if rows(torch.zeros(1, 4), torch.zeros(1)).all():
            break
    return rows, pieces


def test_blanks_wait_for_what_follows_them() -> None:
    rows, pieces = follow(" a b ", RowLimits(5))
    assert pieces == ["a", " b"]
    assert rows.rows[0].text == "a b"
    assert rows.rows[0].ended == "length"


def test_a_stop_text_is_not_handed_out_in_parts() -> None:
    rows, pieces = follow("one, two, three", RowLimits(40, (", th", "never")))
    assert "".join(pieces) == rows.rows[0].text == "one, two"
    assert rows.rows[0].ended == "stop"
    assert "," not in pieces[-1]


def test_what_looked_like_a_stop_text_comes_later() -> None:
    rows, pieces = follow("a, b", RowLimits(4, (", th",)))
    assert "".join(pieces) == rows.rows[0].text == "a, b"


def test_half_a_character_waits() -> None:
    _, pieces = follow("a\N{REPLACEMENT CHARACTER}", RowLimits(9))
    assert pieces == ["a"]


def test_the_end_token_ends_a_row() -> None:
    rows, pieces = follow("ab" + chr(END) + "c", RowLimits(9))
    assert pieces == ["a", "b"]
    assert (rows.rows[0].ended, len(rows.rows[0].ids)) == ("stop", 3)


def test_each_row_ends_once() -> None:
    ended: list[tuple[int, str, str | None]] = []
    limits = [RowLimits(1), RowLimits(9), RowLimits(9)]
    rows = StopRows(Letters(), [END], limits, on_end=lambda row, said: ended.append((row, said.text, said.ended)))
    rows.put(torch.zeros(3, 4))
    rows.put(torch.tensor([ord("a")] * 3))
    assert ended == [(0, "a", "length")]
    rows.put(torch.tensor([ord("b"), END, ord("b")]))
    rows.end()
    assert ended[1:] == [(1, "a", "stop"), (2, "ab", "stop")]
