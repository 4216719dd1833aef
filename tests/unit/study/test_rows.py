"""A study file becomes rows and runs: overrides, grids, shared runs, and one message for all that is wrong."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit.cli import main
from vlmkit.errors import SpecError
from vlmkit.spec.identity import stage_identity
from vlmkit.spec.loading import load_spec
from vlmkit.study.rows import load_study

VIDEO = {"frames": 4, "size": 32, "multiple": 16}
DATA = [{"type": "moving-shapes", "clips": 4}]
BASE: dict[str, Any] = {
    "vlmkit": 1,
    "name": "tiny",
    "model": {
        "aligner": {"type": "stab", "width": 16, "heads": 2, "patch": 8, "input": VIDEO},
        "backbone": {
            "type": "hf-causal-lm",
            "init": "random",
            "config": {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
            "tokenizer": {"text": ["a red circle"]},
        },
    },
    "training": {
        "stages": [
            {"name": "align", "data": DATA, "train": {"aligner": 1e-3}, "steps": 2},
            {"name": "both", "data": DATA, "train": {"aligner": 1e-3, "backbone": 1e-3}, "steps": 3},
        ]
    },
    "evaluation": {"benchmarks": ["moving-shapes"]},
}
STUDY: dict[str, Any] = {
    "vlmkit": 1,
    "study": "parts",
    "base": "tiny.yaml",
    "seeds": [3, 5],
    "variants": [
        {"name": "without-fsra", "label": "w/o FSRA", "set": {"model.aligner.fsra": False}},
        {"name": "pooled", "set": {"model.aligner.downsampler": {"type": "avg-pool", "window": 2}}},
    ],
}


def _published(benchmark: str, metric: str) -> dict[str, Any]:
    base = {"spec": "tiny.yaml", "published": {benchmark: {metric: 0.5}}}
    return {"base": base, "published": {"source": "a paper"}}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"variants": []}, "give `variants` or `grid`"),
    ({"seeds": [1, 1]}, "seed 1 stands there twice"),
    ({"variants": [{"name": "base", "set": {"x": 1}}]}, "2 rows are called 'base'"),
    ({"variants": [{"name": "a", "set": {"seed": 1}}]}, "the seed of a run is the study's"),
    ({"variants": [{"name": "same"}]}, "changes nothing"),
    ({"variantss": []}, "did you mean 'variants'"),
    ({"base": "tiny.yml"}, "there is no such spec file"),
    ({"base": {"spec": "tiny.yaml", "published": {"moving-shapes": {"accuracy": 0.5}}}}, "where they come from"),
    ({"seeds": [2**40]}, r"seeds\.0: expected a number less than 4294967296; found 1099511627776"),
    ({"seeds": [True]}, r"seeds\.0: expected a whole number"),
    ({"budget": {"hours": float("nan")}}, "expected a finite number"),
    ({"study": "../x"}, "expected lower-case letters"),
    ({"variants": [{"name": "a", "set": {"model.alinger.fsra": False}}]}, "unknown key alinger; did you mean"),
    ({"variants": [{"name": "a", "set": {"training.stages.nope.steps": 3}}]}, "names no item of the list"),
    ({"variants": [{"name": "a", "set": {"model.aligner.width": 10**30}}]}, r"model\.aligner\.width: expected"),
    ({"variants": [{"name": "a", "label": 3, "set": {"x": 1}}]}, r"variants\.0\.label: expected text; found 3"),
    ({"grid": {"model.aligner.width": {"a": 1}}}, "expected a list; found"),
    ({"grid": {"model.aligner.width": [16, 16]}}, "2 rows are called 'width-16'"),
    ({"base": "study.yaml"}, "unknown key study"),
    ({"benchmarks": ["moving-shape"]}, r"study\.yaml: there is no benchmark 'moving-shape'; did you mean"),
    ({"metrics": ["acuracy"]}, r"metrics: there is no \W*acuracy\W*; did you mean 'accuracy'"),
    (_published("moving-shape", "accuracy"), r"published\.moving-shape: it is not measured; did you mean"),
    (_published("moving-shapes", "acuracy"), r"published\.moving-shapes: there is no \W*acuracy\W*; did you mean"),
    ({"grid": {"model.aligner.width": list(range(100)), "seed": list(range(100))}}, "at most 1,000 rows"),
]
"""Changes to the study that make it wrong, and what is said."""


def write(folder: Path, **changes: Any) -> Path:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(BASE))
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False))
    return file


def test_each_row_is_the_base_with_its_changes(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, set={"training.stages.both.steps": 7}))
    assert [row.label for row in study.rows] == ["base", "w/o FSRA", "pooled"]
    base, without, pooled = (row.experiment for row in study.rows)
    changes = {"model.aligner.fsra": False, "training.stages.both.steps": 7, "seed": 3, "name": "without-fsra-seed3"}
    assert without == load_spec(tmp_path / "tiny.yaml", set=changes)
    assert (base.model.aligner.fsra, pooled.model.aligner.downsampler.type) == (True, "avg-pool")  # type: ignore[attr-defined]


def test_every_row_has_its_first_seed_before_any_has_its_second(tmp_path: Path) -> None:
    study = load_study(write(tmp_path))
    assert [run.experiment.name for run in study.runs] == [
        *("base-seed3", "without-fsra-seed3", "pooled-seed3"),
        *("base-seed5", "without-fsra-seed5", "pooled-seed5"),
    ]
    assert [run.seed for run in study.runs_of("pooled")] == [3, 5]


def test_rows_that_are_equal_share_their_runs(tmp_path: Path) -> None:
    again = {"name": "again", "set": {"model.aligner.fsra": True}}
    study = load_study(write(tmp_path, variants=[*STUDY["variants"], again]))
    assert len(study.rows) == 4
    assert len(study.runs) == 6
    assert study.runs[0].rows == ("base", "again")


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    grid = {"model.aligner.width": [16, 32], "model.aligner.downsampler": ["lsd", {"type": "avg-pool", "window": 2}]}
    study = load_study(write(tmp_path, variants=[], grid=grid, seeds=[1]))
    assert [row.name for row in study.rows] == [
        *("base", "width-16-downsampler-lsd", "width-16-downsampler-avg-pool"),
        *("width-32-downsampler-lsd", "width-32-downsampler-avg-pool"),
    ]
    assert study.rows[3].changes == {"model.aligner.width": 32, "model.aligner.downsampler": "lsd"}
    assert study.runs[0].rows == ("base", "width-16-downsampler-lsd")


def test_another_spec_takes_the_place_of_the_base(tmp_path: Path) -> None:
    other = {**BASE, "training": {"stages": BASE["training"]["stages"][1:]}}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    study = load_study(write(tmp_path, variants=[{"name": "other", "spec": "other.yaml"}]))
    assert [len(row.experiment.training.stages) for row in study.rows] == [2, 1]  # type: ignore[union-attr]


def test_benchmarks_of_the_study_are_those_of_all_rows(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, benchmarks=[{"name": "moving-shapes", "label": "scenes", "split": "scenes"}]))
    assert {row.experiment.evaluation.benchmarks[0].label for row in study.rows} == {"scenes"}  # type: ignore[union-attr]


def test_all_problems_of_all_rows_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    variants = [
        {"name": "a", "set": {"model.aligner.fsraa": False}},
        {"name": "b", "set": {"model.aligner.downsampler": "ldd"}},
    ]
    file = write(tmp_path, variants=variants)
    with pytest.raises(SpecError) as caught:
        load_study(file)
    lines = file.read_text().splitlines()
    message = str(caught.value)
    assert f"study.yaml:{1 + lines.index('    model.aligner.fsraa: false')}" in message
    assert f"study.yaml:{1 + lines.index('    model.aligner.downsampler: ldd')}" in message
    assert "did you mean" in message


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_what_is_wrong_with_a_study_is_one_message(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load_study(write(tmp_path, **changes))


def test_specs_that_extend_each_other_in_a_circle_are_told(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {other}.yaml\n")
    with pytest.raises(SpecError, match="goes in a circle"):
        load_study(write(tmp_path, base="a.yaml"))


def test_an_experiment_is_no_study(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(SpecError, match="found an experiment"):
        load_study(tmp_path / "tiny.yaml")


def test_a_stage_depends_on_what_comes_before_it_alone(tmp_path: Path) -> None:
    write(tmp_path)

    def stages(**changes: Any) -> list[str]:
        spec = load_spec(tmp_path / "tiny.yaml", set={key.replace("__", "."): value for key, value in changes.items()})
        return [stage_identity(spec, number) for number in (1, 2)]

    first, second = stages()
    assert first != second
    assert stages(name="other", evaluation={"benchmarks": ["msvd-qa"]}) == [first, second]
    later = stages(training__stages__both__steps=9)
    assert later[0] == first
    assert later[1] != second
    for change in ({"seed": 9}, {"training__stages__align__steps": 9}, {"model__aligner__fsra": False},
                   {"training__stages__both__train": {"aligner": 1e-3, "backbone.lm_head": 1e-3}}):  # fmt: skip
        assert stages(**change)[0] != first


NO_STUDIES = [
    *((yaml.safe_dump({**STUDY, **changes}).encode(), said) for changes, said in WRONG),
    (b"", "study.yaml"),
    (b"- a list\n", "study.yaml"),
    (b"study: [\n", "study.yaml"),
    (b"study: parts\nstudy: again\n", "study.yaml"),
    (b"a: &a [1]\nstudy: *b\n", "study.yaml"),
    (b"\xff\xfe\x00study", "study.yaml"),
    (b"study: parts\x00\n", "study.yaml"),
    (yaml.safe_dump({**STUDY, "vlmkit": 2}).encode(), "vlmkit"),
    (yaml.safe_dump({**STUDY, "base": [1]}).encode(), "base"),
    (yaml.safe_dump({**STUDY, "seeds": {}}).encode(), "seeds"),
    (yaml.safe_dump({**STUDY, "variants": {"a": 1}}).encode(), "variants"),
    (yaml.safe_dump({"study": "parts"}).encode(), "base"),
    (yaml.safe_dump({"design": "parts"}).encode(), "found a design space"),
]


@pytest.mark.parametrize("command", ["check", "ablate", "rank"])
@pytest.mark.parametrize(("content", "said"), NO_STUDIES)
def test_commands_end_with_one_message_about_a_malformed_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, content: bytes,
    said: str,
) -> None:  # fmt: skip
    file = write(tmp_path)
    file.write_bytes(content)
    words = ["vlmkit", command, str(file), "--output", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert told.out == ""
    assert "Traceback" not in told.err
    assert told.err.startswith("vlmkit: ")
    assert re.search(said, told.err)
    assert not (tmp_path / "runs").exists()
