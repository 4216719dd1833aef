"""The studies and design spaces that vlmkit ships are such, and published scores are those of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit.study.designs import load_space
from vlmkit.study.rows import load_study
from vlmkit.summary import summarize

SPECS = Path(__file__).parents[3] / "specs"
STUDIES, DESIGNS = (sorted((SPECS / name).glob("*.yaml")) for name in ("studies", "designs"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_they_are_studies_of_their_name(file: Path) -> None:
    study = load_study(file)
    assert study.spec.study == file.stem
    assert len(study.runs) == len(study.rows) * len(study.spec.seeds)
    assert f"(studies/{file.name})" in (SPECS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [4, 5, 7, 8, 9, 10])
def test_rows_on_moving_shapes_have_equal_steps_and_tokens(number: int) -> None:
    """But for what their table is about: row tokens in 4, the first stage of the aligner in 7."""
    study = load_study(SPECS / "studies" / f"moving-shapes-table{number}.yaml")
    steps, tokens = {}, {}
    for row in study.rows:
        training = row.experiment.training
        assert training is not None
        steps[row.name] = [stage.steps for stage in training.stages]
        tokens[row.name] = summarize(row.experiment).tokens["square"]
    different = {name for name in steps if (steps[name], tokens[name]) != (steps["base"], tokens["base"])}
    assert different == {4: {"without-rows"}, 7: {"all-clips"}}.get(number, set())
    assert tokens["base"] == 4 * (1 + 3 * (3 + 1))


@pytest.mark.parametrize("file", DESIGNS, ids=lambda file: file.stem)
def test_they_are_design_spaces_of_their_name(file: Path) -> None:
    space = load_space(file)
    assert space.spec.design == file.stem
    assert space.drawn()
    assert f"(designs/{file.name})" in (SPECS / "README.md").read_text(encoding="utf-8")


def test_table_4_has_the_scores_of_the_paper(root: Path, shared: Path) -> None:
    paper: Any = yaml.safe_load((shared / "published" / "video-panda.yaml").read_text())
    printed = {name: dict(zip(("msvd-qa", "activitynet-qa"), scores, strict=True))
               for name, *scores in paper["table_4_stab_modules"]["rows"]}  # fmt: skip
    rows = load_study(root / "specs" / "studies" / "table4.yaml").rows
    ours = {
        row.label.replace("(average pooling)", "(avg pool)"): {
            name: [round(100 * scores["accuracy"], 1), scores["score"]] for name, scores in row.said.published.items()
        }
        for row in rows
    }
    assert ours == printed
