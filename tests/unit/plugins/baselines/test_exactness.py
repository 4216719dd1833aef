"""Each aligner against a slow version that takes one video, one frame, one token at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vlmkit.api import Aligner, EncoderSpec, VideoBatch, VideoInput, VisualTokens
from vlmkit_baselines._chat_univi import TokenGroups, cluster_tokens
from vlmkit_baselines.spec import ChatUniViSpec, PllavaSpec, Scale, VideoChatGptSpec, VideoLlavaSpec
from vlmkit_pooling.spec import AdaptivePoolSpec

Tiny = Callable[..., EncoderSpec]
Videos = Callable[..., VideoBatch]
SIZE, GRID = 16, 4


def built(spec: ChatUniViSpec | PllavaSpec | VideoChatGptSpec | VideoLlavaSpec, width: int = 5) -> Aligner:
    torch.manual_seed(0)
    return spec.build(width).double().eval()


def frame_features(module: nn.Module, video: Tensor, present: int) -> list[Tensor]:
    """Patch features of each present frame, encoded by itself."""
    return [module.encoder(video[None, index : index + 1])[0, 0, 1:] for index in range(present)]


def check(out: VisualTokens, expected: list[list[Tensor]]) -> None:
    assert out.mask.sum(1).tolist() == [len(tokens) for tokens in expected]
    for row, tokens in enumerate(expected):
        torch.testing.assert_close(out.embeddings[row, : len(tokens)], torch.stack(tokens), rtol=1e-9, atol=1e-9)
        assert not out.embeddings[row, len(tokens) :].any()


def test_video_chatgpt(tiny: Tiny, videos: Videos) -> None:
    spec = VideoChatGptSpec(input=VideoInput(frames=7, size=SIZE, fit="squash"), encoder=tiny())
    module, batch, expected = built(spec), videos([5, 2], slots=6), []
    for video, present in zip(batch.pixels, [5, 2], strict=True):
        frames = frame_features(module, video, present)
        temporal = [sum(frame[p] for p in range(16)) / 16 for frame in frames]
        temporal += [torch.zeros(6, dtype=torch.float64)] * (7 - present)
        spatial = [sum(frame[p] for frame in frames) / present for p in range(16)]
        expected.append([module.projector.weight @ token + module.projector.bias for token in temporal + spatial])
    check(module(batch), expected)


def test_video_llava(tiny: Tiny, videos: Videos) -> None:
    spec = VideoLlavaSpec(input=VideoInput(frames=4, size=SIZE, fit="crop"), encoder=tiny(temporal=True))
    module, batch, expected = built(spec), videos([4, 3]), []
    for video, order in zip(batch.pixels, [[0, 1, 2, 3], [0, 0, 1, 2]], strict=True):
        features = module.encoder(torch.stack([video[index] for index in order])[None])[0]
        expected.append([module.projector(token) for frame in features for token in frame])
    check(module(batch), expected)


def test_pllava(tiny: Tiny, videos: Videos) -> None:
    downsampler = AdaptivePoolSpec(height=2, width=3)
    spec = PllavaSpec(input=VideoInput(frames=4, size=SIZE, fit="crop"), encoder=tiny(), downsampler=downsampler)
    module, batch, expected = built(spec), videos([4, 3]), []
    bins = [range(0, 2), range(1, 3), range(2, 4)]
    for video, order in zip(batch.pixels, [[0, 1, 2, 3], [0, 0, 1, 1]], strict=True):
        tokens = []
        for index in order:
            projected = [module.projector(token) for token in module.encoder(video[None, index : index + 1])[0, 0, 1:]]
            for rows in (range(0, 2), range(2, 4)):
                for columns in bins:
                    cells = [projected[i * GRID + j] for i in rows for j in columns]
                    tokens.append(sum(cells) / len(cells))
        expected.append(tokens)
    check(module(batch), expected)


def clusters(tokens: list[Tensor], count: int, k: int) -> list[list[Tensor]]:
    """The members of each cluster, in the order of the centers. (`test_clustering.py` checks one set.)"""
    x = torch.stack(tokens)[None]
    groups = TokenGroups(torch.zeros(1, len(tokens), dtype=torch.long), 1)
    assigned = cluster_tokens(x, groups, torch.tensor([count]), torch.tensor([k]), (count, k))[0].tolist()
    return [[token for token, at in zip(tokens, assigned, strict=True) if at == cluster] for cluster in range(count)]


def mean(tokens: list[Tensor]) -> Tensor:
    return sum(tokens[1:], tokens[0]) / len(tokens)


def slow_chat_univi(frames: list[Tensor]) -> list[Tensor]:
    """8 and 3 tokens per event of 5 frames, 4 and 2 neighbors; events with 5 neighbors."""
    count = -(-len(frames) // 5)
    means = [mean(list(frame)) for frame in frames]
    members = clusters(means, count, 5 if count >= 5 else min(3, max(count // 2, 1)))
    events = [sorted(next(i for i, m in enumerate(means) if m is token) for token in event) for event in members]
    scales: list[list[list[Tensor]]] = [[], []]
    for frame in frames:
        first = [mean(cluster) for cluster in clusters(list(frame), 8, 4)]
        scales[0].append(first)
        scales[1].append([mean(cluster) for cluster in clusters(first, 3, 2)])
    out = []
    for event in sorted(events):
        for scale, (number, k) in zip(scales, [(8, 4), (3, 2)], strict=True):
            joined = [token for index in event for token in scale[index]]
            out += [mean(cluster) for cluster in clusters(joined, number, k)]
    return out


def test_chat_univi(tiny: Tiny, videos: Videos) -> None:
    scales = (Scale(tokens=8, neighbours=4), Scale(tokens=3, neighbours=2))
    given = VideoInput(frames=30, size=SIZE, fit="crop", sampling="one-fps")
    spec = ChatUniViSpec(input=given, encoder=tiny(), scales=scales, event_frames=5)
    lengths = [13, 1, 27, 6]
    module, batch = built(spec), videos(lengths)
    expected = []
    for video, present in zip(batch.pixels, lengths, strict=True):
        tokens = slow_chat_univi(frame_features(module, video, present))
        expected.append([module.projector.weight @ token + module.projector.bias for token in tokens])
    assert [len(tokens) for tokens in expected] == [33, 11, 66, 22]
    check(module(batch), expected)
