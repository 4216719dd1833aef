"""Checksums and counts that the user has pinned."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from vlmkit.benchmarks.pins import Pin, add_pins, pins_file
from vlmkit.errors import DataError
from vlmkit.evaluation import find_benchmark, prepare_benchmark
from vlmkit.spec.evaluation import BenchmarkUse


@pytest.fixture(autouse=True)
def own_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the pins."""
    file = tmp_path / "config" / "own.yaml"
    monkeypatch.setenv("VLMKIT_PINS", str(file))
    return file


@pytest.fixture
def unpinned(tiny: SimpleNamespace) -> str:
    """The checksum of the annotation file of `tiny`, whose entry now states neither it nor a count."""
    tiny.write(splits={"test": {"files": [{"name": "questions.json", "source": "x"}]}})
    return hashlib.sha256(tiny.annotations.read_bytes()).hexdigest()


def test_the_file_stands_where_configuration_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLMKIT_PINS")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/xdg")
    assert pins_file() == Path("/etc/xdg/vlmkit/pins.yaml")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert pins_file() == Path.home() / ".config" / "vlmkit" / "pins.yaml"


def test_a_pin_is_verified(unpinned: str, tiny: SimpleNamespace, clips: Path, own_pins: Path) -> None:
    assert add_pins("tiny", {"test": Pin(questions=12, files={"questions.json": unpinned})}) == own_pins
    _, split = find_benchmark("tiny").split(None)
    assert (split.questions, split.videos, split.files[0].sha256) == (12, None, unpinned)
    use = BenchmarkUse(name="tiny", annotation_root=str(tiny.annotations.parent), video_root=str(clips))
    assert len(prepare_benchmark(use).documents) == 12
    tiny.annotations.write_text("[]")
    with pytest.raises(DataError, match=rf"not the registered annotation file: expected sha256 {unpinned}"):
        prepare_benchmark(use)


def test_pins_of_other_splits_and_benchmarks_stay(tiny: SimpleNamespace) -> None:
    first, second = Pin(questions=1), Pin(videos=2)
    for name, pins in (("tiny", {"val": first}), ("other", {"test": first}), ("tiny", {"test": second})):
        add_pins(name, pins)
    add_pins("tiny", {"val": second})
    text = pins_file().read_text()
    assert text.count("questions: 1") == 1, "of the other benchmark"
    assert text.count("videos: 2") == 2


def test_what_an_entry_says_no_pin_changes(tiny: SimpleNamespace) -> None:
    before = find_benchmark("tiny")
    add_pins("tiny", {"test": Pin(questions=3, files={"questions.json": "0" * 64})})
    assert find_benchmark("tiny").splits == before.splits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tiny: [", r"own\.yaml:1: not valid YAML"),
        ("tiny: {test: {files: {a.json: abc}}}", r"tiny\.test\.files\.a\.json: expected 64 hexadecimal digits"),
        ("tiny: {test: {question: 3}}", r"tiny\.test\.question: "),
        ("tiny: {test: {questions: true}}", r"tiny\.test\.questions: expected a whole number; found true"),
    ],
)
def test_a_file_that_somebody_has_edited(own_pins: Path, tiny: SimpleNamespace, text: str, message: str) -> None:
    own_pins.parent.mkdir()
    own_pins.write_text(text)
    with pytest.raises(DataError, match=message):
        find_benchmark("tiny")
