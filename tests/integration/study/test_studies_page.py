"""docs/studies/README.md: its study is one that names every field, and its commands have the options that it says."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from vlmkit.cli import app
from vlmkit.spec.study import StudySpec
from vlmkit.study.rows import Study, load_study
from vlmkit.study.study_plan import plan_study
from vlmkit.study.variance_components import PowerAssumptions


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "studies" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example(page: str, tmp_path_factory: pytest.TempPathFactory) -> Study:
    section = page.partition("## The file\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^ {4}(.*)\n", section, re.MULTILINE)
    file = tmp_path_factory.mktemp("study") / "small-stabs.yaml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return load_study(file)


def test_the_example_is_a_study_with_every_field(example: Study) -> None:
    assert example.spec.model_fields_set == set(StudySpec.model_fields)
    assert [row.name for row in example.rows] == ["base", "without-fsra", "both-levels", "width-32", "width-96"]


def test_the_price_of_looking_early_is_as_said(page: str, example: Study) -> None:
    [said] = re.findall(r"4 of 5 studies rises from ([\d.]+) to ([\d.]+) points", page)
    plan = plan_study(example)
    patient = replace(example, spec=example.spec.model_copy(update={"stop_when": None}))
    chance = PowerAssumptions().components(plan.questions["moving-shapes"])
    found = [one.detectable("moving-shapes", chance) for one in (replace(plan, study=patient), plan)]
    assert said == tuple(f"{100 * points:.1f}" for points in found if points is not None)


def test_the_commands_have_the_options_that_the_page_says(page: str) -> None:
    commands = re.findall(r"^ {4}vlmkit (.*)$", page.replace("\\\n", ""), re.MULTILINE)
    assert len(commands) > 10
    group = typer.main.get_command(app)
    for line in commands:
        name, *words = shlex.split(line, comments=True)
        context = group.make_context("vlmkit", [name, *words])
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        command.make_context(name, words, parent=context)
