"""The Q-Former with a text, padding in time, published weights and sizes, and what specs refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from vlmkit.api import AlignerSpec, CheckpointError, VideoBatch
from vlmkit_qformer.qformer import BERT_WORDS, QFormer
from vlmkit_qformer.spec import QFormerOptions, VideoChatSpec, VideoLlamaSpec

from .conftest import built, count

BOTH = [VideoChatSpec, VideoLlamaSpec]
SMALL = QFormerOptions(queries=3, layers=2, width=8, heads=2, mlp=16)


def clip(spec: AlignerSpec, videos: int = 2, present: int = 4, seed: int = 1) -> VideoBatch:
    side = spec.input.size
    pixels = torch.randn(videos, 4, 3, side, side, generator=torch.Generator().manual_seed(seed))
    frames = torch.arange(4).expand(videos, 4) < present
    return VideoBatch(pixels, torch.tensor([[0, side, 0, side]]).expand(videos, 4), frames)


def test_parameters_of_the_published_sizes() -> None:
    with torch.device("meta"):
        llama, chat = VideoLlamaSpec().build(4096), VideoChatSpec().build(4096)
        assert count(llama) == 1_113_163_648
        assert count(chat) == 1_296_599_296
        assert count(chat.encoder) + count(chat.gmhra) == 1_188_235_264  # type: ignore[arg-type]
        assert count(chat.qformer) == 105_137_664  # type: ignore[arg-type]
        assert count(llama.video_qformer) == 18_905_088  # type: ignore[arg-type]
        assert count(QFormer(QFormerOptions(), 1408, BERT_WORDS)) == 185_660_160
        assert count(QFormer(QFormerOptions(), 1024, BERT_WORDS)) == 182_121_216


@pytest.mark.parametrize("spec", BOTH)
def test_the_text_says_when_frames_are_shown(spec: type[AlignerSpec]) -> None:
    said = spec().wrap([0.0, 1.25, 2.68])
    assert said == "<Video><video></Video> The video contains 3 frames sampled at 0.0, 1.2, 2.7 seconds."
    assert spec().wrap([math.nan] * 2) == "<Video><video></Video>"


@torch.no_grad()
def test_padding_of_a_text_is_not_read() -> None:
    qformer = QFormer(SMALL, 6, words=20, positions=9).eval()
    queries, context, ids = torch.randn(2, 3, 8), torch.randn(2, 5, 6), torch.randint(20, (2, 4))
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])
    found = qformer(queries, context, ids=ids, text_mask=mask)
    alone = qformer(queries[:1], context[:1], ids=ids[:1, :3])
    torch.testing.assert_close(found[:1], alone)
    assert not torch.equal(found, qformer(queries, context, ids=ids.flip(1), text_mask=mask))


def test_mlp_of_the_last_text_does_not_train() -> None:
    qformer = QFormer(SMALL, 6, words=20)
    frozen = {name for name, parameter in qformer.named_parameters() if not parameter.requires_grad}
    dense, norm = ("dense.weight", "dense.bias"), ("LayerNorm.weight", "LayerNorm.bias")
    last = [f"intermediate.{name}" for name in dense] + [f"output.{name}" for name in (*dense, *norm)]
    assert frozen == {f"encoder.layer.1.{name}" for name in last}
    qformer(
        torch.randn(1, 3, 8), torch.randn(1, 5, 6), ids=torch.ones(1, 2, dtype=torch.long)
    ).square().sum().backward()
    reached = {name for name, parameter in qformer.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, parameter in qformer.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("present", [1, 3])
@torch.no_grad()
def test_padding_frames_are_not_read(cls: type[AlignerSpec], present: int) -> None:
    spec = cls.tiny()
    aligner, video = built(spec), clip(spec, present=present)
    found = aligner(video).embeddings
    video.pixels[:, present:] = 7
    assert torch.equal(aligner(video).embeddings, found)
    shorter = VideoBatch(video.pixels[:, :present], video.content_box, video.frame_mask[:, :present])
    torch.testing.assert_close(aligner(shorter).embeddings, found, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cls", BOTH)
@torch.no_grad()
def test_the_order_of_frames_matters(cls: type[AlignerSpec]) -> None:
    """By the positions of frames; by the convolution over them."""
    spec = cls.tiny()
    aligner, video = built(spec), clip(spec)
    before = aligner(video).embeddings
    video.pixels = video.pixels.flip(1)
    assert (aligner(video).embeddings - before).abs().max() > 1e-4


def test_initialization() -> None:
    torch.manual_seed(0)
    chat: Any = VideoChatSpec.tiny().build(48)
    llama: Any = VideoLlamaSpec.model_validate({**VideoLlamaSpec.tiny().model_dump(), "frame_table": 32}).build(48)
    assert not chat.extra_query_tokens.any()
    assert not chat.gmhra.token.any()
    for block in chat.gmhra.blocks:
        zeros = (block.attn.out_proj.weight, block.attn.out_proj.bias, block.mlp.c_proj.weight, block.mlp.c_proj.bias)
        assert not any(parameter.any() for parameter in (*zeros, block.dpe.bias))
        assert block.mlp.c_fc.weight.abs().max().item() == pytest.approx((6 / 96) ** 0.5, rel=0.05)
    assert llama.frame_positions.weight.std().item() == pytest.approx(1, rel=0.1)
    assert llama.video_query_tokens.std().item() == pytest.approx(0.02, rel=0.3)
    assert llama.qformer.encoder.layer[0].intermediate_query.dense.weight.std().item() == pytest.approx(0.02, rel=0.1)


@torch.no_grad()
def test_at_the_start_the_token_of_the_video_is_zero_and_further_queries_are_alike() -> None:
    spec = VideoChatSpec.tiny()
    torch.manual_seed(0)
    aligner: Any = spec.build(48).eval()
    features, _ = aligner.tower(clip(spec))
    assert not features[:, -1].any()
    own = aligner(clip(spec)).embeddings[:, spec.qformer.queries :]
    torch.testing.assert_close(own[:, :1].expand_as(own), own)


def published(aligner: Any) -> dict[str, Tensor]:
    """A BLIP-2 checkpoint with the Q-Former of this aligner, and what only a text needs."""
    bert = {f"Qformer.bert.{name}": value for name, value in aligner.qformer.state_dict().items()}
    norm = {f"ln_vision.{name}": value for name, value in aligner.norm.state_dict().items()}
    unused = ("embeddings.position_ids", "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight",
              "encoder.layer.0.intermediate.dense.weight", "encoder.layer.1.output.LayerNorm.bias")  # fmt: skip
    return {
        **bert,
        **norm,
        **{f"Qformer.bert.{name}": torch.ones(2) for name in unused},
        "query_tokens": aligner.query_tokens.detach(),
        "t5_proj.weight": torch.ones(2),
    }


@torch.no_grad()
def test_published_weights_are_loaded(tmp_path: Path) -> None:
    original = built(VideoLlamaSpec.tiny())
    torch.save({"model": published(original)}, tmp_path / "blip2_pretrained_flant5xxl.pth")
    torch.save({"model": {"llama_proj.weight": torch.ones(48, 32), "llama_proj.bias": torch.ones(48)}},
               tmp_path / "minigpt4.pth")  # fmt: skip
    torch.save(original.encoder.state_dict(), tmp_path / "eva_vit_g.pth")
    options = VideoLlamaSpec.tiny().model_dump()
    options["encoder"]["path"] = options["qformer"]["path"] = str(tmp_path)
    options["projector_start"] = {"path": str(tmp_path / "minigpt4.pth")}
    loaded: Any = VideoLlamaSpec.model_validate(options).build(48)
    loaded.load_pretrained()
    expected, found = original.state_dict(), loaded.state_dict()
    for name in found:
        same = name.split(".")[0] in ("encoder", "norm", "qformer", "query_tokens")
        assert torch.equal(found[name], expected[name]) == same or name.startswith("video_qformer"), name
    assert (loaded.projector.weight == 1).all()
    assert (loaded.projector.bias == 1).all()


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("query_tokens", r"missing: query_tokens \(1, 3, 32\)"),
        ("ln_vision.bias", r"missing: bias \(32,\)"),
        ("Qformer.bert.encoder.layer.0.crossattention.self.key.weight", "missing: encoder.layer.0.crossattention"),
    ],
)
def test_published_weights_that_lack_something_are_refused(tmp_path: Path, lacking: str, message: str) -> None:
    state = published(built(VideoChatSpec.tiny()))
    del state[lacking]
    torch.save(state, tmp_path / "blip2.pth")
    options = VideoChatSpec.tiny().model_dump()
    options["qformer"]["path"] = str(tmp_path / "blip2.pth")
    with pytest.raises(CheckpointError, match=message):
        VideoChatSpec.model_validate(options).build(48).load_pretrained()


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (VideoLlamaSpec, {"frame_table": 2}, "input.frames is 4, but there are positions of 2 frames"),
        (VideoLlamaSpec, {"video_qformer": {"width": 36}}, "video_qformer.width is 36, expected 32 as of `qformer`"),
        (
            VideoLlamaSpec,
            {"projector": "mlp2x_gelu", "projector_start": {"path": "x"}},
            "the projector is 'mlp2x_gelu'",
        ),
        (VideoLlamaSpec, {"qformer": {"width": 768, "heads": 5}}, "heads is 5, which does not divide the width 768"),
        (VideoChatSpec, {"gmhra": {"layers": 4, "heads": 4}}, "gmhra.layers is 4, .*outputs of 3 blocks"),
        (VideoChatSpec, {"gmhra": {"layers": 1, "heads": 5}}, "gmhra.heads is 5, which does not divide the width 32"),
        (VideoChatSpec, {"input": {"frames": 4, "size": 30}}, "do not tile 30x30"),
    ],
)
def test_specs_that_make_no_sense_are_refused(cls: type[AlignerSpec], options: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        cls.model_validate({**cls.tiny().model_dump(), **options})


@pytest.mark.parametrize("cls", BOTH)
def test_the_number_of_tokens_depends_on_no_video(cls: type[AlignerSpec]) -> None:
    spec = cls()
    shapes = [spec.input.shape(*sides, present) for sides in ((640, 360), (360, 640)) for present in (1, 8)]
    assert {spec.layout(shape).tokens for shape in shapes} == {32 if cls is VideoLlamaSpec else 96}
    with pytest.raises(ValueError, match=r"takes 1 to 8 frames .*found 9"):
        spec.layout(shapes[1]._replace(frames=9, num_frames_present=9))


@torch.no_grad()
def test_other_encoders_fit() -> None:
    """One word in the spec."""
    sizes = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "patch": 14, "image_size": 28}
    for cls in BOTH:
        for name in ("clip-vision", "umt-l", "dinov2"):
            spec = cls.model_validate({**cls.tiny().model_dump(), "encoder": {"type": name, **sizes}})
            assert torch.isfinite(built(spec)(clip(spec)).embeddings).all()
