"""The encoder-based systems that Video-Panda is measured against: a pretrained vision tower, a way to few tokens, a
projector.

`video-chatgpt`, `video-llava`, `pllava` and `chat-univi` differ in the frames they take and in how those become tokens.
In their papers the encoder is frozen: a stage trains `aligner.projector` alone.
"""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The four aligners."""
    from vlmkit_baselines.spec import ChatUniViSpec, PllavaSpec, VideoChatGptSpec, VideoLlavaSpec

    return [ChatUniViSpec, PllavaSpec, VideoChatGptSpec, VideoLlavaSpec]
