"""Videos of different sides, each on a canvas of its own, from a spec to answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vlmkit.cli import app
from vlmkit.errors import SpecError, UserError
from vlmkit.model import VideoLM, VideoLMProcessor, load
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec
from vlmkit.training.stages import train
from vlmkit_datasets._clips import write_video

pytestmark = pytest.mark.usefixtures("quick")
ALIGNERS: dict[str, dict[str, Any]] = {
    "eve-v2": {"input": {"frames": 2, "size": 32, "multiple": 8}},
    "neo": {"input": {"frames": 2, "multiple": 8, "min_pixels": 256, "max_pixels": 1024}},
}
LLAMA = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
BACKBONE = {
    "type": "hf-causal-lm",
    "init": "random",
    "config": LLAMA | {"num_attention_heads": 2, "num_key_value_heads": 2, "initializer_range": 0.1},
    "tokenizer": {"text": ["which colour is it red blue"], "vocab_size": 262},
}
_LONG = {"eve-v2": 56, "neo": 48}
"""The long side of the wide and the tall clips on their canvas: sides are rounded, or rounded down."""
SIDES = {"wide": (32, 96), "tall": (96, 32), "square": (64, 64)}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A red and a blue clip of each shape, with conversations about all of them beside."""
    folder, rows, found = tmp_path_factory.mktemp("clips"), [], {}
    for name, (height, width) in SIDES.items():
        for color, rgb in (("red", (200, 20, 20)), ("blue", (20, 20, 200))):
            path = found[f"{name}-{color}"] = folder / f"{name}-{color}.mp4"
            write_video(path, np.full((8, height, width, 3), rgb, np.uint8), 4)
            turns = [{"from": "human", "value": "<video>\nwhich colour is it"}, {"from": "gpt", "value": color}]
            rows.append({"id": path.stem, "video": str(path), "conversations": turns})
    (folder / "data.json").write_text(json.dumps(rows))
    return found


@pytest.fixture(scope="module")
def make(clips: dict[str, Path]) -> Callable[..., dict[str, Any]]:
    """A spec that trains everything on these clips."""

    def make(aligner: str, **training: Any) -> dict[str, Any]:
        data = {"type": "llava-json", "path": str(next(iter(clips.values())).parent / "data.json")}
        stage = {"name": "all", "data": [data], "batch_size": 6, "warmup": 0, "steps": 20}
        stage |= {"train": {"aligner": 3e-2, "backbone": 3e-2}}
        return {
            "vlmkit": 1,
            "name": "canvases",
            "seed": 1,
            "model": {"aligner": {"type": aligner, "width": 16, "patch": 4} | ALIGNERS[aligner], "backbone": BACKBONE},
            "training": {"log_every": 1, "stages": [stage]} | training,
        }

    return make


@pytest.fixture(scope="module", params=ALIGNERS)
def run(request: pytest.FixtureRequest, make: Any, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with batches of all shapes."""
    spec = ExperimentSpec.model_validate(make(request.param))
    done = RunFolder.open(spec, tmp_path_factory.mktemp("runs"))
    train(spec, done)
    return done


@pytest.fixture(scope="module")
def loaded(run: RunFolder) -> tuple[VideoLM, VideoLMProcessor]:
    """What it has trained."""
    return load(run.model)


def test_the_loss_falls(run: RunFolder) -> None:
    [file] = run.path.glob("stages/*/metrics.jsonl")
    losses = [json.loads(line)["loss"] for line in file.read_text().splitlines()]
    assert losses[-1] < 0.5 * losses[0]


def test_a_batch_answers_as_each_of_its_videos_alone(
    loaded: tuple[VideoLM, VideoLMProcessor], clips: dict[str, Path]
) -> None:
    model, processor = loaded
    videos = [str(path) for path in clips.values()]
    prompt = processor.prompt("<video>\nwhich colour is it")
    batch = processor([prompt] * len(videos), videos)
    long = _LONG[processor.aligner.type]
    assert batch["pixel_values_videos"].shape[3:] == (long, long), "as high as the tallest, as wide as the widest"
    assert batch["content_box"][:, [1, 3]].tolist()[::2] == [[16, long], [long, 16], [32, 32]]
    with torch.no_grad():
        together = model(**batch, use_cache=False).logits
        for row, video in enumerate(videos):
            one = processor([prompt], [video])
            alone = model(**one, use_cache=False).logits[0]
            stands = batch["attention_mask"][row].bool()
            torch.testing.assert_close(together[row][stands], alone, atol=1e-4, rtol=1e-4)
    answers = model.generate(**batch, max_new_tokens=5, do_sample=False)[:, batch["input_ids"].shape[1] :]
    words = processor.tokenizer.batch_decode(answers, skip_special_tokens=True)
    assert [word.strip() for word in words] == ["red", "blue"] * 3


def test_engines_are_told_the_picture_with_the_most_tokens(loaded: tuple[VideoLM, VideoLMProcessor]) -> None:
    _, processor = loaded
    size = processor.video_processor.size
    sides = [(size["height"], size["width"]), (480, 480), (360, 640), (10_000, 10_000), (640, 16), (16, 640), (32, 32)]
    counts = processor._get_num_multimodal_tokens(video_sizes=[(2, *side) for side in sides])["num_video_tokens"]
    assert counts[0] == max(counts)


def test_engines_get_each_video_on_its_own_canvas(loaded: tuple[VideoLM, VideoLMProcessor]) -> None:
    _, processor = loaded
    long = _LONG[processor.aligner.type]
    frames = [np.zeros((2, *sides, 3), np.uint8) for sides in ((32, 96), (96, 32))]
    output = processor("<video> and <video>", frames, return_mm_token_type_ids=True)
    assert [pixels.shape[2:] for pixels in output["pixel_values_videos"]] == [(16, long), (long, 16)]


def test_strips_are_unreadable_videos(loaded: tuple[VideoLM, VideoLMProcessor], tmp_path: Path) -> None:
    _, processor = loaded
    with pytest.raises(UserError, match="a picture of 600x2 pixels is more than 200 times as long"):
        processor(["<video>"], [np.zeros((1, 2, 600, 3), np.uint8)])
    write_video(tmp_path / "strip.mp4", np.zeros((2, 2, 600, 3), np.uint8), 4)
    with pytest.raises(UserError, match=r"strip.mp4: a picture of 600x2 pixels"):
        processor(["<video>"], [str(tmp_path / "strip.mp4")])


def test_check_says_the_pictures_that_it_counts(make: Any, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps(make("eve-v2")))
    done = CliRunner().invoke(app, ["check", str(file)])
    assert done.exit_code == 0, done.output
    said = done.output
    assert "16:9 (640x360) video    38 tokens" in said
    assert "for 2 square (480x480) frames" in said


def test_a_teacher_needs_one_grid(make: Any, tmp_path: Path) -> None:
    teacher = {"teacher": {"type": "hog", "input": {"size": 28}}, "layer_rate": 1, "heads": 1}
    spec = make("eve-v2", distillation=teacher)
    spec["training"]["stages"][0]["train"]["distillation"] = 1e-3
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps(spec))
    with pytest.raises(SpecError, match="with fit area each video has a grid of its own") as caught:
        load_spec(file)
    assert "1 problem" in str(caught.value)


def test_the_largest_picture_has_to_fit(make: Any, tmp_path: Path) -> None:
    spec = make("eve-v2")
    spec["training"]["stages"][0]["max_length"] = 36
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps(spec))
    with pytest.raises(SpecError, match=r"video of 2 frames is \d+ tokens.* lower the aligner's `input.frames` or"):
        load_spec(file)
