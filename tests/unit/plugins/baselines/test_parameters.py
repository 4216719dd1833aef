"""Parameter counts of the papers, with the encoders that the specs default to, on the meta device."""

from __future__ import annotations

import pytest
import torch

from vlmkit.api import AlignerSpec
from vlmkit_baselines.spec import ChatUniViSpec, PllavaSpec, VideoChatGptSpec, VideoLlavaSpec


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        (ChatUniViSpec, 307_378_176),
        (PllavaSpec, 324_487_168),
        (VideoChatGptSpec, 307_378_176),
        (VideoLlavaSpec, 425_166_848),
    ],
)
def test_counts_with_a_7b_llm(spec: type[AlignerSpec], parameters: int) -> None:
    with torch.device("meta"):
        module = spec().build(4096)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
