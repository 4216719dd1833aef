"""The study of systems on moving shapes is on equal footing, and every row of it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vlmkit import runner
from vlmkit.model import VideoLM, compose
from vlmkit.spec.loading import load_spec, resolved
from vlmkit.study.rows import load_study
from vlmkit.study.study_plan import plan_study
from vlmkit.study.variance_components import PowerAssumptions
from vlmkit.training.metrics import METRICS, read_metrics

STUDY = load_study(Path(__file__).parents[3] / "specs" / "studies" / "moving-shapes-systems.yaml")
ROWS = {row.name: row.experiment for row in STUDY.rows}
SIDES = {"base": "stab", "eve-star": "eve", "eve-v2": "eve-v2", "neo": "neo", "video-llava": "video-llava"}


def test_rows_differ_in_their_visual_part_and_the_rate_of_their_layers_alone() -> None:
    assert {name: spec.model.aligner.type for name, spec in ROWS.items()} == SIDES
    base = ROWS["base"].model_dump(mode="json")
    for name, spec in ROWS.items():
        other = spec.model_dump(mode="json")
        for stage in other["training"]["stages"]:
            assert (stage["train"].pop("layers", None) is None) == (
                spec.model.layers is None or stage["name"] == "language"
            )
        other["name"] = base["name"]
        other["model"].pop("layers", None)
        other["model"]["aligner"] = base["model"]["aligner"]
        assert other == base, name
        assert spec.training is not None
        assert spec.training.distillation is None


def test_they_see_the_same_frames_and_are_of_about_one_size() -> None:
    models = {name: compose(spec.model, meta=True)[0] for name, spec in ROWS.items()}
    sizes = {name: sum(value.numel() for value in model.aligner.parameters()) for name, model in models.items()}
    assert all(0.95 < size / sizes["base"] < 1.05 for size in sizes.values()), sizes
    shapes = {name: spec.model.aligner.input.shape(64, 64) for name, spec in ROWS.items()}
    assert {(shape.frames, shape.height, shape.width) for shape in shapes.values()} == {(4, 48, 48)}
    assert {name for name, model in models.items() if model.layers is not None} == {"eve-v2", "neo"}


def test_the_plan_counts_layers_with_the_visual_part() -> None:
    plan = plan_study(STUDY)
    rows = {row.label: row for row in plan.rows}
    neo = rows["NEO"].summary.parts
    assert rows["NEO"].summary.visual_parameters == neo["aligner"] + neo["layers"]
    lines = plan.text(PowerAssumptions(0.01, 0.1)).splitlines()
    assert lines[1].split()[:4] == ["row", "visual", "part", "tokens"]
    assert next(line for line in lines if "NEO" in line).split()[1] == f"{neo['aligner'] + neo['layers']:,}"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ROWS)
def test_every_row_trains_its_visual_part_and_its_layers(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two steps of each stage on six clips."""
    root = str(tmp_path_factory.getbasetemp() / "systems-clips")
    data = {"type": "moving-shapes", "clips": 6, "size": 48, "root": root, "questions_per_clip": 2}
    short: dict[str, Any] = {"data.cache_mib": 10, "training.precision": "float32", "training.log_every": 1}
    for stage in ("language", "align", "together"):
        few = {"data": [{**data, "text_only": stage == "language"}], "steps": 2, "batch_size": 4}
        short |= {f"training.stages.{stage}.{key}": value for key, value in few.items()}
    (tmp_path / "spec.yaml").write_text(resolved(ROWS[name]))
    spec = load_spec(tmp_path / "spec.yaml", set=short)
    run = runner.train(spec, tmp_path)
    losses = [line.language_loss for line in read_metrics(run.stage(3, "together") / METRICS)]
    assert len(losses) == 2
    start, _ = compose(spec.model, seed=spec.seed)
    trained = VideoLM.from_pretrained(run.model).state_dict()
    moved = {key.split(".")[0] for key, value in start.state_dict().items() if not trained[key].equal(value)}
    assert moved == {"aligner", "backbone"} | ({"layers"} if spec.model.layers else set())
