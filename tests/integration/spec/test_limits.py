"""What no spec comes near ends at once with one message: files, aliases, levels, chains, paths, values of Python."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlmkit.benchmarks.entries import read_benchmark
from vlmkit.errors import DataError, SpecError
from vlmkit.spec.loading import load_spec, parse_overrides
from vlmkit.spec.yaml import parse_scalar, read

LONGEST = 10.0
"""Seconds of computing, however busy the machine is."""


def bomb(width: int = 9, depth: int = 9, start: str = "x") -> str:
    """A few hundred bytes that stand for width**depth values."""
    lines = [f"k0: &k0 [{', '.join([start] * width)}]"]
    lines += [f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * width)}]" for n in range(1, depth)]
    return "\n".join(lines) + "\n"


def chain(links: int) -> str:
    """Aliases of which each stands one level below the next."""
    return "k0: &k0 [1]\n" + "".join(f"k{n}: &k{n} [*k{n - 1}]\n" for n in range(1, links))


@contextmanager
def refused(message: str, error: type[Exception] = SpecError) -> Iterator[None]:
    begin = time.process_time()
    with pytest.raises(error, match=message) as caught:
        yield
    assert time.process_time() - begin < LONGEST
    assert len(str(caught.value)) < 2000


TEXTS = {
    "aliases that multiply": (bomb(), "stands for more than 50,000 values"),
    "aliases of mappings": (bomb(start="{a: 1}"), "stands for more than 50,000 values"),
    "many aliases": ("a: &a [1, 2]\nb: [" + "*a, " * 30_000 + "1]\n", "more than 50,000 values"),
    "aliases one below the other": (chain(3000), "nested too deeply, more than 50 levels"),
    "many values": ("[" + "1," * 60_000 + "1]", "more than 50,000 values"),
    "brackets": ("a: " + "[" * 100_000, "nested too deeply"),
    "closed brackets": ("a: " + "[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "braces": ("{a: " * 100_000, "nested too deeply"),
    "dashes": ("- " * 100_000, "nested too deeply"),
    "keys": ("? " * 100_000, "nested too deeply"),
    "brackets in a key": ("? " + "[" * 100_000, "nested too deeply"),
    "an endless tag": ("a: !" + "x" * 100_000 + " 1\n", "the tag '?!x+…"),
    "a tag of a key": ("!!python/name:os.system a: 1\n", "the tag !!python/name:os.system means nothing"),
    "an endless anchor": ("a: *" + "x" * 100_000 + "\n", "undefined alias"),
    "an endless key": ("? " + "x" * 100_000 + "\n: 1\n? " + "x" * 100_000 + "\n: 2\n", "key 'x+… stands here a second"),
    "two documents": ("a: 1\n---\nb: 2\n", "expected a single document"),
    "a zero byte": ("a: b\nc: \0\n", ':2: the character U\\+0000 has to be written as "\\\\U00000000"'),
    "a control character": ("a: \x1b\n", "the character U\\+001B"),
    "a line break of YAML 1.1": ('a: "b\u2028c"\n', 'the character U\\+2028 has to be written as "'),
    "another version": ("%YAML 2.0\n---\na: 1\n", "not valid YAML"),
    "endless digits of a version": (f"%YAML {'1' * 5000}.1\n---\na: 1\n", "not valid YAML"),
    "an escape of no character": ('a: "\\U00110000"\n', "not valid YAML"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_beyond_the_limits(name: str, tmp_path: Path) -> None:
    text, message = TEXTS[name]
    file = tmp_path / "benchmark.yaml"
    file.write_text(text)
    with refused(f"benchmark.yaml.*{message}"):
        read(file)
    if name.startswith("many"):  # takes its time to parse
        return
    with refused(message):
        load_spec(file)
    with refused(f"benchmark.yaml.*{message}", DataError):
        read_benchmark(tmp_path)
    with refused(f"^--set seed: .*{message.removeprefix(':2: ')}"):
        parse_overrides([f"seed={text}"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\n" * 250_000, "found a file of 1,250,000 bytes, more than 1,000,000"),
        ("a: 1\n".encode("utf-16"), "in UTF-8, found the byte 0xff at offset 0"),
        (b"a: \xc3(\n", "in UTF-8, found the byte 0xc3 at offset 3"),
    ],
)
def test_a_file_that_is_no_spec(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with refused(f"a.yaml: expected a spec file.*{message}"):
        load_spec(tmp_path / "a.yaml")


def test_a_byte_order_mark_means_nothing(small: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(small, encoding="utf-8-sig")
    assert load_spec(tmp_path / "a.yaml").name == "small"


def test_neither_folder_nor_pipe_nor_device_is_a_spec_file(small: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    over = tmp_path / "over.yaml"
    for name in ("pipe", ".", "/dev/zero"):
        with refused("expected a spec file, found a (?:folder|pipe or device); name a"):
            load_spec(tmp_path / name)
        with refused("expected a spec file, found a folder, pipe or device"):
            read(tmp_path / name)
        over.write_text(f"extends: {name}\n")
        with refused(r"over.yaml:1: `extends`: .*: expected a spec file, found a (?:folder|pipe or device); name a"):
            load_spec(over)
    (tmp_path / "benchmark.yaml").mkdir()
    with refused("expected a benchmark, found a folder", DataError):
        read_benchmark(tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [("[a]", "found another value"), ("5", "found 5"), ("over.yaml", "goes in a circle"), ("~nobody-x/a", "no home"),
     ('"a\\0b"', "there is no such spec file"), ("x" * 5000, "there is no such spec file"), ('""', "found a folder")],
)  # fmt: skip
def test_what_cannot_be_extended(value: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "over.yaml").write_text(f"extends: {value}\n")
    with refused(message, ValueError):
        load_spec(tmp_path / "over.yaml")


def test_a_chain_of_files_has_an_end(small: str, tmp_path: Path) -> None:
    (tmp_path / "0.yaml").write_text(small)
    for number in range(1, 1000):
        (tmp_path / f"{number}.yaml").write_text(f"extends: {number - 1}.yaml\nseed: {number}\n")
    assert load_spec(tmp_path / "19.yaml").seed == 19
    with refused("more than 20 files extend each other"):
        load_spec(tmp_path / "20.yaml")
    with refused("more than 20 files extend each other"):
        load_spec(tmp_path / "999.yaml")


def test_large_files_are_merged_in_a_moment(tmp_path: Path) -> None:
    values = "".join(f"  k{number}: {number}\n" for number in range(2_000))
    (tmp_path / "a.yaml").write_text(f"model:\n{values}")
    (tmp_path / "b.yaml").write_text(f"extends: a.yaml\nmodel:\n{values}")
    items = "".join(f"  - {{name: n{number}}}\n" for number in range(1_500))
    (tmp_path / "c.yaml").write_text(f"stages:\n{items}")
    (tmp_path / "d.yaml").write_text(
        "extends: c.yaml\nstages:\n" + "".join(f"  n{number}: {{x: 1}}\n" for number in range(1_500))
    )
    begin = time.process_time()
    for name in ("b.yaml", "d.yaml"):
        with pytest.raises(SpecError, match="unknown key"):
            load_spec(tmp_path / name)
    assert time.process_time() - begin < LONGEST


def test_very_many_problems_are_counted(small_file: Path) -> None:
    text = small_file.read_text() + "".join(f"seeed{number}: 1\n" for number in range(5_000))
    small_file.write_text(text)
    with pytest.raises(SpecError, match="this spec has 5,000 problems") as caught:
        load_spec(small_file)
    lines = str(caught.value).splitlines()
    assert len(lines) == 42
    assert lines[-1] == "  … and 4,960 more"
    assert "did you mean 'seed'?" in lines[1]


@pytest.mark.parametrize("index", ["²", "٣", "-1", "1_0", "+0", "00", "1.0", "9" * 5000, "1e0", "0x0"])
def test_only_plain_numbers_name_an_item(index: str, small_file: Path) -> None:
    with refused("names no item of the list training.stages|has nothing below it|unknown key|names no item"):
        load_spec(small_file, set=parse_overrides([f"training.stages.{index}.steps=1"]))
    with refused("names no item of the list training.stages"):
        load_spec(small_file, set={"training.stages": {index: {"steps": 1}}})


@pytest.mark.parametrize("key", [".", "a..b", ".a", "a.", "model..aligner", ".".join("a" * 60), "a" * 100_000])
def test_a_path_that_is_none(key: str, small_file: Path) -> None:
    with refused("^(?:--set a+|/.*|--set .*: expected names with single dots between)"):
        load_spec(small_file, set=parse_overrides([f"{key}=1"]))


@pytest.mark.parametrize("item", ["seed", "=1", "x" * 100_000, ""])
def test_an_override_without_key_or_value(item: str) -> None:
    with refused("expected KEY=VALUE"):
        parse_overrides([item])


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


def doubled() -> list[Any]:
    value: list[Any] = []
    for _ in range(40):
        value = [value, value]
    return value


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


KEYS = {
    "an object": object(), "a class": int, "a set": {1}, "bytes": b"a", "a function": len, "not a number": float("nan"),
    "infinite": float("inf"), "endless": 10**5000, "complex": 1j, "an array": np.zeros(3), "numpy's infinite":
    np.float32("inf"), "half a character": "\ud800", "half a character below": {"a": ["\udc00"]}, "a key": {1.5: 2},
    "no key": {None: 1}, "a true key": {True: 1}, "itself": circular(), "doubled": doubled(), "a fraction":
    Fraction(10**400), "unprintable": Unprintable(), "an exception": ValueError("x"),
}  # fmt: skip


@pytest.mark.parametrize("what", KEYS)
def test_values_of_python_that_no_file_can_hold(what: str, small_file: Path) -> None:
    for key in ("seed", "name", "model", "model.aligner.input", "model.backbone.config.rope_theta", "evaluation"):
        with refused(key.rpartition(".")[2]):
            load_spec(small_file, set={key: KEYS[what]})


@pytest.mark.parametrize("key", [1, None, ("a", "b"), b"seed", 1.5])
def test_a_path_of_python_is_text(key: Any, small_file: Path) -> None:
    with refused("set: expected a dotted path"):
        load_spec(small_file, set={key: 1})


def test_values_of_python_that_are_those_of_a_file(small_file: Path) -> None:
    values: dict[str, Any] = {
        "seed": np.int64(3),
        "training.stages.align.train.aligner": np.float32(0.5),
        "training.stages.0.data": ({"type": "llava-json", "path": Path("a.json")},),
        "training.stages": {0: {"steps": 5}},
    }
    spec = load_spec(small_file, set=values)
    assert spec.training is not None
    [stage] = spec.training.stages
    assert (spec.seed, stage.steps, stage.train["aligner"], stage.data[0].path) == (3, 5, 0.5, Path("a.json"))  # type: ignore[attr-defined]
    again = load_spec(small_file, set={"model.aligner": spec.model.aligner, "training": spec.training})
    assert again.model.aligner == spec.model.aligner
    assert again.training == spec.training


def test_a_reader_looks_at_a_shared_value_once() -> None:
    value = parse_scalar(bomb(width=3, depth=9))
    assert value["k8"][2][1][0] == value["k6"][0]
