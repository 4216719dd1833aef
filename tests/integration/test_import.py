"""`vlmkit import` on checkpoints in the released layout: full-size visual parts and the reference's outputs."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from vlmkit.api import VideoBatch
from vlmkit.checkpoints.formats import ReleasedFiles, ReleasedSource, published_format
from vlmkit.checkpoints.mapping import plan_import
from vlmkit.checkpoints.target import build_target
from vlmkit.cli import app, main
from vlmkit.eval_target import eval_target
from vlmkit.evaluation.saved_model import saved_model_of
from vlmkit.model import load
from vlmkit.model.distillation import DISTILLATION
from vlmkit.run_folder import RunFolder
from vlmkit.spec.loading import load_spec

Shapes = dict[str, tuple[int, ...]]
Arrays = dict[str, np.ndarray[Any, Any]]


class Case(NamedTuple):
    """One golden file of one video of 4 frames, and the format that its weights are published in."""

    file: str
    form: str
    seed: str
    pixels: int
    projected: bool = False


CASES = [
    Case("stab_video_1x4x84_projected", "video-panda", "pub-d", 84, projected=True),
    Case("stab_video_1x4x112", "video-panda", "pub-a", 112),
    Case("eve_1x4x112", "eve", "pub-e", 112),
]


@pytest.fixture(scope="module")
def fill(golden: Path) -> ModuleType:
    """The weights and inputs behind the golden files."""
    found = importlib.util.spec_from_file_location("golden_fill", golden / "fill.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    """A Video-Panda whose language model is small: 2 layers of width 256, 300 words."""

    def llama(**changes: int) -> dict[str, Any]:
        return {"model_type": "llama", "vocab_size": 300, "hidden_size": 256, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 128, **changes}  # fmt: skip

    backbone = {"type": "hf-causal-lm", "init": "random", "config": llama(),
                "tokenizer": {"text": ["what is it? a cat"], "vocab_size": 300}}  # fmt: skip
    content = {
        "vlmkit": 1,
        "name": "small-panda",
        "model": {"aligner": {"type": "stab"}, "backbone": backbone},
        "training": {
            "distillation": {"teacher": {"type": "languagebind-video"}, "layer_rate": 1},
            "stages": [{"name": "a", "data": ["moving-shapes"], "train": {"distillation": 1}, "steps": 1}],
        },
    }
    file = tmp_path / "small-panda.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def _language_model(width: int = 256, layers: int = 2, inner: int = 128, words: int = 300) -> Shapes:
    shapes: Shapes = {f"model.{n}.weight": s for n, s in (("embed_tokens", (words, width)), ("norm", (width,)))}
    shapes["lm_head.weight"] = (words, width)
    for layer in range(layers):
        below = f"model.layers.{layer}."
        shapes |= {f"{below}self_attn.{part}_proj.weight": (width, width) for part in "qkvo"}
        shapes |= {f"{below}mlp.{part}_proj.weight": (inner, width) for part in ("gate", "up")}
        shapes |= {f"{below}mlp.down_proj.weight": (width, inner)}
        shapes |= {f"{below}{part}_layernorm.weight": (width,) for part in ("input", "post_attention")}
    return shapes


def _head() -> Shapes:
    shapes: Shapes = {"input_layer.weight": (1024, 256), "input_layer.bias": (1024,)}
    shapes |= {"output_layer.weight": (1024, 1024), "output_layer.bias": (1024,)}
    for layer in range(3):
        shapes |= {f"norm_layer.{layer}.0.{part}": (256,) for part in ("weight", "bias")}
        shapes[f"norm_layer.{layer}.1.weight"] = (1024, 256)
    return shapes


def _published(case: Case, golden: Path, fill: ModuleType) -> Arrays:
    """Everything that the released checkpoint holds, with the golden weights in its visual part."""
    prefix = "model.video_tower."
    table = json.loads((golden / "video_panda_shapes.json").read_text())
    tower: Shapes = {n.removeprefix(prefix): tuple(s) for n, s in table.items() if n.startswith(prefix)}
    projector: Shapes = {"video_projector.0.weight": (256, 1024), "video_projector.0.bias": (256,)}
    projector |= {"video_projector.2.weight": (256, 256), "video_projector.2.bias": (256,)}
    found: Arrays = {prefix + name: value for name, value in fill.weights(tower, case.seed).items()}
    found |= {f"model.{name}": value for name, value in fill.weights(projector, case.seed).items()}
    for name in list(found):
        found[name.replace("video_tower", "vision_tower").replace("video_projector", "mm_projector")] = found[name]
    if case.form == "eve":
        frames = ("patch_embedding", "class_embedding", "split_embedding", "local_attention", "global_attention")
        found = {
            n: v for n, v in found.items() if "mm_projector" in n or ("vision_tower" in n and n.split(".")[2] in frames)
        }
    compressor = "vision_tower_compressor" if case.form == "eve" else "video_tower_compressor"
    found |= {f"model.{compressor}.{name}": value for name, value in fill.weights(_head(), case.seed).items()}
    teacher = {"pre_layrnorm.weight": np.ones(1024, np.float32)}
    places = ["vision_clip."] if case.form == "eve" else ["video_teacher.", "video_tower_compressor.teacher_layer."]
    found |= {f"model.{place}video_tower.{name}": value for place in places for name, value in teacher.items()}
    found |= fill.weights(_language_model(), case.seed)
    return found


def _save(arrays: Arrays, folder: Path, shards: int = 4) -> Path:
    """As transformers 4.31 saved it: pickled shards with an index."""
    folder.mkdir()
    index: dict[str, str] = {}
    for number in range(shards):
        name = f"pytorch_model-{number + 1:05}-of-{shards:05}.bin"
        part = {key: torch.from_numpy(arrays[key]) for key in list(arrays)[number::shards]}
        torch.save(part, folder / name)
        index |= dict.fromkeys(part, name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    config = {"model_type": "videopanda_llama", "hidden_size": 256, "num_hidden_layers": 2, "rms_norm_eps": 1e-6}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _import(*arguments: object) -> None:
    app([*map(str, ("import", *arguments))], standalone_mode=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_imported_checkpoint_gives_the_golden_outputs(
    case: Case, golden: Path, fill: ModuleType, tmp_path: Path, spec_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = _published(case, golden, fill)
    if case.form == "eve":
        spec_file.write_text(spec_file.read_text().replace("type: stab", "type: eve"))
    _import(case.form, _save(arrays, tmp_path / "released"), tmp_path / "out", "--spec", spec_file)
    assert f"every key: {tmp_path / 'out' / 'import.json'}" in capsys.readouterr().out

    model, processor = load(tmp_path / "out")
    if not case.projected:  # these files hold what goes into the projector
        model.aligner.projector = nn.Identity()
        model.aligner._llm_width = 1024  # that of the tokens then
    pixels = torch.from_numpy(fill.pixels(case.seed, 1, 4, case.pixels, case.pixels))
    with torch.no_grad():
        tokens = model.aligner(VideoBatch.full(pixels)).embeddings
    expected = np.load(golden / f"{case.file}.npz")["tokens"]
    assert np.abs(tokens.view(expected.shape).numpy() - expected).max() <= 1e-4
    assert torch.equal(model.state_dict()["backbone.lm_head.weight"], torch.from_numpy(arrays["lm_head.weight"]))
    assert processor.tokenizer.video_token_id == model.config.video_token_id

    report = json.loads((tmp_path / "out" / "import.json").read_text())
    assert {key["name"] for key in report["keys"]} == arrays.keys()
    assert report["fresh"] == []
    assert (tmp_path / "out" / DISTILLATION).is_file()
    target = eval_target(tmp_path / "out", tmp_path / "runs", ["moving-shapes"])
    assert saved_model_of(target.spec, RunFolder(target.path)) == tmp_path / "out", "`vlmkit eval` takes it as it is"


def _sparse(shapes: Shapes, file: Path) -> None:
    """A file of safetensors, bfloat16, all zeros, that takes no room on the disk."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        counts = name.endswith("num_batches_tracked")
        start, end = end, end + int(np.prod(shape, dtype=np.int64)) * (8 if counts else 2)
        header[name] = {"dtype": "I64" if counts else "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)


@pytest.mark.parametrize(
    ("form", "spec_name", "parameters", "fresh"),
    [
        ("video-panda", "video-panda-7b", 45_066_578, 0),
        ("eve", "eve-star-7b", 29_982_720, 0),
        ("eve", "video-panda-7b", 29_982_720, 15_083_858),
    ],
)
def test_shipped_specs_take_the_released_sizes(
    form: str,
    spec_name: str,
    parameters: int,
    fresh: int,
    golden: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every name and shape of the 7B checkpoints; the values are zeros and are not copied."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    table: Shapes = {n: tuple(s) for n, s in json.loads((golden / "video_panda_shapes.json").read_text()).items()}
    if form == "eve":
        temporal = ("temporal_cls_token", "balance", "lmhra", "dpe.", "dec.", "tower.proj.")
        table = {n: s for n, s in table.items() if not any(part in n for part in temporal)}
        table = {n.replace("video_pro", "mm_pro").replace("video_", "vision_"): s for n, s in table.items()}
    shapes = table | _language_model(4096, 32, 11008, 32000)
    _sparse(shapes, tmp_path / "model.safetensors")
    source, spec, released = ReleasedFiles(tmp_path), load_spec(f"specs/{spec_name}.yaml"), published_format(form)
    target = build_target(released, spec, source, None)
    plan = plan_import(released, [ReleasedSource(released, source)], target, tmp_path / "problems.txt")

    def count(names: Iterable[str]) -> int:
        return sum(target.model.get_parameter(name).numel() for name in names if name in target.parameters)

    assert count(key.ours for key in plan.taken() if key.ours.startswith("aligner.")) == parameters
    assert count(key.ours for key in plan.taken() if key.ours.startswith("backbone.")) == 6_738_415_616
    assert count(plan.fresh) == fresh
    assert sum(key.ours.startswith("distillation.") for key in plan.keys) == len(target.head)
    assert any("no tokenizer" in note for note in target.notes)


def test_mistakes_end_with_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLMKIT_DEBUG", raising=False)
    (tmp_path / "there").mkdir()
    for arguments, message in (
        (["video-pnda", tmp_path, tmp_path / "out"], "did you mean 'video-panda'?"),
        (["video-panda", tmp_path / "gone", tmp_path / "out"], "there is no such folder"),
        (["video-panda", tmp_path, tmp_path / "there"], "exists already"),
        (["video-panda", tmp_path, tmp_path / "out", "--spec", "specs/video-pandas.yaml"], "no such spec file"),
    ):
        monkeypatch.setattr(sys, "argv", ["vlmkit", "import", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
