"""The shipped specs: each composes on the meta device to the parameters and tokens that its paper implies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from vlmkit.cli import app
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec
from vlmkit.summary import summarize
from vlmkit_stab.spec import StabSpec

ROOT = Path(__file__).resolve().parents[2]
STAB = 45_066_578
VICUNA = 6_738_415_616


class Expected(NamedTuple):
    """Parameters of the aligner, tokens of a square, 4:3, 16:9 and 9:16 video, parameters of the teacher,
    of the language model, and of the layers inside it."""

    aligner: int
    tokens: tuple[int, int, int, int] = (2184, 1640, 1232, 1288)
    teacher: int | None = 404_187_136
    backbone: int = VICUNA
    layers: int | None = None


SYSTEMS = {
    "video-panda-7b": Expected(STAB),
    "eve-star-7b": Expected(29_982_720),
    "video-chatgpt-7b": Expected(307_378_176, (356,) * 4, None),
    "video-llava-7b": Expected(425_166_848, (2056,) * 4, None),
    "pllava-7b": Expected(324_487_168, (2304,) * 4, None),
    "chat-univi-7b": Expected(307_378_176, (448,) * 4, None),
    "video-llama-7b": Expected(1_113_163_648, (32,) * 4, None),
    "video-chat-7b": Expected(1_296_599_296, (96,) * 4, None),
    "llama-adapter-7b": Expected(364_427_008, (0,) * 4, None, VICUNA, 1_269_760 + 1024 + 1_097_728),
    "llama-vid-7b": Expected(1_202_972_544, (2048,) * 4, None),
    "llama-vid-7b-long": Expected(1_202_972_544, (16384,) * 4, None),
    "video-chat2-7b": Expected(475_823_872, (96,) * 4, None),
    "eve-v2-7b": Expected(15_478_272, (241, 316, 232, 241), None, 7_615_616_512, 6_525_618_176),
    "neo-2b": Expected(9_178_112, (14400, 13056, 14080, 14080), None, 1_720_574_976, 855_700_480),
    "neo-9b": Expected(17_568_768, (14400, 13056, 14080, 14080), None, 8_190_735_360, 2_038_493_184),
}
ABLATIONS = {
    "table4-without-rows": Expected(45_065_554, (2056, 1544, 1160, 1160)),
    "table4-without-fsra": Expected(40_865_106),
    "table4-without-lsd": Expected(40_867_154),
    "table4-without-lste": Expected(43_634_688),
    "table4-without-gstra": Expected(32_466_258),
    "table4-without-gstra-lste": Expected(32_466_258 + 43_634_688 - STAB),
    "table5-mse": Expected(STAB),
    "table5-without-distillation": Expected(STAB, teacher=None),
    "table7-all-pairs": Expected(STAB),
    "table8-before-lste": Expected(STAB),
    "table9-half-resolution": Expected(40_867_154),
    "table9-perceiver": Expected(51_623_250, (2184,) * 4),
    "table10-clip": Expected(STAB, teacher=303_179_776),
    "table10-dinov2": Expected(STAB, teacher=304_368_640),
    "table10-internvideo": Expected(STAB, teacher=1_012_224_640),
}


def _file(name: str) -> Path:
    return ROOT / "specs" / ("ablations" if name in ABLATIONS else ".") / f"{name}.yaml"


def _panda() -> ExperimentSpec:
    return load_spec(_file("video-panda-7b"))


def _changed(name: str) -> dict[str, tuple[object, object]]:
    """Dotted keys in which an ablation differs from video-panda-7b: what it was and what it is."""
    before, after = (_flat(spec.model_dump(mode="json")) for spec in (_panda(), load_spec(_file(name))))
    keys = sorted(before.keys() | after.keys())
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _flat(value: object, path: str = "") -> dict[str, object]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return {path: value}
    return {key: leaf for name, below in items for key, leaf in _flat(below, f"{path}.{name}".lstrip(".")).items()}


@pytest.mark.parametrize("name", [*SYSTEMS, *ABLATIONS])
def test_parameters_and_tokens(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    spec, expected = load_spec(_file(name)), (SYSTEMS | ABLATIONS)[name]
    summary = summarize(spec)
    assert spec.name == name
    assert summary.parts["aligner"] == expected.aligner
    assert summary.parts["backbone"] == expected.backbone
    assert summary.parts.get("layers") == expected.layers
    assert summary.parts.get("teacher") == expected.teacher
    assert tuple(summary.tokens.values()) == expected.tokens
    assert all(stage.trains for stage in summary.stages)


def test_llama_adapter_trains_prompts_and_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the gates of the layer that reads no prompts, one for each of 32 heads, which nothing can train."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    summary = summarize(load_spec(_file("llama-adapter-7b")))
    assert [sum(stage.trains.values()) for stage in summary.stages] == [61_731_584 - 32, 1_363_968]
    assert summary.prompts == 10
    done = CliRunner().invoke(app, ["check", str(_file("llama-adapter-7b"))])
    assert "  and 10 prompts, which its layers read\n" in done.output


def test_every_file_is_expected_here() -> None:
    found = {file.stem for file in (ROOT / "specs").rglob("*.yaml") if file.parent.name not in ("designs", "studies")}
    assert found == {"quickstart", "moving-shapes-long", "moving-shapes-study", *SYSTEMS, *ABLATIONS}


def test_hyperparameters_of_table_6() -> None:
    spec = _panda()
    assert spec.training is not None
    stages = spec.training.stages
    assert [stage.batch_size for stage in stages] == [2048, 2048, 1024]
    assert [stage.train["aligner"] for stage in stages] == [4e-4, 4e-5, 2e-5]
    assert [stage.train.get("backbone") for stage in stages] == [None, 4e-5, 2e-5]
    assert [stage.warmup for stage in stages] == [0.03, 0.01, 0.01]
    assert {(s.schedule, s.weight_decay, s.epochs, s.max_grad_norm) for s in stages} == {("cosine", 0.0, 1.0, None)}
    assert [stage.fraction for stage in stages] == [0.5, 1.0, 1.0]
    assert (spec.training.engine.type, spec.training.engine.zero) == ("deepspeed", 2)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("table4-without-rows", "model.aligner.row_tokens", False),
        ("table5-mse", "training.distillation.loss", "mse"),
        ("table7-all-pairs", "training.stages.0.fraction", 1.0),
        ("table8-before-lste", "model.aligner.downsampler_position", "before-lste"),
    ],
)
def test_ablation_changes_one_thing(name: str, key: str, value: object) -> None:
    changed = _changed(name)
    assert changed.keys() == {"name", key}
    assert changed[key][1] == value


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablation_changes_what_its_table_is_about(name: str) -> None:
    about = {
        "4": ("model.aligner",),
        "5": ("training.distillation", "training.stages"),
        "7": ("training.stages.0.fraction",),
        "8": ("model.aligner.downsampler_position",),
        "9": ("model.aligner.downsampler.",),
        "10": ("training.distillation.teacher.",),
    }
    number = name.removeprefix("table").partition("-")[0]
    assert all(key == "name" or key.startswith(about[number]) for key in _changed(name))


def test_without_distillation_nothing_else_changes() -> None:
    changed = _changed("table5-without-distillation")
    rates = {f"training.stages.{stage}.train.distillation" for stage in range(3)}
    rest = {key for key in changed if not key.startswith("training.distillation")}
    assert rest == {"name", *rates}
    assert all(changed[rate][1] is None for rate in rates)


def test_switches_of_table_4() -> None:
    aligners = {name: load_spec(_file(name)).model.aligner for name in ABLATIONS}
    assert all(isinstance(aligner, StabSpec) for aligner in aligners.values())
    off = {
        name.removeprefix("table4-without-"): [s for s in ("row_tokens", "fsra", "lste", "gstra") if not aligner[s]]
        for name, spec in aligners.items()
        if name.startswith("table4") and (aligner := spec.model_dump())
    }
    assert off == {
        "rows": ["row_tokens"],
        "fsra": ["fsra"],
        "lsd": [],
        "lste": ["lste"],
        "gstra": ["gstra"],
        "gstra-lste": ["lste", "gstra"],
    }


def test_readme_lists_every_ablation_with_its_parameters() -> None:
    text = (ROOT / "specs" / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"\| (table\d+-[\w-]+) \| ([\d,]+) \|", text))
    assert listed == {name: f"{expected.aligner:,}" for name, expected in ABLATIONS.items()}
    assert all(f"[{name}.yaml]({name}.yaml)" in text for name in SYSTEMS)
