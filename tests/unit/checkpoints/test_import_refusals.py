"""Every way in which a released checkpoint can be wrong, or is not to be trusted."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vlmkit.checkpoints import ImportReport, import_checkpoint
from vlmkit.checkpoints.formats import match_name, published_format, published_name
from vlmkit.errors import CheckpointError
from vlmkit.spec.experiment import ExperimentSpec

State = dict[str, Tensor]
Saver = Callable[..., Path]
Importer = Callable[..., ImportReport]
Refusal = Callable[..., str]


def test_unknown_format_has_a_near_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no published format 'video-pandas'; did you mean 'video-panda'\?"):
        import_checkpoint("video-pandas", tmp_path, tmp_path / "out")


def test_existing_destination(importer: Importer, tmp_path: Path, panda: State) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        importer(panda)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("place", ["file/out", "file/deeper/out"])
def test_destination_that_cannot_be_made(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CheckpointError, match=r"out: cannot be made: (Not a directory|File exists)"):
        import_checkpoint("video-panda", tmp_path, tmp_path / place)


def test_too_many_problems_for_a_message(importer: Importer, tmp_path: Path, panda: State) -> None:
    with pytest.raises(CheckpointError) as error:
        importer(panda | {f"model.odd.{number}": torch.zeros(1) for number in range(30)})
    listing = tmp_path / "out.problems.txt"
    assert f"and 10 more: {listing} lists all of them" in str(error.value)
    assert listing.read_text().count("unexpected: model.odd.") == 30
    importer(panda)
    assert not listing.exists()


@pytest.mark.parametrize(("form", "state"), [("video-panda", "panda"), ("eve", "eve")])
def test_every_name_can_be_said_as_published(request: pytest.FixtureRequest, form: str, state: str) -> None:
    names = {match_name(published_format(form), name): name for name in request.getfixturevalue(state)}
    for found, name in names.items():
        if found.name:
            assert published_name(published_format(form), found.name) == name


def test_wrong_names_and_shapes_are_reported_together(refusal: Refusal, panda: State) -> None:
    state = panda | {"model.video_tower.surprise": torch.zeros(1), "lm_head.weight": torch.zeros(7, 32)}
    del state["model.video_tower.dpe.weight"], state["model.vision_tower.dpe.weight"]
    del state["model.video_tower_compressor.input_layer.bias"]
    message = refusal(state)
    assert "unexpected: model.video_tower.surprise" in message
    assert "missing: aligner.lste.dpe.weight, published as model.video_tower.dpe.weight" in message
    assert "missing: distillation.from_last.bias, published as model.video_tower_compressor.input_layer.bias" in message
    assert "lm_head.weight has the shape (7, 32), but backbone.lm_head.weight is (300, 32)" in message


def test_weights_that_are_no_numbers(refusal: Refusal, panda: State) -> None:
    message = refusal(panda | {"model.norm.weight": torch.ones(32, dtype=torch.int8)})
    assert "model.norm.weight is of torch.int8" in message


def test_too_many_layers(refusal: Refusal, panda: State) -> None:
    name = "model.layers.2.mlp.up_proj.weight"
    message = refusal(panda | {name: torch.zeros(64, 32)})
    assert f"{name} would be backbone.{name}, which the spec's model does not have" in message


def test_another_model(refusal: Refusal) -> None:
    assert "none of its 1 names is of this format" in refusal({"bert": torch.zeros(1)}, shards=1)


def test_another_language_model(save: Saver, tmp_path: Path, panda: State, experiment: ExperimentSpec) -> None:
    source = save(panda)
    (source / "config.json").write_text(json.dumps({"rms_norm_eps": 1e-3, "hidden_size": 32}))
    with pytest.raises(CheckpointError, match=r"rms_norm_eps is 0.001 there and 1e-06 in the spec"):
        import_checkpoint("video-panda", source, tmp_path / "out", spec=experiment)


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
    save: Saver,
    tmp_path: Path,
    panda: State,
    experiment: ExperimentSpec,
    capsys: pytest.CaptureFixture[str],
    extra: object,
    wanted: str,
    new: bool,
) -> None:
    source = save(panda, shards=1)
    file = source / "pytorch_model-00001-of-00001.bin"
    torch.save(panda | {"extra": extra}, file, _use_new_zipfile_serialization=new)
    with pytest.raises(CheckpointError, match="refused: its pickle asks for") as error:
        import_checkpoint("video-panda", source, tmp_path / "out", spec=experiment)
    assert file.name in str(error.value)
    assert f"asks for {wanted}," in str(error.value)
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("safe", [True, False])
def test_truncated_and_missing_files(
    save: Saver, tmp_path: Path, panda: State, experiment: ExperimentSpec, safe: bool
) -> None:
    source = save(panda, safe=safe)
    file = sorted(source.glob("*-00002-of-*"))[0]
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(CheckpointError, match=f"{file.name}: damaged"):
        import_checkpoint("video-panda", source, tmp_path / "out", spec=experiment)
    file.unlink()
    with pytest.raises(CheckpointError, match=f"{file.name}: this file of the checkpoint is missing"):
        import_checkpoint("video-panda", source, tmp_path / "out", spec=experiment)


def test_an_index_that_promises_too_much(save: Saver, tmp_path: Path, panda: State, experiment: ExperimentSpec) -> None:
    source = save(panda)
    file = source / "pytorch_model-00001-of-00003.bin"
    torch.save(dict(list(torch.load(file).items())[1:]), file)
    with pytest.raises(CheckpointError, match="its index says that it holds"):
        import_checkpoint("video-panda", source, tmp_path / "out", spec=experiment)


@pytest.mark.parametrize(
    "content", ["[1]", "{", *(json.dumps({"weight_map": {"a": name}}) for name in ("../secret.bin", "..", ""))]
)
def test_bad_index(tmp_path: Path, content: str) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin.index.json: .*; fetch it again"):
        import_checkpoint("video-panda", tmp_path, tmp_path / "out")


def test_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected one of model\.safetensors"):
        import_checkpoint("video-panda", tmp_path, tmp_path / "out")
    with pytest.raises(CheckpointError, match="there is no such folder"):
        import_checkpoint("video-panda", tmp_path / "gone", tmp_path / "out")
