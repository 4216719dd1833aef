"""Pretrained vision towers: CLIP, LanguageBind (image and video), DINOv2, EVA-CLIP, InternVideo2, UMT.

Each exists once and serves the encoder-based aligners and the teachers alike. Without `path` its weights are random.
"""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The encoders."""
    from vlmkit_encoders import eva_umt, spec

    return [
        spec.ClipVisionSpec,
        spec.DinoV2Spec,
        eva_umt.EvaClipSpec,
        spec.InternVideo2Spec,
        spec.LanguageBindImageSpec,
        spec.LanguageBindVideoSpec,
        eva_umt.UmtSpec,
    ]
