"""stab on several videos at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vlmkit.api import VideoBatch
from vlmkit.testing.module_checks import operator_calls
from vlmkit_stab.spec import StabSpec

FULL, WIDE, TALL = (0, 48, 0, 48), (16, 32, 0, 48), (0, 48, 16, 48)
Make = Callable[..., StabSpec]
Videos = Callable[..., VideoBatch]
Awake = Callable[[nn.Module], nn.Module]


def one(video: VideoBatch, row: int) -> VideoBatch:
    return VideoBatch(video.pixels[row : row + 1], video.content_box[row : row + 1], video.frame_mask[row : row + 1])


@pytest.mark.parametrize("options", [{}, {"chunk_frames": "all"}, {"downsampler_position": "before-lste"}], ids=str)
def test_the_same_tokens_alone_and_among_others(
    tiny: Make, videos: Videos, awake: Awake, options: dict[str, object]
) -> None:
    aligner = awake(tiny(**options).build(32))
    batch = videos([FULL, WIDE, TALL, WIDE, FULL], [8, 8, 8, 3, 0])
    with torch.no_grad():
        together = aligner(batch)
        for row in range(5):
            alone = aligner(one(batch, row)).embeddings[0]
            assert torch.allclose(together.embeddings[row, : len(alone)], alone, atol=2e-6)
            assert together.mask[row].sum() == len(alone)


def test_padded_frames_take_part_in_their_chunk_and_give_their_own_tokens(
    tiny: Make, videos: Videos, awake: Awake
) -> None:
    aligner = awake(tiny().build(32))
    batch = videos([FULL], [7])
    other = VideoBatch(batch.pixels.clone(), batch.content_box, batch.frame_mask)
    other.pixels[0, 7] += 1
    with torch.no_grad():
        before, after = aligner(batch).embeddings[0], aligner(other).embeddings[0]
    assert torch.equal(before[: 4 * 13], after[: 4 * 13])
    assert not torch.allclose(before[4 * 13 : 5 * 13], after[4 * 13 : 5 * 13])


def calls(aligner: nn.Module, video: VideoBatch) -> int:
    with torch.no_grad():
        return operator_calls(lambda: aligner(video))


def test_operator_calls_grow_neither_with_frames_nor_with_videos(tiny: Make, videos: Videos) -> None:
    aligner = tiny().build(32).eval()
    few = calls(aligner, videos([FULL, WIDE], frames=4))
    assert calls(aligner, videos([FULL, WIDE], frames=16)) == few
    assert calls(aligner, videos([FULL, WIDE] * 4, frames=4)) == few
    assert calls(aligner, videos([FULL], frames=4)) == calls(aligner, videos([FULL] * 8, frames=8))


def test_norm_counts_each_video_by_itself(tiny: Make, videos: Videos) -> None:
    """In training a video is normalized by its own statistics, and the running ones see one video after the other."""
    batch = videos([FULL, FULL, FULL])
    together, apart = tiny(dropout=0).build(32), tiny(dropout=0).build(32)
    for norm in (together.lste.lmhra, apart.lste.lmhra):
        nn.init.normal_(norm.expand.weight, generator=torch.Generator().manual_seed(0))
    apart.load_state_dict(together.state_dict())
    tokens = together.train()(batch).embeddings
    singles = torch.cat([apart.train()(one(batch, row)).embeddings for row in range(3)])
    assert torch.allclose(tokens, singles, atol=2e-5)
    ours, theirs = together.lste.lmhra.norm, apart.lste.lmhra.norm
    assert torch.allclose(ours.running_mean, theirs.running_mean, atol=1e-6)
    assert torch.allclose(ours.running_var, theirs.running_var, atol=1e-6)
    assert ours.num_batches_tracked.item() == theirs.num_batches_tracked.item() == 3


def test_norm_is_batch_norm_of_one_video(tiny: Make) -> None:
    norm = tiny().build(32).lste.lmhra.norm.train()
    reference = nn.BatchNorm1d(64).train()
    x = torch.randn(1, 50, 64) * 3 + 1
    factor, offset = norm(x)
    expected: Tensor = reference(x[0])
    assert torch.allclose(x[0] * factor + offset, expected, atol=1e-5)
    assert torch.allclose(norm.running_mean, reference.running_mean)
    assert torch.allclose(norm.running_var, reference.running_var)


def test_gradients_of_a_batch_are_those_of_its_videos(tiny: Make, videos: Videos, awake: Awake) -> None:
    aligner = awake(tiny().build(32).double())
    batch = videos([WIDE, FULL, WIDE], [8, 8, 6]).to(dtype=torch.float64)
    cotangent = torch.randn(3, 8 * 13, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def gradients(rows: list[int]) -> Tensor:
        aligner.zero_grad()
        for row in rows:
            tokens = aligner(one(batch, row)).embeddings[0]
            (tokens * cotangent[row, : len(tokens)]).sum().backward()
        return torch.cat([p.grad.flatten() for p in aligner.parameters()])

    apart = gradients([0, 1, 2])
    aligner.zero_grad()
    visual = aligner(batch)
    (visual.embeddings * cotangent[:, : visual.embeddings.shape[1]]).sum().backward()
    together = torch.cat([p.grad.flatten() for p in aligner.parameters()])
    assert torch.allclose(together, apart, atol=1e-9)


def test_bfloat16_is_close(tiny: Make, videos: Videos, awake: Awake) -> None:
    aligner, batch = awake(tiny().build(32)), videos([FULL, WIDE], [8, 5])
    with torch.no_grad():
        exact = aligner(batch).embeddings
        with torch.autocast("cpu", torch.bfloat16):
            mixed = aligner(batch).embeddings
        rounded = aligner.bfloat16()(batch).embeddings
    for coarse in (mixed, rounded):
        assert coarse.dtype == torch.bfloat16
        assert (coarse - exact).norm() / exact.norm() < 0.03
