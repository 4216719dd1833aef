"""What every one of the aligners keeps to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.api import Aligner, AlignerSpec, EncoderSpec, VideoBatch, VideoInput
from vlmkit.testing.module_checks import operator_calls
from vlmkit_baselines._chat_univi import ChatUniVi
from vlmkit_baselines._module import VideoChatGpt
from vlmkit_baselines.spec import ChatUniViSpec, PllavaSpec, Scale, VideoChatGptSpec, VideoLlavaSpec
from vlmkit_pooling.spec import AdaptivePoolSpec, NoneSpec

Videos = Callable[..., VideoBatch]
NAMES = ["chat-univi", "pllava", "pllava-all", "video-chatgpt", "video-llava"]


@pytest.fixture(params=NAMES)
def spec(request: pytest.FixtureRequest, tiny: Callable[..., EncoderSpec]) -> AlignerSpec:
    given = VideoInput(frames=12, size=16, fit="crop", sampling="one-fps")
    common: dict[str, Any] = {"input": given, "encoder": tiny()}
    scales = (Scale(tokens=8, neighbours=5), Scale(tokens=4, neighbours=3))
    made: dict[str, Callable[[], AlignerSpec]] = {
        "chat-univi": lambda: ChatUniViSpec(**common, scales=scales, event_frames=3),
        "pllava": lambda: PllavaSpec(**common, downsampler=AdaptivePoolSpec(height=2, width=3)),
        "pllava-all": lambda: PllavaSpec(**common, downsampler=NoneSpec()),
        "video-chatgpt": lambda: VideoChatGptSpec(**common),
        "video-llava": lambda: VideoLlavaSpec(**{**common, "encoder": tiny(temporal=True)}),
    }
    return made[str(request.param)]()


@pytest.fixture
def module(spec: AlignerSpec) -> Aligner:
    torch.manual_seed(0)
    return spec.build(5).double().eval()


def test_layout_says_what_comes_out(spec: AlignerSpec, module: Aligner, videos: Videos) -> None:
    batch = videos([12, 1, 5, 7])
    out = module(batch)
    layouts = [spec.layout(shape) for shape in batch.shapes()]
    assert out.embeddings.shape == (4, max(layout.tokens for layout in layouts), 5)
    for row, layout in enumerate(layouts):
        assert out.mask[row].tolist() == [at < layout.tokens for at in range(out.mask.shape[1])]
        assert np.array_equal(out.patches[row].numpy(), layout.patches)


def test_a_video_does_not_see_its_batch(module: Aligner, videos: Videos) -> None:
    together = videos([4, 12, 1])
    mixed = module(together)
    for row, present in enumerate([4, 12, 1]):
        alone = module(VideoBatch.full(together.pixels[row : row + 1, :present]))
        tokens = alone.mask.shape[1]
        assert mixed.mask[row].sum() == tokens
        torch.testing.assert_close(mixed.embeddings[row, :tokens], alone.embeddings[0], rtol=1e-9, atol=1e-9)


def test_frames_that_are_padding_do_not_matter(module: Aligner, videos: Videos) -> None:
    first, second = videos([4, 9], slots=11), videos([4, 9], slots=11, seed=1)
    here = first.frame_mask[:, :, None, None, None]
    changed = VideoBatch(first.pixels.where(here, second.pixels), first.content_box, first.frame_mask)
    assert not torch.equal(first.pixels, changed.pixels)
    assert torch.equal(module(first).embeddings, module(changed).embeddings)


def test_operator_calls_do_not_grow(module: Aligner, videos: Videos) -> None:
    batches = [videos(present) for present in ([5, 3], [12, 7], [12, 11, 4, 8, 1])]
    with torch.no_grad():
        counts = [operator_calls(partial(module, batch)) for batch in batches]
    assert len(set(counts)) == 1, counts


def test_gradients_reach_every_parameter_and_no_padding(module: Aligner, videos: Videos) -> None:
    batch = videos([5, 12])
    batch.pixels.requires_grad_()
    module(batch).embeddings.square().sum().backward()
    for name, parameter in module.named_parameters():
        if name == "encoder.cls" and parameter.grad is not None and not parameter.grad.any():
            continue  # only video-llava keeps CLS
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    assert batch.pixels.grad is not None
    assert not batch.pixels.grad[0, 5:].any()
    assert batch.pixels.grad[0, :4].flatten(1).any(1).all()


def test_patches_find_the_token_of_a_cell(module: Aligner, videos: Videos) -> None:
    """A change of one cell's pixels reaches the token at `patches`, and more than any other of the frame."""
    batch = videos([12])
    out = module(batch)
    assert (out.patches < 0).all() == isinstance(module, ChatUniVi | VideoChatGpt)
    if (out.patches < 0).all():
        return  # no token stands at a cell
    height, width = out.patches.shape[2:]
    changed = batch.pixels.clone()
    changed[0, 3, :, -1, -1] += 1  # the last cell of frame 3
    moved = (module(VideoBatch.full(changed)).embeddings - out.embeddings)[0].norm(dim=-1)
    patches_of_frame = out.patches[0, 3].flatten()
    assert int(patches_of_frame[moved[patches_of_frame].argmax()]) == int(out.patches[0, 3, height - 1, width - 1])
    assert moved[patches_of_frame[-1]] > 0


def test_same_video_same_tokens(module: Aligner, videos: Videos) -> None:
    assert torch.equal(module(videos([7])).embeddings, module(videos([7])).embeddings)


def test_still_picture(module: Aligner, videos: Videos) -> None:
    """Frames that are all the same are the hardest ties."""
    still = videos([1]).pixels.expand(2, 9, -1, -1, -1).clone()
    out = module(VideoBatch.full(still)).embeddings
    torch.testing.assert_close(out[0], out[1])
    assert out.isfinite().all()


def test_bfloat16(module: Aligner, videos: Videos) -> None:
    out = module.bfloat16()(videos([5, 12]).to(dtype=torch.bfloat16))
    assert out.embeddings.dtype == torch.bfloat16
    assert out.embeddings.isfinite().all()


def test_runs_on_the_meta_device(spec: AlignerSpec, videos: Videos) -> None:
    with torch.device("meta"):
        module = spec.build(5)
    batch = videos([5, 12]).to("meta", torch.float32)
    out = module(batch)
    assert out.embeddings.shape[1] == max(spec.layout(shape).tokens for shape in batch.shapes())


def test_pretrained_weights_are_the_encoders(module: Aligner) -> None:
    module.load_pretrained()
    assert module.encoder.loaded == 1
