"""The aligner `video-chat2` against the reference; pictures, padding, texts, drop path, and published weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from vlmkit.api import CheckpointError, TextBatch, UserError, VideoBatch
from vlmkit.checkpoints.formats import import_state_dict, match_name, published_format
from vlmkit_qformer.video_chat2 import VideoChat2Spec

from .conftest import built, count

torch.set_num_threads(1)
FILES = ["videochat2_2x4x224", "videochat2_1x8x224", "videochat2_image_2x1x224"]


def clip(*present: int, slots: int = 4) -> VideoBatch:
    pixels = torch.randn(len(present), slots, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    frames = torch.arange(slots) < torch.tensor(present)[:, None]
    return VideoBatch(pixels, torch.tensor([[0, 28, 0, 28]]).expand(len(present), 4), frames)


def texts(*videos: int) -> TextBatch:
    """One about each of these videos; no two are alike."""
    ids = torch.arange(3) + 5 * torch.arange(1, len(videos) + 1)[:, None]
    return TextBatch(ids, torch.ones_like(ids, dtype=torch.bool), torch.tensor(videos))


def of_case(case: Any) -> VideoChat2Spec:
    qformer = {name: case[f"q{name}"] for name in ("width", "heads", "layers", "mlp", "positions")}
    qformer |= {"queries": case["num_queries"], "cross_every": case["cross_every"], "words": case["vocab"]}
    sizes = {"width": case["width"], "heads": case["heads"], "layers": case["blocks"], "patch": case["patch"]}
    return VideoChat2Spec.model_validate(
        {
            "input": {"frames": max(case["T"], 4), "size": case["px"]},
            "encoder": {"type": "umt-l", **sizes, "mlp": 256, "frames": case["checkpoint_frames"]},
            "qformer": qformer,
            "text": {"source": "instruction", "length": case["qpositions"]},
            "extra_queries": case["extra_queries"],
        }
    )


@pytest.mark.parametrize("name", FILES)
def test_outputs_and_gradients(golden_file: Any, name: str) -> None:
    case = golden_file(name)
    aligner: Any = of_case(case).build(case["llm_width"]).eval()
    state = import_state_dict("video-chat2", case.checkpoint())
    aligner.load_state_dict({name.removeprefix("aligner."): value for name, value in state.items()})
    ids = torch.from_numpy(case["ids"])
    text = TextBatch(ids, torch.from_numpy(case["ids_mask"]).bool(), torch.arange(len(ids)))
    video = VideoBatch.full(case.pixels())
    features, _ = aligner.tower(video)
    case.check("encoder", features.unflatten(1, (case["T"], -1)))
    tokens = aligner(video, text).embeddings
    case.check("tokens", tokens)
    parameters, form = dict(aligner.named_parameters()), published_format("video-chat2")
    ours = {name: match_name(form, name).name.removeprefix("aligner.") for name in case["names"].tolist()}
    case.check_gradients(tokens, {name: parameters[own] for name, own in ours.items()})


def test_parameters_of_the_published_sizes() -> None:
    """The code leaves the tower's last block out; the paper's 496M has it, and 8,388,608 of LoRA on q and v."""
    with torch.device("meta"):
        coded: Any = VideoChat2Spec().build(4096)
        whole = VideoChat2Spec.model_validate({"encoder": {"type": "umt-l", "layers": 24}}).build(4096)
    assert count(coded) == 475_823_872
    assert [count(part) for part in (coded.encoder, coded.norm, coded.qformer, coded.projector)] == [
        290_477_056, 2_048, 182_121_216, 3_149_824,
    ]  # fmt: skip
    assert (coded.query_tokens.numel(), coded.extra_query_tokens.numel()) == (24_576, 49_152)
    assert count(whole) == 488_419_072
    assert count(whole) + 32 * 2 * 16 * (4096 + 4096) == 496_807_680


def test_the_text_says_what_is_shown() -> None:
    said = VideoChat2Spec().wrap([0.0, 1.25])
    assert said == "<Video><video></Video> The video contains 2 frames sampled at 0.0, 1.2 seconds."
    assert VideoChat2Spec().wrap([math.nan]) == "<Image><video></Image>"


@torch.no_grad()
def test_padding_frames_are_not_looked_at() -> None:
    aligner = built(VideoChat2Spec.tiny())
    video, text = clip(3, 1, 4, 3), texts(0, 1, 2, 3)
    found = aligner(video, text).embeddings
    video.pixels[~video.frame_mask] = 7
    assert torch.equal(aligner(video, text).embeddings, found)
    for row, present in enumerate((3, 1, 4, 3)):
        alone = VideoBatch.full(video.pixels[row : row + 1, :present])
        own = TextBatch(text.ids[row : row + 1], text.mask[row : row + 1], torch.tensor([0]))
        torch.testing.assert_close(aligner(alone, own).embeddings[0], found[row], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_each_text_has_tokens_of_its_own_and_the_tower_sees_a_video_once() -> None:
    aligner, seen = built(VideoChat2Spec.tiny()), []
    aligner.encoder.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape[:2])))
    video = clip(4, 4)
    found = aligner(video, texts(1, 0, 1)).embeddings
    assert seen == [(2, 4)]
    other = aligner(video, texts(1, 0)).embeddings
    torch.testing.assert_close(found[:2], other)
    assert (found[0] - found[2]).abs().max() > 1e-4
    with pytest.raises(UserError, match="reads a text with each video"):
        aligner(video)


def test_frames_see_each_other() -> None:
    spec = VideoChat2Spec.tiny()
    aligner, video = built(spec), clip(4)
    with torch.no_grad():
        before = aligner(video, texts(0)).embeddings
        video.pixels = video.pixels.flip(1)
        assert (aligner(video, texts(0)).embeddings - before).abs().max() > 1e-4


def test_initialization_and_drop_path() -> None:
    torch.manual_seed(0)
    aligner: Any = VideoChat2Spec.tiny().build(48)
    assert not aligner.extra_query_tokens.any()
    assert aligner.query_tokens.any()
    assert aligner.norm.eps == 1e-12
    with torch.device("meta"):
        layers = VideoChat2Spec.model_validate({"encoder": {"type": "umt-l", "layers": 1}}).build(64).qformer.encoder  # type: ignore[union-attr]
    rates = [layer.output_query.drop_path for layer in layers.layer]  # type: ignore[union-attr]
    assert rates == pytest.approx([0.2 * number / 11 for number in range(12)])


def published(aligner: Any) -> dict[str, Tensor]:
    """A checkpoint of the first stage with the weights of this aligner, and what only this stage needs."""
    named = {
        "vision_encoder.encoder": aligner.encoder,
        "vision_layernorm": aligner.norm,
        "qformer.bert": aligner.qformer,
    }
    state = {f"{begin}.{name}": value for begin, part in named.items() for name, value in part.state_dict().items()}
    unused = ("qformer.bert.embeddings.position_ids", "qformer.cls.predictions.bias", "vision_temp_embed", "temp")
    return {**state, "query_tokens": aligner.query_tokens.detach(), **dict.fromkeys(unused, torch.ones(2))}


def with_path(path: Path) -> VideoChat2Spec:
    options = VideoChat2Spec.tiny().model_dump()
    options["encoder"]["path"] = options["qformer"]["path"] = str(path)
    return VideoChat2Spec.model_validate(options)


@torch.no_grad()
def test_it_starts_from_the_first_stage(tmp_path: Path) -> None:
    original = built(VideoChat2Spec.tiny())
    torch.save(published(original), tmp_path / "umt_l16_qformer.pth")
    loaded: Any = with_path(tmp_path / "umt_l16_qformer.pth").build(48)
    loaded.load_pretrained()
    expected = original.state_dict()
    same = {name: torch.equal(value, expected[name]) for name, value in loaded.state_dict().items()}
    assert {name for name, equal in same.items() if not equal} == {
        "extra_query_tokens", "projector.weight", "projector.bias",
    }  # fmt: skip


@pytest.mark.parametrize("lacking", ["query_tokens", "vision_layernorm.bias", "qformer.bert.embeddings.LayerNorm.bias"])
def test_a_first_stage_that_lacks_something_is_refused(tmp_path: Path, lacking: str) -> None:
    state = published(built(VideoChat2Spec.tiny()))
    del state[lacking]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=f"missing: {lacking.split('.bert.')[-1].split('norm.')[-1]}"):
        with_path(tmp_path / "weights.pth").build(48).load_pretrained()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": {"source": "instruction", "length": 25}}, "text.length is 25, but there are positions of 24 tokens"),
        ({"text": {"length": 24, "tokenizer": {"text": ["a"], "vocab_size": 61}}}, "the table has 60 words"),
        ({"input": {"frames": 4, "size": 30}}, "do not tile 30x30"),
    ],
)
def test_specs_that_make_no_sense_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        VideoChat2Spec.model_validate({**VideoChat2Spec.tiny().model_dump(), **options})


def test_the_number_of_tokens_depends_on_no_video() -> None:
    spec = VideoChat2Spec()
    shapes = [spec.input.shape(*sides, present) for sides in ((640, 360), (360, 640)) for present in (1, 8)]
    assert {spec.layout(shape).tokens for shape in shapes} == {96}


@torch.no_grad()
def test_towers_that_see_each_frame_alone_fit() -> None:
    sizes = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "patch": 14, "image_size": 28}
    for name in ("eva-clip-g", "languagebind-video"):
        options = {**VideoChat2Spec.tiny().model_dump(), "encoder": {"type": name, **sizes}}
        tokens = built(VideoChat2Spec.model_validate(options))(clip(4, 2), texts(0, 1)).embeddings
        assert torch.isfinite(tokens).all()
