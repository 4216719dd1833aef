"""A design space becomes designs: ranges, limits, samples, misfits, the front, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit.errors import SpecError
from vlmkit.spec.loading import load_spec
from vlmkit.spec.study_files import is_study
from vlmkit.study.designs import costs_of, explore, load_space
from vlmkit.study.rows import load_study
from vlmkit.study.survivors import write_study
from vlmkit.summary import summarize

from .test_rows import BASE

SPACE: dict[str, Any] = {
    "vlmkit": 1,
    "design": "small",
    "base": "tiny.yaml",
    "ranges": {"model.aligner.width": [16, 32], "model.aligner.chunk_frames": [1, 2, 3]},
    "objectives": {"operations": "minimize", "parameters": "maximize"},
    "runs": {"set": {"training.stages.both.steps": 1}, "seeds": [1, 2]},
}


def write(folder: Path, **changes: Any) -> Path:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(BASE))
    file = folder / "space.yaml"
    file.write_text(yaml.safe_dump({**SPACE, **changes}, sort_keys=False))
    return file


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ([1, "a", {"type": "lsd"}], [1, "a", {"type": "lsd"}]),
        ({"from": 16, "to": 40, "step": 8}, [16, 24, 32, 40]),
        ({"from": 16, "to": 100, "factor": 2}, [16, 32, 64]),
        ({"from": 0.1, "to": 0.3, "step": 0.1}, [0.1, 0.2, 0.3]),
        ({"from": -2, "to": 0, "step": 1}, [-2, -1, 0]),
        ({"from": 1e-4, "to": 1e-2, "factor": 10}, [1e-4, 1e-3, 1e-2]),
        ({"from": 5, "to": 5, "step": 3}, [5]),
        ({"values": [1, 2]}, [1, 2]),
    ],
)
def test_a_range_is_a_list_or_steps(tmp_path: Path, said: Any, values: list[Any]) -> None:
    space = load_space(write(tmp_path, ranges={"model.aligner.width": said}))
    assert [one.data for one in space.values["model.aligner.width"]] == values
    assert [type(one.data) for one in space.values["model.aligner.width"]] == list(map(type, values))


def test_designs_are_every_combination_with_what_each_costs(tmp_path: Path) -> None:
    explored = explore(load_space(write(tmp_path)))
    assert [design.name for design in explored.designs] == [
        "width-16-chunk_frames-1", "width-16-chunk_frames-2", "width-32-chunk_frames-1", "width-32-chunk_frames-2"
    ]  # fmt: skip
    changes = {"model.aligner.width": 32, "model.aligner.chunk_frames": 1}
    assert explored.designs[2].changes == changes
    assert explored.designs[2].costs == costs_of(summarize(load_spec(tmp_path / "tiny.yaml", set=changes)))
    assert explored.base == costs_of(summarize(load_spec(tmp_path / "tiny.yaml")))


def test_what_does_not_fit_together_is_counted_with_its_reason(tmp_path: Path) -> None:
    explored = explore(load_space(write(tmp_path)))
    reason = "model.aligner: chunk_frames is 3, which does not divide 4 frames; take a divisor, or all"
    assert explored.misfits == {reason: 2}
    sizes = {"model.aligner.input.size": [32, 40, 56], "model.aligner.width": [16]}
    counted = explore(load_space(write(tmp_path, ranges=sizes))).misfits
    assert list(counted.values()) == [2]  # which differ in the size that they name


def test_limits_leave_designs_out(tmp_path: Path) -> None:
    costs = {design.name: design.costs for design in explore(load_space(write(tmp_path))).designs}
    most = costs["width-16-chunk_frames-2"]["parameters"]
    explored = explore(load_space(write(tmp_path, limits={"parameters": most})))
    assert {design.name for design in explored.designs} == {name for name in costs if costs[name]["parameters"] <= most}
    assert explored.beyond == {f"parameters above {most:,}": 2}
    least = explore(load_space(write(tmp_path, limits={"parameters": {"at_least": most + 1}})))
    assert {design.costs["parameters"] > most for design in least.designs} == {True}
    assert sum(least.beyond.values()) == 2


def test_the_front_follows_the_objectives(tmp_path: Path) -> None:
    smallest = explore(load_space(write(tmp_path, objectives={"parameters": "minimize"})))
    largest = explore(load_space(write(tmp_path, objectives={"parameters": "maximize"})))
    sizes = [design.costs["parameters"] for design in smallest.designs]
    assert {sizes[place] for place in smallest.front} == {min(sizes)}
    assert {sizes[place] for place in largest.front} == {max(sizes)}
    two = explore(load_space(write(tmp_path, survivors=1)))
    assert set(two.survivors) < set(two.front)


def test_a_sample_is_drawn_once_for_all(tmp_path: Path) -> None:
    ranges = {**SPACE["ranges"], "model.aligner.width": {"from": 16, "to": 16_000, "step": 16}}
    space = load_space(write(tmp_path, ranges=ranges, sample={"designs": 5, "seed": 3}))
    assert space.combinations == 3000
    assert len(set(space.drawn())) == 5
    assert space.drawn() == load_space(space.file).drawn()
    other = load_space(write(tmp_path, ranges=ranges, sample={"designs": 5, "seed": 4}))
    assert other.drawn() != space.drawn()
    assert load_space(write(tmp_path, sample={"designs": 100})).drawn() == list(range(6))


def test_astronomic_products_can_be_sampled(tmp_path: Path) -> None:
    ranges = {f"training.stages.align.key{number}": list(range(500)) for number in range(15)}
    space = load_space(write(tmp_path, ranges=ranges, sample={"designs": 10}))
    assert len(space.drawn()) == 10
    assert list(space.changes(space.drawn()[-1])) == list(ranges)


def test_survivors_are_a_study(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "small"
    ranges = {"model.aligner.width": [16, 32], "model.aligner.downsampler": ["lsd", {"type": "avg-pool", "window": 2}]}
    explored = explore(load_space(write(tmp_path, ranges=ranges, set={"model.aligner.fsra": False})))
    study = load_study(write_study(explored, folder / "study.yaml"))
    chosen = [explored.designs[place] for place in explored.survivors]
    assert [row.label for row in study.rows] == ["base", *(design.label for design in chosen)]
    assert (study.spec.seeds, study.spec.study) == ([1, 2], "small")
    for row, design in zip(study.rows[1:], chosen, strict=True):
        changes = {"model.aligner.fsra": False, "training.stages.both.steps": 1, **design.changes}
        wanted = load_spec(tmp_path / "tiny.yaml", set=changes)
        assert row.experiment.model == wanted.model
        assert row.experiment.training == wanted.training
        assert costs_of(summarize(row.experiment)) == design.costs


def test_a_shipped_base_is_named_as_it_was(tmp_path: Path) -> None:
    ranges = {"model.aligner.width": [64]}
    explored = explore(load_space(write(tmp_path, base="specs/quickstart.yaml", ranges=ranges, runs={"seeds": [1]})))
    assert load_study(write_study(explored, tmp_path / "elsewhere" / "study.yaml")).rows[0].label == "base"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ranges": {}}, "expected at least 1"),
        ({"ranges": {"model.aligner.width": {"from": 1, "to": 2}}}, "or the same with a factor"),
        (
            {"ranges": {"model.aligner.width": {"from": 1, "to": 2, "step": 1, "factor": 2}}},
            "or the same with a factor",
        ),
        ({"ranges": {"model.aligner.width": {"from": 3, "to": 2, "step": 1}}}, "exchange them"),
        ({"ranges": {"model.aligner.width": {"from": 0, "to": 2, "factor": 2}}}, "above 0 with a factor"),
        ({"ranges": {"model.aligner.width": {"from": 0, "to": 1e9, "step": 1e-3}}}, "make the step larger"),
        ({"ranges": {"model.aligner.width": 16}}, "expected a mapping"),
        ({"ranges": {"seed": [1, 2]}}, "the seed of a run is the study's"),
        ({"set": {"name": "mine"}}, "the name of a run is the study's"),
        ({"runs": {"set": {"seed": 3}, "seeds": [1]}}, "the seed of a run is the study's"),
        (
            {"ranges": {"a.b": list(range(200)), "a.c": list(range(200))}},
            "40,000 combinations, expected at most 10,000",
        ),
        ({"limits": {"token": 5}}, "tokens"),
        ({"limits": {"tokens": -5}}, "greater than or equal to 0"),
        ({"objectives": {"tokens": "min"}}, "minimize"),
        ({"objectivs": {}}, "did you mean 'objectives'"),
        ({"base": "tiny.yml"}, "there is no such spec file"),
        ({"ranges": {"model.aligner.widht": [16]}}, "none of 1 designs fits together.*did you mean 'width'"),
    ],
)
def test_what_is_wrong_with_a_space_is_one_message(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        explore(load_space(write(tmp_path, **changes)))


def test_problems_have_their_lines(tmp_path: Path) -> None:
    file = write(tmp_path, survivors="all")
    line = 1 + file.read_text().splitlines().index("survivors: all")
    with pytest.raises(SpecError, match=f"space.yaml:{line}: survivors: expected a whole number"):
        load_space(file)


def test_a_base_that_measures_nothing_is_told_before_anything_is_composed(tmp_path: Path) -> None:
    file = write(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({key: BASE[key] for key in BASE if key != "evaluation"}))
    with pytest.raises(SpecError, match="nothing to measure"):
        load_space(file)


@pytest.mark.parametrize(("key", "found"), [("study", "a study; `vlmkit ablate "), ("model", "an experiment")])
def test_other_files_are_no_design_spaces(tmp_path: Path, key: str, found: str) -> None:
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"vlmkit": 1, key: "x"}))
    with pytest.raises(SpecError, match=found):
        load_space(tmp_path / "other.yaml")


def test_a_design_space_is_no_study(tmp_path: Path) -> None:
    file = write(tmp_path)
    for read in (is_study, load_study):
        with pytest.raises(SpecError, match="found a design space; `vlmkit design"):
            read(file)
