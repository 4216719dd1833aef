"""Released systems whose weights lie in several checkpoints: all of them together make the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from vlmkit.checkpoints import ImportReport, import_checkpoint
from vlmkit.checkpoints.formats import import_state_dict, published_format, published_part
from vlmkit.cli import app
from vlmkit.errors import CheckpointError
from vlmkit.model import compose, load
from vlmkit.spec.experiment import ExperimentSpec

State = dict[str, Tensor]
Maker = Callable[..., ExperimentSpec]
FORMS = ("video-chat", "video-llama")
TINY = {
    "input": {"frames": 4, "size": 28},
    "encoder": {"type": "eva-clip-g", "width": 16, "layers": 2, "heads": 2, "mlp": 32, "image_size": 28},
    "qformer": {"queries": 3, "layers": 2, "width": 16, "heads": 2, "mlp": 32},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "video-chat": {**TINY, "gmhra": {"layers": 1, "heads": 2, "mlp": 32}, "extra_queries": 2},
    "video-llama": {**TINY, "video_qformer": {"queries": 3, "width": 16, "heads": 2, "mlp": 32}, "frame_table": 6},
}
OURS = {
    "encoder.": ("eva", ""),
    "query_tokens": ("blip2", "query_tokens"),
    "qformer.": ("blip2", "Qformer.bert."),
    "norm.": ("blip2", "ln_vision."),
    "projector.": ("", "llama_proj."),
    "video_query_tokens": ("", "video_query_tokens"),
    "frame_positions.": ("", "video_frame_position_embedding."),
    "video_qformer.": ("", "video_Qformer.bert."),
    "extra_query_tokens": ("", "extra_query_tokens"),
    "gmhra.token": ("", "visual_encoder.gmhra_cls_token"),
    "gmhra.blocks.": ("", "visual_encoder.gmhra."),
}
"""Beginnings of our names in the aligner: where they are published, and under which."""
UNUSED: dict[str, State] = {
    "eva": {"blocks.39.norm1.weight": torch.ones(2), "head.weight": torch.ones(2), "norm.bias": torch.ones(2)},
    "blip2": {
        "Qformer.bert.embeddings.position_ids": torch.arange(4)[None],
        "Qformer.bert.embeddings.word_embeddings.weight": torch.ones(2, 2),
        "Qformer.bert.encoder.layer.0.intermediate.dense.weight": torch.ones(2, 2),
        "Qformer.cls.predictions.bias": torch.ones(2),
        "t5_proj.weight": torch.ones(2, 2),
    },
    "llm": {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)},
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def experiment_of(make_experiment: Maker) -> Callable[[str], ExperimentSpec]:
    """An experiment of a toy size of the system."""

    def make(form: str) -> ExperimentSpec:
        plain = make_experiment().model_dump(mode="json", exclude_unset=True)
        plain["model"]["aligner"] = {"type": form, **OPTIONS[form]}
        return ExperimentSpec.model_validate({**plain, "training": None})

    return make


@pytest.fixture
def parts(form: str, experiment_of: Any) -> dict[str, State]:
    """The states of all checkpoints, under published names."""
    model, _ = compose(experiment_of(form).model, seed=7)
    found: dict[str, State] = {"": {}, "eva": {}, "blip2": {}, "llm": {}}
    for name, value in model.state_dict().items():
        value = value + 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name)))
        if name.startswith("backbone."):
            found["llm"][name.removeprefix("backbone.")] = value
            continue
        name = name.removeprefix("aligner.")
        begin = next(begin for begin in OURS if name.startswith(begin))
        part, published = OURS[begin]
        if form == "video-chat" and begin == "norm.":
            found[""][name.replace(begin, published, 1)] = value
        found[part][name.replace(begin, published, 1)] = value
    if form == "video-chat":
        found["blip2"] |= {name: value + 1 for name, value in found["blip2"].items() if name.startswith("ln_vision")}
    return {part: state | UNUSED.get(part, {}) for part, state in found.items()}


def written(folder: Path, parts: dict[str, State]) -> tuple[Path, dict[str, Path]]:
    """The released file, and the others by the names of their parts."""
    folder.mkdir()
    files = {part: folder / f"{part or 'released'}.pth" for part in parts}
    for part, state in parts.items():
        if part == "llm":
            files[part] = folder / "llm"
            files[part].mkdir()
            torch.save(state, files[part] / "pytorch_model.bin")
            (files[part] / "config.json").write_text(json.dumps({"hidden_size": 32}))
        else:
            torch.save({"model": state}, files[part])
    return files.pop(""), files


@pytest.fixture
def importing(form: str, experiment_of: Any, tmp_path: Path) -> Callable[[dict[str, State]], ImportReport]:
    def run(parts: dict[str, State]) -> ImportReport:
        source, others = written(tmp_path / "released", parts)
        return import_checkpoint(form, source, tmp_path / "out", parts=others, spec=experiment_of(form))

    return run


def test_every_weight_arrives(form: str, importing: Any, parts: dict[str, State], tmp_path: Path) -> None:
    report = importing(parts)
    model, _ = load(tmp_path / "out")
    expected: State = {}
    for part, state in parts.items():
        expected |= import_state_dict(form, state, part)
    own = model.state_dict()
    assert own.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in own.items())
    assert report.counts()["fresh"] == 0
    written = json.loads((tmp_path / "out" / "import.json").read_text())
    assert written["parts"].keys() == {"eva", "blip2", "llm"}
    fates = {(key.get("part", ""), key["name"]): key["fate"] for key in written["keys"]}
    assert fates.keys() == {(part, name) for part, state in parts.items() for name in state}
    dropped = {(part, name) for part, state in UNUSED.items() for name in state}
    norms = {("blip2", f"ln_vision.{name}") for name in ("weight", "bias")} if form == "video-chat" else set()
    assert {key for key, fate in fates.items() if fate == "dropped"} == dropped | norms


def test_parts_that_are_not_given_are_asked_for(importing: Any, parts: dict[str, State], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        importing({"": parts[""], "llm": parts["llm"]})
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 2
    assert lines[0].startswith(f"  missing: {len(parts['eva']) - 3} weights of EVA-CLIP's ViT-g (eva_vit_g.pth")
    assert lines[0].endswith("give it with --with eva=PATH")
    assert lines[1].endswith("give it with --with blip2=PATH")
    assert not list(tmp_path.glob("*out*"))


def test_what_a_part_lacks_is_named_as_published(importing: Any, parts: dict[str, State]) -> None:
    del parts["eva"]["blocks.1.attn.v_bias"]
    del parts["llm"]["lm_head.weight"]
    with pytest.raises(CheckpointError) as error:
        importing(parts)
    assert str(error.value).splitlines()[1:] == [
        "  missing: aligner.encoder.blocks.1.attn.v_bias, published as blocks.1.attn.v_bias (eva)",
        "  missing: backbone.lm_head.weight, published as lm_head.weight (llm)",
    ]


def test_a_weight_in_two_checkpoints_is_refused(importing: Any, parts: dict[str, State]) -> None:
    parts[""]["query_tokens"] = parts["blip2"]["query_tokens"]
    with pytest.raises(
        CheckpointError, match=r"query_tokens and query_tokens \(blip2\) both mean aligner\.query_tokens"
    ):
        importing(parts)


def test_a_checkpoint_of_something_else_is_named(importing: Any, parts: dict[str, State]) -> None:
    parts["eva"] = {"odd": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"released: none of its 1 names is of eva \(EVA-CLIP's ViT-g"):
        importing(parts)


def test_shapes_are_those_of_the_model_but_for_axes_of_one(
    form: str, importing: Any, parts: dict[str, State], tmp_path: Path
) -> None:
    """VideoChat's own code has the kernel of patches one frame deep."""
    name = "patch_embed.proj.weight"
    kernel = parts["eva"][name]
    parts["eva"][name] = kernel[:, :, None]
    importing(parts)
    assert torch.equal(load(tmp_path / "out")[0].state_dict()[f"aligner.encoder.{name}"], kernel)


def test_shapes_that_differ_are_named_with_their_part(importing: Any, parts: dict[str, State]) -> None:
    parts["eva"]["cls_token"] = torch.ones(1, 1, 7)
    with pytest.raises(CheckpointError, match=r"cls_token \(eva\) has the shape \(1, 1, 7\), but aligner.encoder.cls"):
        importing(parts)


def test_everything_in_one_checkpoint_is_taken_too(
    form: str, parts: dict[str, State], importing: Any, tmp_path: Path
) -> None:
    """As the code that trains it would save the whole model; the language model apart."""
    whole = {
        name: value for part in ("blip2", "") for name, value in parts[part].items() if name not in UNUSED["blip2"]
    }
    whole |= {f"visual_encoder.{name}": v for name, v in parts["eva"].items() if name not in UNUSED["eva"]}
    importing({"": whole, "llm": parts["llm"]})
    assert torch.equal(load(tmp_path / "out")[0].state_dict()["aligner.encoder.cls_token"], parts["eva"]["cls_token"])


def test_the_command(
    form: str, parts: dict[str, State], experiment_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source, others = written(tmp_path / "released", parts)
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(experiment_of(form).model_dump(mode="json", exclude_unset=True)))
    command = ["import", form, str(source), str(tmp_path / "out"), "--spec", str(spec)]
    given = [word for part, path in others.items() for word in ("--with", f"{part}={path}")]
    done = CliRunner().invoke(app, [*command, *given])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "config.json").is_file()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["eva"], "--with: expected NAME=PATH, e.g. eva=eva_vit_g.pth, found 'eva'"),
        (["eva=a", "eva=b"], "--with: eva is given twice, a and b"),
        (["evaa={}"], "has no part 'evaa'; did you mean 'eva'"),
    ],
)
def test_parts_that_are_none_are_refused(given: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "released.pth").write_bytes(b"")
    words = [word for value in given for word in ("--with", value.format(tmp_path / "released.pth"))]
    done = CliRunner().invoke(
        app, ["import", "video-llama", str(tmp_path / "released.pth"), str(tmp_path / "o"), *words]
    )
    assert isinstance(done.exception, CheckpointError)
    assert message in str(done.exception)


def test_formats_of_one_checkpoint_have_no_parts() -> None:
    with pytest.raises(CheckpointError, match="'eve' has no part 'eva'; it is one checkpoint"):
        published_part(published_format("eve"), "eva")
    with pytest.raises(CheckpointError, match="1 names are not those of EVA-CLIP's ViT-g"):
        import_state_dict("video-llama", {"odd": torch.ones(1)}, "eva")
