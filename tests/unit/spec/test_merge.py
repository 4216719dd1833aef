"""`extends` and dotted overrides."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmkit.errors import SpecError
from vlmkit.spec.merge import apply, read_extended


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        "base.yaml",
        "model:\n  aligner: {type: stab, width: 64, downsampler: lsd}\n"
        "training:\n  stages:\n    - {name: one, steps: 1}\n    - {name: two, steps: 2}\n",
    )


def test_extends_merges_mappings_and_replaces_the_rest(tmp_path: Path, base: Path) -> None:
    over = write(tmp_path, "over.yaml", "extends: base.yaml\nmodel:\n  aligner: {width: 32}\ntraining: {stages: []}\n")
    document = read_extended(over)
    assert document.data["model"]["aligner"] == {"type": "stab", "width": 32, "downsampler": "lsd"}
    assert document.data["training"]["stages"] == []
    assert document.origins["model", "aligner", "width"] == f"{over}:3"
    assert document.origins["model", "aligner", "downsampler"] == f"{base}:2"


def test_another_type_drops_the_options_of_the_old_one(tmp_path: Path, base: Path) -> None:
    over = write(tmp_path, "over.yaml", "extends: base.yaml\nmodel: {aligner: {type: eve}}\n")
    assert read_extended(over).data["model"]["aligner"] == {"type": "eve"}


def test_a_bare_name_is_a_type(base: Path) -> None:
    document = read_extended(base)
    apply(document, "model.aligner", "eve")
    assert document.data["model"]["aligner"] == {"type": "eve"}


def test_the_same_bare_name_keeps_the_options(base: Path) -> None:
    document = read_extended(base)
    apply(document, "model.aligner", "stab")
    assert document.data["model"]["aligner"]["width"] == 64


def test_an_option_below_a_bare_name(base: Path) -> None:
    document = read_extended(base)
    apply(document, "model.aligner.downsampler.heads", 4)
    assert document.data["model"]["aligner"]["downsampler"] == {"type": "lsd", "heads": 4}


def test_items_of_a_list_by_name_and_by_index(base: Path) -> None:
    document = read_extended(base)
    apply(document, "training.stages.two.steps", 20)
    apply(document, "training.stages.0.steps", 10)
    assert [stage["steps"] for stage in document.data["training"]["stages"]] == [10, 20]
    assert document.origins["training", "stages", 1, "steps"] == "--set training.stages.two.steps"


def test_an_override_of_something_unset_makes_the_way(base: Path) -> None:
    document = read_extended(base)
    apply(document, "model.aligner.input.frames", 4)
    assert document.data["model"]["aligner"]["input"] == {"frames": 4}


@pytest.mark.parametrize(
    ("dotted", "message"),
    [
        ("training.stages.tow.steps", r"'tow' names no item of .*\.stages; did you mean 'two'\? items: one, two"),
        ("training.stages.7.steps", "names no item of the list training.stages; items: one, two"),
        ("model.aligner.width.x", "model.aligner.width is 64, which has nothing below it"),
    ],
)
def test_an_override_that_leads_nowhere(base: Path, dotted: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        apply(read_extended(base), dotted, 1)


def test_extends_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "extends: b.yaml\n")
    with pytest.raises(SpecError, match="goes in a circle"):
        read_extended(write(tmp_path, "b.yaml", "extends: a.yaml\n"))


def test_extends_of_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"a\.yaml:1: `extends: gone.yaml`: there is no file"):
        read_extended(write(tmp_path, "a.yaml", "extends: gone.yaml\n"))
