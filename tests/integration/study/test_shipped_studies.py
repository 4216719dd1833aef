"""The studies and design spaces that vlmkit ships are such, and published scores are those of the paper."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit.spec.study import VariantSpec
from vlmkit.study.designs import load_space
from vlmkit.study.rows import load_study
from vlmkit.summary import summarize
from vlmkit_teachers.aligner_teacher import AlignerTeacherSpec

SPECS = Path(__file__).parents[3] / "specs"
STUDIES, DESIGNS = (sorted((SPECS / name).glob("*.yaml")) for name in ("studies", "designs"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_they_are_studies_of_their_name(file: Path) -> None:
    study = load_study(file)
    assert study.spec.study == file.stem
    equal = 1 if study.spec.study == "moving-shapes-tiny" else 0  # it shows that rows that are equal share their runs
    assert len(study.runs) == (len(study.rows) - equal) * len(study.spec.seeds)
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


def test_the_trained_aligner_that_teaches_is_that_of_the_study_of_modules() -> None:
    base, *_, row = load_study(SPECS / "studies" / "moving-shapes-table10.yaml").rows
    assert row.experiment.training is not None
    assert row.experiment.training.distillation is not None
    teacher = row.experiment.training.distillation.teacher
    assert isinstance(teacher, AlignerTeacherSpec)
    modules = load_study(SPECS / "studies" / "moving-shapes-table4.yaml")
    assert teacher.path == f"runs/{modules.spec.study}/{modules.runs[0].experiment.name}"
    assert teacher.aligner == modules.rows[0].experiment.model.aligner == base.experiment.model.aligner
    assert teacher.llm_width == base.experiment.model.backbone.width


PUBLISHED = {
    4: "table_4_stab_modules",
    5: "table_5_distillation_loss",
    7: "table_7_stage1_samples",
    8: "table_8_lsd_position",
    9: "table_9_downsampling",
    10: "table_10_teachers",
}
"""Tables of the paper, and what they are called in the file of its figures."""
PRINTED = {
    "Video-Panda": "Video-Panda",
    "w/o LSD (average pooling)": "w/o LSD (avg pool)",
    "after LSTE": "after LSTE (default)",
}
"""Labels that are other words than the paper's."""


@pytest.mark.parametrize(("number", "table"), PUBLISHED.items())
def test_published_scores_are_those_of_the_paper(number: int, table: str, shared: Path) -> None:
    paper: Any = yaml.safe_load((shared / "published" / "video-panda.yaml").read_text())
    names = [name.replace("_", "-").replace("tgif-qa", "tgif-frameqa") for name in paper[table]["columns"][1:]]
    printed = {name: dict(zip(names, scores, strict=True)) for name, *scores in paper[table]["rows"]}
    study = load_study(SPECS / "studies" / f"table{number}.yaml")
    ours = {
        PRINTED.get(row.label, row.label): {
            name: [round(100 * scores["accuracy"], 1), scores["score"]] for name, scores in row.said.published.items()
        }
        for row in study.rows
    }
    assert ours == printed
    evaluation = study.rows[0].experiment.evaluation
    assert evaluation is not None
    assert [use.result_name for use in evaluation.benchmarks] == names


@pytest.mark.parametrize("number", PUBLISHED)
def test_rows_of_the_paper_are_the_ablations_with_their_parameters(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row is a spec that runs alone too; the list of those says the same parameters and scores."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    text = (SPECS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(rf"^\| {number} \| [^|]+ \| ([\w-]+) \| ([\d,]+) \| (.+) \| (.+) \|$", text, re.MULTILINE)
    ours = []
    for row in load_study(SPECS / "studies" / f"table{number}.yaml").rows[1:]:
        assert isinstance(row.said, VariantSpec)
        assert row.said.spec is not None
        assert not row.said.set
        scores = [row.said.published[name] for name in ("msvd-qa", "activitynet-qa")]
        said = [f"{100 * one['accuracy']:.1f} / {one['score']:.1f}" for one in scores]
        ours.append((Path(row.said.spec).stem, f"{summarize(row.experiment).parts['aligner']:,}", *said))
    assert ours == listed
