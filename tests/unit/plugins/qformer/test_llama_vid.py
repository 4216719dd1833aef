"""`llama-vid`: sizes, tokens of questions and frames, published weights, and what specs refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from vlmkit.api import CheckpointError, TextBatch, UserError, VideoBatch
from vlmkit_qformer.llama_vid import LlamaVidSpec

from .conftest import built

IDS = torch.tensor([[2, 9, 4, 3], [2, 7, 3, 0], [2, 8, 8, 3]])
TEXTS = TextBatch(IDS, IDS > 0, torch.tensor([0, 1, 0]))
"""Two about the first of two videos, one about the second."""


def tiny(**options: Any) -> LlamaVidSpec:
    return LlamaVidSpec.model_validate({**LlamaVidSpec.tiny().model_dump(), **options})


def clips(present: tuple[int, int] = (4, 3)) -> VideoBatch:
    pixels = torch.randn(2, 4, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    frames = torch.arange(4) < torch.tensor(present)[:, None]
    return VideoBatch(pixels, torch.tensor([[0, 28, 0, 28]]).expand(2, 4), frames)


def test_parameters_of_the_published_size() -> None:
    with torch.device("meta"):
        aligner: Any = LlamaVidSpec().build(4096)
    sizes = {name: sum(p.numel() for p in child.parameters()) for name, child in aligner.named_children()}
    assert sizes == {
        "encoder": 985_894_528,
        "norm": 2_816,
        "qformer": 185_660_160,
        "query_projector": 1_082_752,
        "key_projector": 1_983_872,
        "value_projector": 5_771_264,
        "projector": 22_552_576,
    }
    assert sum(p.numel() for p in aligner.parameters()) == 1_202_972_544
    trained = [module for name, module in aligner.named_children() if name.endswith("projector")]
    assert sum(p.numel() for module in trained for p in module.parameters()) == 31_390_464


@torch.no_grad()
def test_the_tower_sees_each_frame_once_whatever_is_asked() -> None:
    aligner = built(tiny())
    seen: list[Tensor] = []
    aligner.encoder.register_forward_hook(lambda encoder, inputs, features: seen.append(features))
    aligner(clips(), TEXTS)
    other = TextBatch(IDS[:1] + 5, IDS[:1] > 0, torch.tensor([0]))
    aligner(clips(), other)
    assert [len(features) for features in seen] == [4 + 3, 4 + 3]
    assert torch.equal(seen[0], seen[1])


@torch.no_grad()
def test_the_question_decides_the_context_tokens_alone() -> None:
    """Each block is that of its video and text alone."""
    aligner, video = built(tiny()), clips()
    tokens = aligner(video, TEXTS)
    assert tokens.mask.sum(1).tolist() == [8, 6, 8]
    blocks = tokens.embeddings.unflatten(1, (-1, 2))
    assert torch.equal(blocks[0, :, 1], blocks[2, :, 1])
    assert (blocks[0, :, 0] - blocks[2, :, 0]).abs().max(-1)[0].min() > 1e-4
    for row, shown in enumerate(TEXTS.video_of_text.tolist()):
        count = int(video.frame_mask[shown].sum())
        one = VideoBatch.full(video.pixels[shown : shown + 1, :count])
        ids = IDS[row : row + 1, : int(TEXTS.mask[row].sum())]
        alone = aligner(one, TextBatch.from_model_inputs(ids)).embeddings[0]
        torch.testing.assert_close(tokens.embeddings[row, : 2 * count], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_long_videos_are_computed_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    aligner, video = built(tiny()), clips()
    whole = aligner(video, TEXTS).embeddings
    monkeypatch.setattr("vlmkit_qformer._llama_vid._BLOCK", 3)
    torch.testing.assert_close(aligner(video, TEXTS).embeddings, whole, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_frames_do_not_see_each_other() -> None:
    aligner, video = built(tiny()), clips((4, 4))
    before = aligner(video, TEXTS).embeddings.unflatten(1, (-1, 2))
    video.pixels[:, 2] = 0
    after = aligner(video, TEXTS).embeddings.unflatten(1, (-1, 2))
    torch.testing.assert_close(before[:, [0, 1, 3]], after[:, [0, 1, 3]])
    assert not torch.equal(before[:, 2], after[:, 2])


@pytest.mark.parametrize(("compress", "side"), [("mean", 1), ("grid:1", 1), ("grid:2", 2), ("grid:4", 4), ("none", 4)])
@torch.no_grad()
def test_content_tokens(compress: str, side: int) -> None:
    """Means of squares of patches, row by row."""
    spec = tiny(compress=compress)
    aligner, video = built(spec), clips((4, 4))
    layout = spec.layout(video.shapes()[0])
    assert layout.tokens == 4 * (1 + side**2)
    assert layout.patches.shape == (4, side, side)
    assert layout.patches[1].ravel().tolist() == [2 + side**2 + cell for cell in range(side**2)]
    blocks = aligner(video, TEXTS).embeddings.unflatten(1, (4, -1))
    features = aligner.encoder(video.pixels.flatten(0, 1)[:, None])[:, 0, 1:].unflatten(1, (4, 4))
    step = 4 // side
    for row in range(side):
        for column in range(side):
            square = features[:, row * step : (row + 1) * step, column * step : (column + 1) * step]
            expected = aligner.projector(square.mean((1, 2))).unflatten(0, (2, 4))[TEXTS.video_of_text]
            torch.testing.assert_close(blocks[:, :, 1 + row * side + column], expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_patches_that_are_left_over_are_not_used() -> None:
    spec = tiny(compress="grid:3")
    aligner, video = built(spec), clips()
    assert spec.layout(video.shapes()[0]).tokens == 4 * (1 + 16)  # 4 // 3 patches each, as the code pools
    five = tiny(
        compress="grid:2", input={"frames": 4, "size": 35}, encoder={**spec.encoder.model_dump(), "image_size": 35}
    )
    layout = five.layout(five.input.shape(480, 480, 4))
    assert layout.tokens == 4 * (1 + 4)
    assert (layout.patches == -1).all()
    aligner, pixels = built(five), torch.randn(1, 1, 3, 35, 35)
    found = aligner(VideoBatch.full(pixels), TextBatch.from_model_inputs(IDS[:1])).embeddings[0, 1:]
    features = aligner.encoder(pixels)[0, 0, 1:].unflatten(0, (5, 5))[:4, :4]
    expected = features.unflatten(1, (2, 2)).unflatten(0, (2, 2)).mean((1, 3)).flatten(0, 1)
    torch.testing.assert_close(found, aligner.projector(expected), atol=1e-5, rtol=1e-4)


def test_without_a_text_there_are_no_tokens() -> None:
    with pytest.raises(UserError, match="llama-vid reads a text with each video"):
        built(tiny())(clips())


@torch.no_grad()
def test_other_encoders_fit() -> None:
    """One word in the spec, with CLS or without."""
    sizes = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "patch": 14, "image_size": 28}
    for name in ("clip-vision", "umt-l"):
        tokens = built(tiny(encoder={"type": name, **sizes}))(clips(), TEXTS)
        assert tokens.mask.sum(1).tolist() == [8, 6, 8]


def test_initialization() -> None:
    torch.manual_seed(0)
    aligner: Any = LlamaVidSpec.tiny().build(48)
    assert aligner.query_tokens.std().item() == pytest.approx(0.02, rel=0.3)
    assert aligner.qformer.embeddings.word_embeddings.weight.std().item() == pytest.approx(0.02, rel=0.1)
    for linear in (aligner.query_projector, aligner.key_projector, aligner.value_projector):
        assert linear.weight.abs().max().item() == pytest.approx(32**-0.5, rel=0.02)  # as torch draws them


def published(aligner: Any) -> dict[str, Tensor]:
    """InstructBLIP's checkpoint with the Q-Former of this aligner."""
    bert = {f"Qformer.bert.{name}": value for name, value in aligner.qformer.state_dict().items()}
    norm = {f"ln_vision.{name}": value for name, value in aligner.norm.state_dict().items()}
    unused = {"Qformer.bert.embeddings.position_ids": torch.arange(4)[None], "llm_proj.weight": torch.ones(2)}
    return {**bert, **norm, **unused, "query_tokens": aligner.query_tokens.detach()}


@torch.no_grad()
def test_published_weights_are_loaded_with_those_for_the_text(tmp_path: Path) -> None:
    original = built(LlamaVidSpec.tiny())
    torch.save({"model": published(original)}, tmp_path / "instruct_blip_vicuna7b_trimmed.pth")
    torch.save(original.encoder.state_dict(), tmp_path / "eva_vit_g.pth")
    options = LlamaVidSpec.tiny().model_dump()
    options["encoder"]["path"] = options["qformer"]["path"] = str(tmp_path)
    loaded: Any = LlamaVidSpec.model_validate(options).build(48)
    loaded.load_pretrained()
    expected, found = original.state_dict(), loaded.state_dict()
    for name in found:
        assert torch.equal(found[name], expected[name]) == ("projector" not in name), name


@pytest.mark.parametrize("lacking", ["embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.bias"])
def test_published_weights_without_those_for_the_text_are_refused(tmp_path: Path, lacking: str) -> None:
    state = published(built(LlamaVidSpec.tiny()))
    del state[f"Qformer.bert.{lacking}"]
    torch.save(state, tmp_path / "blip.pth")
    options = LlamaVidSpec.tiny().model_dump()
    options["qformer"]["path"] = str(tmp_path / "blip.pth")
    with pytest.raises(CheckpointError, match=f"missing: {lacking}"):
        LlamaVidSpec.model_validate(options).build(48).load_pretrained()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compress": "grid:5"}, "compress is 'grid:5', but a frame has 4x4 patches"),
        ({"compress": "grid"}, "compress"),
        ({"compress": "grid:0"}, "compress"),
        ({"text": {"length": 33}}, "text.length is 33, but there are positions of 32 tokens only"),
        (
            {"text": {"length": 9, "tokenizer": {"text": ["a"], "vocab_size": 301}}},
            "text.tokenizer.vocab_size is 301, but the table has 300 words",
        ),
    ],
)
def test_specs_that_make_no_sense_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tiny(**options)
