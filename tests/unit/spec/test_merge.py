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
    spec = read_extended(over)
    assert spec.data["model"]["aligner"] == {"type": "stab", "width": 32, "downsampler": "lsd"}
    assert spec.data["training"]["stages"] == []
    assert spec.place_of(("model", "aligner", "width")) == f"{over}:3"
    assert spec.place_of(("model", "aligner", "downsampler")) == f"{base}:2"


def test_a_mapping_changes_items_of_a_list_by_name_and_by_index(tmp_path: Path, base: Path) -> None:
    text = "extends: base.yaml\ntraining:\n  stages:\n    two: {steps: 20}\n    0:\n      fraction: 0.5\n"
    over = write(tmp_path, "over.yaml", text)
    spec = read_extended(over)
    assert spec.data["training"]["stages"] == [
        {"name": "one", "steps": 1, "fraction": 0.5},
        {"name": "two", "steps": 20},
    ]
    assert spec.place_of(("training", "stages", 1, "steps")) == f"{over}:4"
    assert spec.place_of(("training", "stages", 0, "fraction")) == f"{over}:6"
    assert spec.place_of(("training", "stages", 0, "steps")) == f"{base}:5"
    last = read_extended(write(tmp_path, "last.yaml", "extends: over.yaml\ntraining: {stages: {one: {steps: 3}}}\n"))
    assert last.data["training"]["stages"][0] == {"name": "one", "steps": 3, "fraction": 0.5}


def test_lists_below_items_of_a_list(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "stages:\n  - name: one\n    data: [{type: a, size: 2}, {type: a, size: 3}]\n")
    over = write(tmp_path, "over.yaml", "extends: base.yaml\nstages:\n  one:\n    data:\n      1: {type: b, x: 1}\n")
    spec = read_extended(over)
    assert spec.data["stages"] == [{"name": "one", "data": [{"type": "a", "size": 2}, {"type": "b", "x": 1}]}]
    assert spec.place_of(("stages", 0, "data", 1, "x")) == f"{over}:5"
    assert spec.place_of(("stages", 0, "data", 1, "size")) == f"{over}:5"


def test_a_list_still_replaces_a_list(tmp_path: Path, base: Path) -> None:
    over = write(tmp_path, "over.yaml", "extends: base.yaml\ntraining: {stages: [{name: three}]}\n")
    assert read_extended(over).data["training"]["stages"] == [{"name": "three"}]
    assert base.is_file()


def test_a_mapping_that_names_no_item(tmp_path: Path, base: Path) -> None:
    over = write(tmp_path, "over.yaml", "extends: base.yaml\ntraining:\n  stages:\n    tow: {steps: 2}\n")
    with pytest.raises(SpecError, match=r"over\.yaml:4: 'tow' names no item .*stages; did you mean 'two'\? items: one"):
        read_extended(over)
    spec = read_extended(base)
    with pytest.raises(SpecError, match=r"--set training: 'tow' names no item of the list training\.stages"):
        apply(spec, "training", {"stages": {"tow": {"steps": 2}}})


def test_a_mapping_over_a_list_from_the_command_line(base: Path) -> None:
    spec = read_extended(base)
    spec = apply(spec, "training", {"stages": {"two": {"steps": 9}}})
    spec = apply(spec, "training.stages", {0: {"steps": 8}})
    assert [stage["steps"] for stage in spec.data["training"]["stages"]] == [8, 9]


def test_another_type_drops_the_options_of_the_old_one(tmp_path: Path, base: Path) -> None:
    over = write(tmp_path, "over.yaml", "extends: base.yaml\nmodel: {aligner: {type: eve}}\n")
    assert read_extended(over).data["model"]["aligner"] == {"type": "eve"}


def test_a_bare_name_is_a_type(base: Path) -> None:
    spec = read_extended(base)
    spec = apply(spec, "model.aligner", "eve")
    assert spec.data["model"]["aligner"] == {"type": "eve"}


def test_the_same_bare_name_keeps_the_options(base: Path) -> None:
    spec = read_extended(base)
    spec = apply(spec, "model.aligner", "stab")
    assert spec.data["model"]["aligner"]["width"] == 64


def test_an_option_below_a_bare_name(base: Path) -> None:
    spec = read_extended(base)
    spec = apply(spec, "model.aligner.downsampler.heads", 4)
    assert spec.data["model"]["aligner"]["downsampler"] == {"type": "lsd", "heads": 4}


def test_items_of_a_list_by_name_and_by_index(base: Path) -> None:
    spec = read_extended(base)
    spec = apply(spec, "training.stages.two.steps", 20)
    spec = apply(spec, "training.stages.0.steps", 10)
    assert [stage["steps"] for stage in spec.data["training"]["stages"]] == [10, 20]
    assert spec.place_of(("training", "stages", 1, "steps")) == "--set training.stages.two.steps"


def test_an_override_of_something_unset_makes_the_way(base: Path) -> None:
    spec = read_extended(base)
    spec = apply(spec, "model.aligner.input.frames", 4)
    assert spec.data["model"]["aligner"]["input"] == {"frames": 4}


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
    with pytest.raises(SpecError, match=r"a\.yaml:1: `extends`: gone\.yaml: there is no such spec file seen from"):
        read_extended(write(tmp_path, "a.yaml", "extends: gone.yaml\n"))


def test_extends_of_a_shipped_file(tmp_path: Path) -> None:
    values = read_extended(write(tmp_path, "a.yaml", "extends: quickstart.yaml\nname: mine\n")).data
    assert values["name"] == "mine"
    assert values["model"]["aligner"]["type"] == "stab"


def test_a_file_beside_goes_before_a_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, "quickstart.yaml", "name: beside\n")
    assert read_extended(write(tmp_path, "a.yaml", "extends: quickstart.yaml\n")).data == {"name": "beside"}
