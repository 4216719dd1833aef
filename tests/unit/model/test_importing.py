"""Released checkpoints at toy size: what becomes of every key, and every way in which it can be wrong."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import vlmkit
from vlmkit.errors import CheckpointError, UserError
from vlmkit.model import VideoLM, compose, load
from vlmkit.model.importing import DISTILLATION, ImportReport, import_checkpoint
from vlmkit.model.published import fate, published_format
from vlmkit.spec import ExperimentSpec

State = dict[str, Tensor]
Importer = Callable[..., ImportReport]
LLAMA = {
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 64,
    "tie_word_embeddings": False,
}
EXPERIMENT: dict[str, Any] = {
    "vlmkit": 1,
    "name": "toy",
    "seed": 5,
    "model": {
        "aligner": {"type": "stab", "width": 16, "input": {"size": 56, "frames": 4}},
        "backbone": {
            "type": "hf-causal-lm",
            "init": "random",
            "config": LLAMA,
            "tokenizer": {"text": ["what colour is it? red"], "vocab_size": 300},
        },
    },
    "training": {
        "distillation": {"teacher": {"type": "hog"}, "layer_rate": 1, "heads": 1},
        "stages": [{"name": "one", "data": ["moving-shapes"], "train": {"distillation": 1}, "steps": 1}],
    },
}


@pytest.fixture(scope="module")
def experiment() -> ExperimentSpec:
    return ExperimentSpec.model_validate(EXPERIMENT)


@pytest.fixture(scope="module")
def eve_experiment() -> ExperimentSpec:
    eve = {"type": "eve", "width": 16, "input": {"size": 56, "frames": 4}}
    return ExperimentSpec.model_validate(EXPERIMENT | {"model": EXPERIMENT["model"] | {"aligner": eve}})


@pytest.fixture(scope="module")
def names(golden: Path) -> list[str]:
    """Names of the visual part in the released Video-Panda."""
    return list(json.loads((golden / "video_panda_shapes.json").read_text()))


def _draw(shapes: dict[str, tuple[int, ...]], dtype: torch.dtype = torch.bfloat16) -> State:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}


def _head(prefix: str) -> State:
    shapes: dict[str, tuple[int, ...]] = {"input_layer.weight": (16, 32), "input_layer.bias": (16,)}
    shapes |= {"output_layer.weight": (16, 16), "output_layer.bias": (16,)}
    for layer in range(3):
        shapes |= {f"norm_layer.{layer}.0.weight": (32,), f"norm_layer.{layer}.0.bias": (32,)}
        shapes |= {f"norm_layer.{layer}.1.weight": (16, 32)}
    return {f"{prefix}{name}": value for name, value in _draw(shapes).items()}


@pytest.fixture(scope="module")
def panda(experiment: ExperimentSpec, names: list[str]) -> State:
    """All that the released checkpoint holds, with a toy's shapes."""
    model, _ = compose(experiment.model, meta=True)
    form = published_format("video-panda")
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    tower = [name for name in names if "compressor" not in name]
    shapes = {name: wanted.get(fate(form, name.replace("lmhra2", "lmhra1")).name) for name in tower}
    shapes |= {name.removeprefix("backbone."): s for name, s in wanted.items() if name.startswith("backbone.")}
    state = _draw({name: shape for name, shape in shapes.items() if shape is not None})
    for name in state:
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
    state |= {
        name.replace("video_tower", "vision_tower").replace("video_projector", "mm_projector"): value
        for name, value in state.items()
        if "video_" in name
    }
    state |= _head("model.video_tower_compressor.")
    teacher = _draw({"embeddings.class_embedding": (8,), "encoder.layers.0.temporal_attn.q_proj.weight": (8, 8)})
    for prefix in ("model.video_teacher.video_tower.", "model.video_tower_compressor.teacher_layer.video_tower."):
        state |= {prefix + name: value for name, value in teacher.items()}
    return state | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(4)}


@pytest.fixture(scope="module")
def eve(panda: State) -> State:
    """What EVE's released checkpoint holds."""
    temporal = ("temporal_cls_token", "balance", "lmhra", ".dpe.", ".dec.", "tower.proj.")
    state = {n: v for n, v in panda.items() if ".video_" not in n and not any(part in n for part in temporal)}
    return state | _head("model.vision_tower_compressor.") | {"model.vision_clip.post_layernorm.weight": torch.ones(8)}


def _save(state: State, folder: Path, shards: int = 3, safe: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stem, suffix = ("model", "safetensors") if safe else ("pytorch_model", "bin")
    index: dict[str, str] = {}
    for number in range(shards):
        name = f"{stem}-{number + 1:05}-of-{shards:05}.{suffix}"
        part = dict(list(state.items())[number::shards])
        if safe:
            save_file({key: value.clone() for key, value in part.items()}, folder / name)
        else:
            torch.save(part, folder / name)
        index |= dict.fromkeys(part, name)
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / "config.json").write_text(json.dumps({key: LLAMA[key] for key in ("vocab_size", "hidden_size")}))
    return folder


@pytest.fixture
def importer(tmp_path: Path, experiment: ExperimentSpec) -> Importer:
    """Save a state as a released checkpoint and import it into `tmp_path/out`."""

    def run(state: State, form: str = "video-panda", spec: ExperimentSpec = experiment, **saving: Any) -> ImportReport:
        source = _save(state, tmp_path / "released", **saving)
        return import_checkpoint(form, source, tmp_path / "out", spec=spec)

    return run


def _refusal(importer: Importer, tmp_path: Path, state: State, **options: Any) -> str:
    with pytest.raises(CheckpointError) as error:
        importer(state, **options)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))
    return str(error.value)


@pytest.mark.parametrize("saving", [{"safe": True}, {"safe": False}, {"safe": False, "shards": 1}])
def test_every_weight_arrives(importer: Importer, tmp_path: Path, panda: State, saving: dict[str, Any]) -> None:
    report = importer(panda, **saving)
    model, processor = load(tmp_path / "out")
    form = published_format("video-panda")
    expected = {fate(form, name).name: value for name, value in panda.items()}
    own = model.state_dict()
    assert own.keys() == {name for name in expected if name and not name.startswith("distillation.")}
    assert all(torch.equal(value, expected[name].to(value.dtype)) for name, value in own.items())
    assert {value.dtype for value in model.parameters()} == {torch.bfloat16}
    assert own["aligner.lste.lmhra.norm.running_var"].dtype == torch.float32
    head = load_file(tmp_path / "out" / DISTILLATION)
    assert head.keys() == {name for name in expected if name.startswith("distillation.")}
    assert torch.equal(head["distillation.norms.2.weight"], expected["distillation.norms.2.weight"])
    assert report.counts()["taken"] == 21
    assert processor.tokenizer.video_token_id == model.config.video_token_id
    assert model.generation_config.eos_token_id == processor.tokenizer.eos_token_id


def test_report_holds_every_key(importer: Importer, tmp_path: Path, panda: State) -> None:
    report = importer(panda)
    written = json.loads((tmp_path / "out" / "import.json").read_text())
    keys = {key["name"]: key for key in written["keys"]}
    assert keys.keys() == panda.keys()
    assert keys["model.norm.weight"]["fate"] == "taken"
    assert keys["model.video_tower.dpe.bias"] == {
        "name": "model.video_tower.dpe.bias",
        "fate": "renamed",
        "ours": "aligner.lste.dpe.bias",
        "shape": [16],
        "dtype": "bfloat16",
        "file": keys["model.video_tower.dpe.bias"]["file"],
    }
    assert keys["model.vision_tower.dpe.bias"]["reason"] == "alias of model.video_tower.dpe.bias, the same tensor"
    assert "never used" in keys["model.video_tower.lmhra2.pos_embed.1.weight"]["reason"]
    assert "second copy" in keys[next(n for n in keys if "teacher_layer" in n)]["reason"]
    assert sum(report.counts().values()) == len(panda)
    rows = report.rows()
    assert ("taken", "2", "model.layers.*.mlp.up_proj.weight", "backbone.model.layers.*.mlp.up_proj.weight") in rows
    assert ("renamed", "1", "model.video_tower.dpe.bias", "aligner.lste.dpe.bias") in rows
    dropped = {(name, what) for state, _, name, what in rows if state == "dropped"}
    assert ("model.vision_tower.*", "alias of model.video_tower.*, the same tensor") in dropped
    assert ("model.video_teacher.video_tower.*", "the frozen teacher, which a spec names by itself") in dropped
    assert sum(int(row[1]) for row in rows[1:]) == len(panda)


def test_groups_are_small_and_the_config_is_that_of_a_saved_model(
    tmp_path: Path, panda: State, experiment: ExperimentSpec
) -> None:
    source = _save(panda, tmp_path / "released")
    out = tmp_path / "out"
    import_checkpoint("video-panda", source, out, spec=experiment, group_bytes=20_000)
    files = sorted(out.glob("model-*.safetensors"))
    largest = max(value.nbytes for value in load(out)[0].state_dict().values())
    assert len(files) > 5
    assert all(sum(v.nbytes for v in load_file(file).values()) <= max(20_000, largest) for file in files)
    load(out)[0].save_pretrained(tmp_path / "again")
    for name in ("config.json", "generation_config.json"):
        written, again = (json.loads((folder / name).read_text()) for folder in (out, tmp_path / "again"))
        if name == "config.json":
            # transformers reads buffers in this type, and the parts' own say more of the parameters
            assert written.pop("dtype") == "float32"
            del again["dtype"]
        assert written == again
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(v.nbytes for f in files for v in load_file(f).values())


def test_mixed_types_take_the_wider_one(importer: Importer, tmp_path: Path, panda: State) -> None:
    importer(panda | {"lm_head.weight": panda["lm_head.weight"].float()})
    model, _ = load(tmp_path / "out")
    assert {value.dtype for value in model.backbone.parameters()} == {torch.float32}
    assert {value.dtype for value in model.aligner.parameters()} == {torch.bfloat16}


def test_an_alias_stands_in_for_what_was_left_out(importer: Importer, tmp_path: Path, panda: State) -> None:
    """Where two names share one tensor, safetensors are saved under one of them only."""
    importer({name: value for name, value in panda.items() if not name.startswith("model.video_tower.")})
    model, _ = load(tmp_path / "out")
    assert torch.equal(model.state_dict()["aligner.row_token"], panda["model.video_tower.split_embedding"])


@pytest.mark.parametrize("shards", [1, 3])
def test_aliases_that_differ(importer: Importer, tmp_path: Path, panda: State, shards: int) -> None:
    name = "model.vision_tower.balance"
    message = _refusal(importer, tmp_path, panda | {name: panda[name] + 1}, shards=shards)
    assert f"{name} and model.video_tower.balance are to be the same tensor" in message


def test_tied_weights(importer: Importer, tmp_path: Path, panda: State) -> None:
    backbone = EXPERIMENT["model"]["backbone"] | {"config": LLAMA | {"tie_word_embeddings": True}}
    tied = ExperimentSpec.model_validate(EXPERIMENT | {"model": EXPERIMENT["model"] | {"backbone": backbone}})
    message = _refusal(importer, tmp_path, panda, spec=tied)
    assert "lm_head.weight and model.embed_tokens.weight are to be the same tensor" in message
    report = importer(panda | {"lm_head.weight": panda["model.embed_tokens.weight"]}, spec=tied)
    reasons = {key.name: key.reason for key in report.plan.keys}
    assert reasons["lm_head.weight"] == "tied to backbone.model.embed_tokens.weight, the same tensor"
    model, _ = load(tmp_path / "out")
    assert torch.equal(model.state_dict()["backbone.lm_head.weight"], panda["model.embed_tokens.weight"])


def test_eve(importer: Importer, tmp_path: Path, eve: State, eve_experiment: ExperimentSpec) -> None:
    report = importer(eve, "eve", eve_experiment)
    model, _ = load(tmp_path / "out")
    assert torch.equal(model.state_dict()["aligner.projector.2.bias"], eve["model.mm_projector.2.bias"])
    assert report.plan.fresh == []
    assert report.distillation


def test_stab_starts_from_eve(importer: Importer, tmp_path: Path, eve: State, experiment: ExperimentSpec) -> None:
    report = importer(eve, "eve")
    model, _ = load(tmp_path / "out")
    drawn, _ = compose(experiment.model, seed=experiment.seed)
    fresh, own = drawn.state_dict(), model.state_dict()
    assert torch.equal(own["aligner.row_token"], eve["model.vision_tower.split_embedding"])
    parts = {name.split(".")[1] for name in report.plan.fresh}
    assert parts == {"balance", "gstra", "head", "lste"}
    for name in report.plan.fresh:
        assert torch.equal(own[name], fresh[name].to(own[name].dtype))
    assert {row[0] for row in report.rows()} >= {"fresh"}


def test_what_the_aligner_lacks_is_dropped(
    importer: Importer, tmp_path: Path, panda: State, eve_experiment: ExperimentSpec
) -> None:
    report = importer(panda, spec=eve_experiment)
    assert load(tmp_path / "out")[0].aligner.row_token.shape == (16,)
    reasons = {key.name: key.reason for key in report.plan.keys}
    assert reasons["model.video_tower.dpe.bias"] == "the spec's aligner has no aligner.lste.dpe.bias"


def test_no_tokenizer_is_said_not_made_up(tmp_path: Path, panda: State, experiment: ExperimentSpec) -> None:
    backbone = experiment.model.backbone.model_copy(update={"tokenizer": str(tmp_path / "nowhere")})
    spec = experiment.model_copy(update={"model": experiment.model.model_copy(update={"backbone": backbone})})
    report = import_checkpoint("video-panda", _save(panda, tmp_path / "released"), tmp_path / "out", spec=spec)
    assert not report.tokenizer
    assert any("no tokenizer" in note and "nowhere" in note for note in report.notes)
    assert not list((tmp_path / "out").glob("tokenizer*"))
    assert VideoLM.from_pretrained(tmp_path / "out").aligner.row_token.shape == (16,)


def test_tokenizer_of_the_source(tmp_path: Path, panda: State, experiment: ExperimentSpec) -> None:
    source = _save(panda, tmp_path / "released")
    experiment.model.backbone.load_tokenizer().save_pretrained(source)
    backbone = experiment.model.backbone.model_copy(update={"tokenizer": str(tmp_path / "nowhere")})
    spec = experiment.model_copy(update={"model": experiment.model.model_copy(update={"backbone": backbone})})
    assert import_checkpoint("video-panda", source, tmp_path / "out", spec=spec).tokenizer
    model, processor = load(tmp_path / "out")
    assert processor.tokenizer("red").input_ids == experiment.model.backbone.load_tokenizer()("red").input_ids
    assert model.config.model["backbone"]["tokenizer"] == str(tmp_path / "nowhere")


def test_given_tokenizer_and_a_single_file(tmp_path: Path, panda: State, experiment: ExperimentSpec) -> None:
    experiment.model.backbone.load_tokenizer().save_pretrained(tmp_path / "tokenizer")
    backbone = experiment.model.backbone.model_copy(update={"tokenizer": str(tmp_path / "nowhere")})
    spec = experiment.model_copy(update={"model": experiment.model.model_copy(update={"backbone": backbone})})
    save_file({name: value.clone() for name, value in panda.items()}, tmp_path / "panda.safetensors")
    source, out = tmp_path / "panda.safetensors", tmp_path / "out"
    with pytest.raises(UserError, match="no tokenizer can be read"):
        import_checkpoint("video-panda", source, out, spec=spec, tokenizer=str(tmp_path / "not here"))
    report = import_checkpoint("video-panda", source, out, spec=spec, tokenizer=str(tmp_path / "tokenizer"))
    assert load(out)[1].tokenizer("red").input_ids == experiment.model.backbone.load_tokenizer()("red").input_ids
    assert [note.partition(" holds")[2] for note in report.notes] == [
        " no config.json: the language model's options could not be compared"
    ]


def test_unknown_format_has_a_near_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no published format 'video-pandas'; did you mean 'video-panda'\?"):
        import_checkpoint("video-pandas", tmp_path, tmp_path / "out")


def test_existing_destination(importer: Importer, tmp_path: Path, panda: State) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        importer(panda)
    assert not list((tmp_path / "out").iterdir())


def test_wrong_names_and_shapes_are_reported_together(importer: Importer, tmp_path: Path, panda: State) -> None:
    state = panda | {"model.video_tower.surprise": torch.zeros(1), "lm_head.weight": torch.zeros(7, 32)}
    del state["model.video_tower.dpe.weight"], state["model.vision_tower.dpe.weight"]
    del state["model.video_tower_compressor.input_layer.bias"]
    message = _refusal(importer, tmp_path, state)
    assert "unexpected: model.video_tower.surprise" in message
    assert "missing: aligner.lste.dpe.weight" in message
    assert "missing: distillation.from_last.bias" in message
    assert "lm_head.weight has the shape (7, 32), but backbone.lm_head.weight is (300, 32)" in message


def test_weights_that_are_no_numbers(importer: Importer, tmp_path: Path, panda: State) -> None:
    message = _refusal(importer, tmp_path, panda | {"model.norm.weight": torch.ones(32, dtype=torch.int8)})
    assert "model.norm.weight is of torch.int8" in message


def test_too_many_layers(importer: Importer, tmp_path: Path, panda: State) -> None:
    name = "model.layers.2.mlp.up_proj.weight"
    message = _refusal(importer, tmp_path, panda | {name: torch.zeros(64, 32)})
    assert f"{name} would be backbone.{name}, which the spec's model does not have" in message


def test_another_model(importer: Importer, tmp_path: Path) -> None:
    assert "none of its 1 names is of this format" in _refusal(importer, tmp_path, {"bert": torch.zeros(1)}, shards=1)


def test_another_language_model(importer: Importer, tmp_path: Path, panda: State) -> None:
    source = _save(panda, tmp_path / "released")
    (source / "config.json").write_text(json.dumps({"rms_norm_eps": 1e-3, "hidden_size": 32}))
    with pytest.raises(CheckpointError, match=r"rms_norm_eps is 0.001 there and 1e-06 in the spec"):
        import_checkpoint("video-panda", source, tmp_path / "out", spec=ExperimentSpec.model_validate(EXPERIMENT))


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must not run",)


@pytest.mark.parametrize(
    ("extra", "wanted", "new"),
    [
        (argparse.Namespace(x=1), "argparse.Namespace", True),
        (_Code(), "print", True),
        (_Code(), "print", False),
    ],
)
def test_pickles_that_want_more(
    tmp_path: Path, panda: State, capsys: pytest.CaptureFixture[str], extra: object, wanted: str, new: bool
) -> None:
    source = _save(panda, tmp_path / "released", shards=1)
    file = source / "pytorch_model-00001-of-00001.bin"
    torch.save(panda | {"extra": extra}, file, _use_new_zipfile_serialization=new)
    with pytest.raises(CheckpointError, match="refused: its pickle asks for") as error:
        import_checkpoint("video-panda", source, tmp_path / "out", spec=ExperimentSpec.model_validate(EXPERIMENT))
    assert file.name in str(error.value)
    assert f"asks for {wanted}," in str(error.value)
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("safe", [True, False])
def test_truncated_and_missing_files(importer: Importer, tmp_path: Path, panda: State, safe: bool) -> None:
    source = _save(panda, tmp_path / "released", safe=safe)
    file = sorted(source.glob("*-00002-of-*"))[0]
    spec = ExperimentSpec.model_validate(EXPERIMENT)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(CheckpointError, match=f"{file.name}: damaged"):
        import_checkpoint("video-panda", source, tmp_path / "out", spec=spec)
    file.unlink()
    with pytest.raises(CheckpointError, match=f"{file.name}: this file of the checkpoint is missing"):
        import_checkpoint("video-panda", source, tmp_path / "out", spec=spec)


def test_an_index_that_promises_too_much(importer: Importer, tmp_path: Path, panda: State) -> None:
    source = _save(panda, tmp_path / "released")
    file = source / "pytorch_model-00001-of-00003.bin"
    torch.save(dict(list(torch.load(file).items())[1:]), file)
    with pytest.raises(CheckpointError, match="its index says that it holds"):
        import_checkpoint("video-panda", source, tmp_path / "out", spec=ExperimentSpec.model_validate(EXPERIMENT))


@pytest.mark.parametrize("content", ["[1]", "{", '{"weight_map": {"a": "../secret.bin"}}'])
def test_bad_index(tmp_path: Path, content: str) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin.index.json"):
        import_checkpoint("video-panda", tmp_path, tmp_path / "out")


def test_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected one of model\.safetensors"):
        import_checkpoint("video-panda", tmp_path, tmp_path / "out")
    with pytest.raises(CheckpointError, match="there is no such folder"):
        import_checkpoint("video-panda", tmp_path / "gone", tmp_path / "out")


def test_names_agree_with_import_state_dict(panda: State) -> None:
    """What is dropped as an alias here is dropped there too."""
    ours = vlmkit.import_state_dict("video-panda", panda)
    assert torch.equal(ours["aligner.row_token"], panda["model.video_tower.split_embedding"])
    assert len(ours) == sum(bool(fate(published_format("video-panda"), name).name) for name in panda)
