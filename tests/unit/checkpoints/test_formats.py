"""Names of published checkpoints."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from vlmkit import import_state_dict
from vlmkit.api import PublishedLora
from vlmkit.checkpoints import formats
from vlmkit.checkpoints.formats import match_name, published_format, published_formats
from vlmkit.errors import CheckpointError, PluginError, UserError
from vlmkit.spec.loading import load_spec
from vlmkit_eve.spec import EveSpec
from vlmkit_stab.spec import StabSpec

Shapes = dict[str, tuple[int, ...]]
LAYER = (
    "self_attn.q_proj.weight",
    "self_attn.k_proj.weight",
    "self_attn.v_proj.weight",
    "self_attn.o_proj.weight",
    "mlp.gate_proj.weight",
    "mlp.up_proj.weight",
    "mlp.down_proj.weight",
    "input_layernorm.weight",
    "post_attention_layernorm.weight",
)
LLAMA = ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight", *(f"model.layers.31.{k}" for k in LAYER))


def meta(shapes: Shapes) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def test_formats() -> None:
    assert set(published_formats()) >= {"eve", "video-panda"}
    assert published_format("video-panda").spec == "video-panda-7b"


def test_video_panda_fills_the_aligner_exactly(published_shapes: Shapes) -> None:
    state = import_state_dict("video-panda", meta(published_shapes))
    with torch.device("meta"):
        expected = StabSpec().build(4096).state_dict()
    aligner = {name.removeprefix("aligner."): t.shape for name, t in state.items() if name.startswith("aligner.")}
    assert aligner == {name: tensor.shape for name, tensor in expected.items()}


def test_video_panda_fills_the_distillation_head(published_shapes: Shapes) -> None:
    state = import_state_dict("video-panda", meta(published_shapes))
    head = {name for name in state if name.startswith("distillation.")}
    assert head == {f"distillation.norms.{k}.{part}" for k in range(9) for part in ("weight", "bias")} | {
        f"distillation.projections.{k}.weight" for k in range(9)
    } | {f"distillation.{layer}.{part}" for layer in ("from_last", "out") for part in ("weight", "bias")}


def test_eve_fills_its_aligner_exactly(published_shapes: Shapes) -> None:
    frame_wise = ("patch_embedding", "class_embedding", "split_embedding", "local_attention", "global_attention")
    published = {
        name.replace("model.video_tower.", "model.vision_tower.").replace("video_projector", "mm_projector"): shape
        for name, shape in published_shapes.items()
        if name.split(".")[1] == "video_projector" or name.split(".")[2].startswith(frame_wise)
    }
    state = import_state_dict("eve", meta(published))
    with torch.device("meta"):
        expected = EveSpec().build(4096).state_dict()
    assert {name.removeprefix("aligner."): tensor.shape for name, tensor in state.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }


@pytest.mark.parametrize("name", ["video-panda", "eve"])
def test_the_language_model_is_taken(name: str) -> None:
    form = published_format(name)
    for key in LLAMA:
        assert match_name(form, key)[:2] == ("taken", f"backbone.{key}")


@pytest.mark.parametrize(
    ("form", "key", "why"),
    [
        ("video-panda", "model.vision_tower.dpe.weight", "alias"),
        ("video-panda", "model.mm_projector.0.weight", "alias"),
        ("video-panda", "model.video_teacher.video_tower.encoder.layers.0.temporal_embedding", "teacher"),
        ("video-panda", "model.video_tower_compressor.teacher_layer.video_tower.pre_layrnorm.weight", "teacher"),
        ("video-panda", "model.video_tower.lmhra2.pos_embed.0.running_var", "never used"),
        ("video-panda", "model.layers.0.self_attn.rotary_emb.inv_freq", "computed"),
        ("eve", "model.vision_clip.vision_tower.vision_model.post_layernorm.weight", "teacher"),
        ("eve", "model.layers.0.self_attn.rotary_emb.inv_freq", "computed"),
    ],
)
def test_dropped_with_the_reason(form: str, key: str, why: str) -> None:
    found = match_name(published_format(form), key)
    assert (found.state, found.name) == ("dropped", "")
    assert why in found.reason


def test_names_without_prefix() -> None:
    form = published_format("video-panda")
    for key in ("dpe.weight", "video_tower.dpe.weight", "model.video_tower.dpe.weight"):
        assert match_name(form, key)[:2] == ("renamed", "aligner.lste.dpe.weight")


def test_tensors_are_handed_on_as_they_are() -> None:
    tensor = torch.zeros(3)
    assert import_state_dict("video-panda", {"model.video_tower.balance": tensor})["aligner.balance"] is tensor


def test_layers_are_counted_as_in_the_model_that_takes_them() -> None:
    names = [
        f"language_model.model.layers.{i}.self_attn.{part}.weight"
        for i in (0, 6, 12)
        for part in ("q_proj", "q_norm_h")
    ]
    state = {name: torch.zeros(1) for name in names}
    nine = load_spec("specs/neo-9b.yaml").model
    assert [*import_state_dict("neo", state)] == [
        "layers.before.0.self_attn.q_proj.weight", "layers.spatial.0.q_norm_h.weight",
        "layers.before.6.self_attn.q_proj.weight", "layers.spatial.6.q_norm_h.weight",
        "backbone.model.layers.0.self_attn.q_proj.weight", "layers.spatial.12.q_norm_h.weight",
    ]  # fmt: skip
    found = import_state_dict("neo", {name: state[name] for name in names[2:4]}, model=nine)
    assert [*found] == ["backbone.model.layers.0.self_attn.q_proj.weight", "layers.spatial.6.q_norm_h.weight"]


@pytest.mark.parametrize(("spec", "found"), [("video-panda-7b", "none"), ("eve-v2-7b", "eve-v2")])
def test_layers_are_asked_for_where_there_are_other_ones(spec: str, found: str) -> None:
    with pytest.raises(UserError, match=f"model.layers: expected neo, since .* language model, found {found}; write"):
        import_state_dict("neo", {}, model=load_spec(f"specs/{spec}.yaml").model)


def test_unexpected_names_are_named() -> None:
    state = {"model.video_tower.balance": torch.zeros(1), "model.surprise.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"1 names are not those of Video-Panda.*model\.surprise\.weight"):
        import_state_dict("video-panda", state)


def test_two_names_for_one_tensor_are_refused() -> None:
    state = {"balance": torch.zeros(1), "video_tower.balance": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"both mean aligner\.balance"):
        import_state_dict("video-panda", state)


def test_an_unknown_format_lists_what_there_is() -> None:
    with pytest.raises(
        CheckpointError,
        match=r"did you mean 'video-panda'\? installed: eve, eve-v2, llama-adapter, llama-vid, neo, "
        "video-chat, video-chat2, video-llama, video-panda",
    ):
        import_state_dict("video_panda", {})


@pytest.mark.parametrize(("names", "weight"), [("a.(lora", r"\1"), ("a.lora_(A|B)", r"\1"), ("(?P<factor>A|B)", r"\2")])
def test_rules_for_lora_that_are_none_are_the_plugins_fault(
    monkeypatch: pytest.MonkeyPatch, names: str, weight: str
) -> None:
    form = replace(published_format("video-chat2"), lora=PublishedLora(names, weight, 2.0))
    offered = SimpleNamespace(found=[(SimpleNamespace(name="own", package="own 1.0"), form)], faults=[])
    monkeypatch.setattr(formats, "registry", lambda: SimpleNamespace(gather=lambda *_: offered))
    with pytest.raises(PluginError, match=r"plugin 'own' \(own 1\.0\): a rule of its published format 'video-chat2'"):
        published_format("video-chat2")
