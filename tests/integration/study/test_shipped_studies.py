"""The studies and design spaces that vlmkit ships are such, and published scores are those of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit.study.designs import load_space
from vlmkit.study.rows import load_study

SPECS = Path(__file__).parents[3] / "specs"
STUDIES, DESIGNS = (sorted((SPECS / name).glob("*.yaml")) for name in ("studies", "designs"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_they_are_studies_of_their_name(file: Path) -> None:
    study = load_study(file)
    assert study.spec.study == file.stem
    assert len(study.runs) == len(study.rows) * len(study.spec.seeds)


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
