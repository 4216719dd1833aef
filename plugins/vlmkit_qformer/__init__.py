"""Systems that read a pretrained tower by BLIP-2's Q-Former: the aligners `video-llama` and `video-chat`, and the names
of tensors in their released checkpoints.

In their papers encoder, Q-Former and its queries are frozen.
"""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec, PublishedFormat

__all__ = ["VLMKIT_API", "vlmkit_components", "vlmkit_published"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligners."""
    from vlmkit_qformer.spec import VideoChatSpec, VideoLlamaSpec

    return [VideoChatSpec, VideoLlamaSpec]


@hookimpl
def vlmkit_published() -> Sequence[PublishedFormat]:
    """The released checkpoints of Video-LLaMA and VideoChat."""
    from vlmkit_qformer.released_systems import VIDEO_CHAT, VIDEO_LLAMA

    return [VIDEO_CHAT, VIDEO_LLAMA]
