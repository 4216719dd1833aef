"""An encoder as a teacher. Shape letters as in `vlmkit.api.tensors`; P prefix tokens."""

from __future__ import annotations

from torch import Tensor

from vlmkit.api import Teacher, VideoBatch
from vlmkit_encoders.spec import VitSpec

__all__ = ["EncoderTeacher"]


class EncoderTeacher(Teacher):
    """The patch tokens of a frozen encoder. Each video is one clip of all its frames."""

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.prefix, self.patch = spec.prefix_tokens, spec.patch
        self.encoder = spec.build()

    def forward(self, video: VideoBatch) -> Tensor:
        """(B, T, h, w, C) in the dtype of the encoder's weights."""
        height = video.pixels.shape[3] // self.patch
        dtype = next(self.encoder.parameters()).dtype
        tokens = self.encoder(video.pixels.to(dtype))[:, :, self.prefix :]
        return tokens.unflatten(2, (height, -1))

    def load_pretrained(self) -> None:
        """Take the encoder's weights from `path`."""
        self.encoder.load_pretrained()
