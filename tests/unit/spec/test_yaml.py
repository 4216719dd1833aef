"""YAML 1.2 with places: what a plain scalar means, what a tag makes of it, and how data is written."""

from __future__ import annotations

import math
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vlmkit.errors import SpecError
from vlmkit.spec.yaml import parse_scalar, read, write


def test_every_value_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\nb:\n  - x\n  - c: 2\n")
    document = read(file)
    assert document.data == {"a": 1, "b": ["x", {"c": 2}]}
    assert document.place_of(("b", 1, "c")) == f"{file}:4"
    assert document.place_of(("a",)) == f"{file}:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", r":2: the key 'a' stands here a second time"),
        ("a: [1\n", r"a\.yaml:2: not valid YAML at column 1: .*expected ',' or ']'"),
        ("\tb", "not valid"),
        (
            "a: 1\nb: !!python/object:os.system x\n",
            r"a\.yaml:2: the tag !!python/object:os\.system means nothing in a ",
        ),
        ("a: !!set {b}\n", r"a\.yaml:1: the tag !!set means nothing"),
        ("a: !!bool maybe\n", r"a\.yaml:1: expected a value of !!bool, found 'maybe'"),
        (f"a: {'9' * 301}\n", r"a\.yaml:1: expected a whole number of at most 300 digits, found '9{70}"),
        ("a: 1\nb: &x [*x]\n", r"a\.yaml:2: this list or mapping contains itself"),
        ("a: " + "[" * 2000 + "]" * 2000, r"a\.yaml: lists and mappings are nested too deeply"),
        ("a: 1\n? [b, c]\n: 2\n", r"a\.yaml:2: expected a name as the key, found a list"),
        ("? {b: c}\n: 2\n", r"a\.yaml:1: expected a name as the key, found a mapping"),
        (
            "a: &x {b: 1}\nc:\n  <<: *x\n",
            r"a\.yaml:3: merge keys \(`<<`\) are not read; write the keys out, or use `ext",
        ),
        ("a: .inf\n", r"a\.yaml:1: expected a finite number \(text stands in quotes\), found '\.inf'"),
        ("a: [61e9540]\n", r"a\.yaml:1: expected a finite number \(text stands in quotes\), found '61e9540'"),
    ],
)
def test_a_malformed_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        read(tmp_path / "a.yaml")


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SpecError, match="expected a spec file in UTF-8, found the byte 0xff at offset 0"):
        read(tmp_path / "a.yaml")


def test_an_anchor_may_be_used_twice(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &x {b: 1}\nc: [*x, *x]\n")
    assert read(tmp_path / "a.yaml").data == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: 1, a: 2}", "--set x: the key 'a' stands here a second time"),
        (".nan", r"--set x: expected a finite number .*, found '\.nan'"),
        ("[", r"--set x: '\[' is not valid YAML: "),
        ("!!python/name:os.system", "--set x: the tag !!python/name:os.system means nothing"),
    ],
)
def test_a_malformed_override_says_where(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_scalar(text, "--set x")


def test_keys_of_an_override_are_names() -> None:
    assert parse_scalar("{0: {steps: 1}}") == {"0": {"steps": 1}}


CORE: dict[str, Any] = {
    # null
    "": None, "~": None, "null": None, "Null": None, "NULL": None, "nULL": "nULL", "none": "none",
    # true and false
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False, "tRUE": "tRUE",
    "yes": "yes", "no": "no", "on": "on", "off": "off", "y": "y", "N": "N",
    # whole numbers
    "0": 0, "-0": 0, "+1": 1, "-19": -19, "010": 10, "-007": -7, "0o17": 15, "0O17": "0O17", "0o8": "0o8",
    "-0o17": "-0o17", "0x1F": 31, "0xg": "0xg", "+0x1": "+0x1", "0b11": "0b11", "1_000": "1_000", "1,000": "1,000",
    "٣": "٣", "²": "²", "1:30": "1:30", "190:20:30": "190:20:30", "--1": "--1",
    # other numbers
    "1.": 1.0, ".5": 0.5, "-.5": -0.5, "+.5": 0.5, "1.5": 1.5, "00.5": 0.5, "1e5": 1e5, "1E5": 1e5, "1e+5": 1e5,
    "4e-4": 4e-4, "1.e3": 1e3, ".1e3": 100.0, "-1.5E-3": -1.5e-3, "010e1": 100.0, "1_0.0": "1_0.0", "1.2.3": "1.2.3",
    ".": ".", "e5": "e5", "1e": "1e", "1e5.0": "1e5.0", "٣.٣": "٣.٣", ".inF": ".inF", "inf": "inf", "nan": "nan",
    "+.nan": "+.nan", ".e1": ".e1", "1:30.5": "1:30.5",
    # text
    "vicuna-v1": "vicuna-v1", "2020-13-45": "2020-13-45", "2001-12-14": "2001-12-14", "=": "=",
    "2001-12-14t21:59:43.10-05:00": "2001-12-14t21:59:43.10-05:00", "a<<b": "a<<b",
    "'1'": "1", '"1e5"': "1e5", '"true"': "true", '"\\u00e9"': "é", '"\\ud83d\\ude00"': "😀", "😀": "😀",
    # with a tag
    "!!str 1": "1", "!!str": "", "!!int 010": 10, '!!int "12"': 12, "!!float 3": 3.0, "!!float 1e3": 1e3,
    "!!bool TRUE": True, "!!null ~": None, '!!null ""': None,
}  # fmt: skip


@pytest.mark.parametrize("text", CORE)
def test_scalars_are_those_of_yaml_1_2(text: str) -> None:
    found = parse_scalar(text)
    assert found == CORE[text]
    assert type(found) is type(CORE[text])
    if text and "," not in text:
        assert parse_scalar(f"[{text} ]") == [CORE[text]]
        assert parse_scalar(f"a: {text}\n") == {"a": CORE[text]}


@pytest.mark.parametrize(
    "text",
    [".inf", "-.Inf", "+.INF", ".nan", ".NaN", ".NAN", "1e400", "-61e9540", "9" * 301, "0x" + "f" * 299,
     "0x" + "f" * 100_000, "9" * 100_000, "!!int 1.5",
     "!!int 0b1", "!!int 1_000", "!!int 1:30", "!!int", "!!float x", "!!float 0x1", "!!bool yes", "!!bool on",
     "!!null x", "!!timestamp 2001-12-14", "!!binary aGk=", r'"\ud800"', r'"a\udc00\ud800"', r'{"\udfff": 1}',
     r'"\U00110000"', r'"\UFFFFFFFF"'],
)  # fmt: skip
def test_what_no_scalar_stands_for(text: str) -> None:
    with pytest.raises(SpecError, match=r"^--set x: ") as caught:
        parse_scalar(text, "--set x")
    assert len(str(caught.value)) < 300


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parse_scalar('{1: a, true: b, "<<": c, ~: d, 1e5: e, "": f}') == dict(
        zip(("1", "true", "<<", "~", "1e5", ""), "abcdef", strict=True)
    )


NUMBERS = st.integers(1 - 10**300, 10**300 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
LIKE_NUMBERS = st.text("0123456789+-_.:eExXoOfFna~<= \n", max_size=9)
SIGNS = st.text(string.punctuation + " \n\t\r\x85\u2028\u2029\ufeff\0\x1b\x7f😀a1", max_size=12)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | LIKE_NUMBERS | SIGNS
KEYS = TEXTS | LIKE_NUMBERS | SIGNS
DATA = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


@settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(DATA)
@example(1e-05)
@example(-0.0)
@example(5e-324)
@example(1.7976931348623157e308)
@example("1e5")
@example("61e9540")
@example(["010", "1:30", "0o17", "0x1F", "1_000", ".5", "+1", "1.", ".inf", "~", "", "Null", "on", "=", "<<", "? a"])
@example({"a": "\x85\u2028\u2029\ufeff\0\x1b\ud7ff\ue000 \n\n x\n", "<<": {"b": "\r\n"}, "k" * 200: "x " * 200})
def test_what_is_written_reads_back(data: Any) -> None:
    again = parse_scalar(write(data))
    assert again == data
    assert repr(again) == repr(data)  # 1 is not true, 1.0 is not 1, -0.0 is not 0.0


def test_no_number_is_written_that_is_read_as_text() -> None:
    numbers = [float(f"{digit}e{power}") for digit in (1, 1.5) for power in range(-320, 308, 7)]
    assert parse_scalar(write(numbers)) == numbers
    assert math.copysign(1, parse_scalar(write(-0.0))) == -1
