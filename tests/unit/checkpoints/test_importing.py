"""What becomes of every key of a released checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import vlmkit
from vlmkit.checkpoints import ImportReport, import_checkpoint
from vlmkit.checkpoints.formats import match_name, published_format
from vlmkit.errors import DataError, UserError
from vlmkit.model import VideoLM, build_head, compose, load
from vlmkit.model.distillation import DISTILLATION
from vlmkit.model.pretrained import load_head
from vlmkit.spec.experiment import ExperimentSpec

State = dict[str, Tensor]
Maker = Callable[..., ExperimentSpec]
Saver = Callable[..., Path]
Importer = Callable[..., ImportReport]
Refusal = Callable[..., str]


@pytest.mark.parametrize("saving", [{"safe": True}, {"safe": False}, {"safe": False, "shards": 1}])
def test_every_weight_arrives(importer: Importer, tmp_path: Path, panda: State, saving: dict[str, Any]) -> None:
    report = importer(panda, **saving)
    model, processor = load(tmp_path / "out")
    form = published_format("video-panda")
    expected = {match_name(form, name).name: value for name, value in panda.items()}
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


def test_paths_may_begin_in_the_home_folder(
    save: Saver, panda: State, experiment: ExperimentSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    source = save(panda)
    import_checkpoint("video-panda", f"~/{source.name}", "~/made", spec=experiment)
    assert (tmp_path / "made" / "config.json").is_file()
    for paths in (("~nobody-here/a", "~/b"), (f"~/{source.name}", "~nobody-here/b")):
        with pytest.raises(DataError, match="`~nobody-here` is no home folder here"):
            import_checkpoint("video-panda", *paths, spec=experiment)


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
    save: Saver, tmp_path: Path, panda: State, experiment: ExperimentSpec
) -> None:
    source = save(panda)
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
def test_aliases_that_differ(refusal: Refusal, panda: State, shards: int) -> None:
    name = "model.vision_tower.balance"
    message = refusal(panda | {name: panda[name] + 1}, shards=shards)
    assert f"{name} and model.video_tower.balance are to be the same tensor" in message


def test_tied_weights(
    importer: Importer, refusal: Refusal, make_experiment: Maker, tmp_path: Path, panda: State
) -> None:
    tied = make_experiment(config={"tie_word_embeddings": True})
    message = refusal(panda, spec=tied)
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


def test_no_tokenizer_is_said_not_made_up(
    importer: Importer, tmp_path: Path, panda: State, nowhere: ExperimentSpec
) -> None:
    report = importer(panda, spec=nowhere)
    assert not report.tokenizer
    assert any("no tokenizer" in note and "nowhere" in note for note in report.notes)
    assert not list((tmp_path / "out").glob("tokenizer*"))
    assert VideoLM.from_pretrained(tmp_path / "out").aligner.row_token.shape == (16,)


def test_tokenizer_of_the_source(
    save: Saver, tmp_path: Path, panda: State, experiment: ExperimentSpec, nowhere: ExperimentSpec
) -> None:
    source = save(panda)
    experiment.model.backbone.load_tokenizer().save_pretrained(source)
    assert import_checkpoint("video-panda", source, tmp_path / "out", spec=nowhere).tokenizer
    model, processor = load(tmp_path / "out")
    assert processor.tokenizer("red").input_ids == experiment.model.backbone.load_tokenizer()("red").input_ids
    assert model.config.model["backbone"]["tokenizer"] == str(tmp_path / "nowhere")


def test_given_tokenizer_and_a_single_file(
    tmp_path: Path, panda: State, experiment: ExperimentSpec, nowhere: ExperimentSpec
) -> None:
    experiment.model.backbone.load_tokenizer().save_pretrained(tmp_path / "tokenizer")
    save_file({name: value.clone() for name, value in panda.items()}, tmp_path / "panda.safetensors")
    source, out = tmp_path / "panda.safetensors", tmp_path / "out"
    with pytest.raises(UserError, match="no tokenizer can be read"):
        import_checkpoint("video-panda", source, out, spec=nowhere, tokenizer=str(tmp_path / "not here"))
    report = import_checkpoint("video-panda", source, out, spec=nowhere, tokenizer=str(tmp_path / "tokenizer"))
    assert load(out)[1].tokenizer("red").input_ids == experiment.model.backbone.load_tokenizer()("red").input_ids
    assert [note.partition(" holds")[2] for note in report.notes] == [
        " no config.json: the language model's options could not be compared"
    ]


def test_names_agree_with_import_state_dict(panda: State) -> None:
    """What is dropped as an alias here is dropped there too."""
    ours = vlmkit.import_state_dict("video-panda", panda)
    assert torch.equal(ours["aligner.row_token"], panda["model.video_tower.split_embedding"])
    assert len(ours) == sum(bool(match_name(published_format("video-panda"), name).name) for name in panda)


def test_a_spec_starts_from_the_import(
    importer: Importer, tmp_path: Path, eve: State, experiment: ExperimentSpec
) -> None:
    importer(eve, form="eve")
    started, _ = compose(experiment.model.model_copy(update={"weights": str(tmp_path / "out")}), seed=8)
    assert {value.dtype for value in started.parameters()} == {torch.float32}
    imported = load(tmp_path / "out")[0].state_dict()
    assert all(torch.equal(value, imported[name].to(value.dtype)) for name, value in started.state_dict().items())
    assert experiment.training is not None
    assert experiment.training.distillation is not None
    head = build_head(experiment.training.distillation, experiment.model.backbone)
    load_head(tmp_path / "out", head)
    assert torch.equal(head.out.bias, eve["model.vision_tower_compressor.output_layer.bias"].float())
