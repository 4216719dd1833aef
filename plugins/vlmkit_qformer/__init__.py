"""Systems that read a pretrained tower by BLIP-2's Q-Former: the aligners `llama-vid`, `video-chat`, `video-chat2` and
`video-llama`, and the names of tensors in their released checkpoints.

In the papers of `video-chat` and `video-llama` encoder, Q-Former and its queries are frozen.
"""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec, PublishedFormat

__all__ = ["VLMKIT_API", "vlmkit_components", "vlmkit_published"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligners."""
    from vlmkit_qformer.llama_vid import LlamaVidSpec
    from vlmkit_qformer.spec import VideoChatSpec, VideoLlamaSpec
    from vlmkit_qformer.video_chat2 import VideoChat2Spec

    return [LlamaVidSpec, VideoChat2Spec, VideoChatSpec, VideoLlamaSpec]


@hookimpl
def vlmkit_published() -> Sequence[PublishedFormat]:
    """The released checkpoints of LLaMA-VID, Video-LLaMA, VideoChat and VideoChat2."""
    from vlmkit_qformer.released_stages import VIDEO_CHAT2
    from vlmkit_qformer.released_systems import LLAMA_VID, VIDEO_CHAT, VIDEO_LLAMA

    return [LLAMA_VID, VIDEO_CHAT, VIDEO_CHAT2, VIDEO_LLAMA]
