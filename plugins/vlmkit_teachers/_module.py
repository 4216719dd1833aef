"""The modules of the teachers: a frozen encoder, a trained aligner, histograms of gradients with the mean color.

Shape letters: B videos, T frames, F = B*T, H W pixels, h w patches, N tokens, C channels; K bins, c cells per side of a
patch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vlmkit.api import CheckpointError, Teacher, VideoBatch
from vlmkit.api.trained_model import find_aligner, read_aligner_weights
from vlmkit_encoders.released import load_weights

if TYPE_CHECKING:
    from vlmkit_encoders.spec import VitSpec
    from vlmkit_teachers.aligner_teacher import AlignerTeacherSpec
    from vlmkit_teachers.spec import HogSpec

__all__ = ["AlignerTeacher", "EncoderTeacher", "Hog"]

_LUMA = (0.299, 0.587, 0.114)


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


class AlignerTeacher(Teacher):
    """The tokens that an aligner gives the patches; zeros where a place has none, e.g. beside the picture."""

    def __init__(self, spec: AlignerTeacherSpec) -> None:
        super().__init__()
        self.spec = spec
        self.aligner = spec.aligner.build(spec.llm_width)

    def forward(self, video: VideoBatch) -> Tensor:
        """(B, T, h, w, C) in the dtype of the aligner's tokens."""
        dtype = next((weight.dtype for weight in self.aligner.parameters()), video.pixels.dtype)
        tokens = self.aligner(video.to(dtype=dtype))
        place = tokens.patches.to(tokens.embeddings.device).flatten(1)[..., None]
        index = place.clamp(min=0).expand(-1, -1, self.spec.width)
        features = tokens.embeddings.gather(1, index).masked_fill(place < 0, 0)
        return features.unflatten(1, tokens.patches.shape[1:])

    def load_pretrained(self) -> None:
        """Take the aligner's weights from the model at `path`. A CheckpointError where it is another one."""
        spec = self.spec
        if spec.path is None:
            return
        found = find_aligner(spec.path)
        pairs = {
            "its options": (spec.aligner, found.spec),
            "the width of its LLM": (spec.llm_width, found.llm_width),
            "its weights": (spec.checksum, found.checksum),
        }
        if differ := [what for what, (wanted, there) in pairs.items() if wanted not in (None, there)]:
            raise CheckpointError(
                f"{found.folder}: expected the aligner that the spec of this teacher has noted, found another one "
                f"({' and '.join(differ)}); give the `path` of the first one, or remove `aligner`, `llm_width` and "
                "`checksum` from the spec and train anew under another name"
            )
        load_weights(self.aligner, read_aligner_weights(found.folder), str(found.folder), ("",), ())


class Hog(Teacher):
    """Features of `HogSpec`, from de-normalized pixels, in float32 whatever the dtype of the pixels."""

    mean: Tensor
    std: Tensor
    luma: Tensor

    def __init__(self, spec: HogSpec) -> None:
        super().__init__()
        self.spec = spec
        for name, values in (("mean", spec.input.mean), ("std", spec.input.std), ("luma", _LUMA)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, video: VideoBatch) -> Tensor:
        """(B, T, h, w, C) in the dtype of the pixels."""
        rgb = (video.pixels.float() * self.std.float() + self.mean.float()).clamp(0, 1)
        gray = (rgb * self.luma.float()).sum(2)
        content = video.content_box.to(gray.device)
        edges = self._edges(_differences(gray, 3, content[:, 2:]), _differences(gray, 2, content[:, :2]))
        color = _color(F.avg_pool2d(rgb.flatten(0, 1), self.spec.patch))
        features = torch.cat([edges, color], 1).permute(0, 2, 3, 1)
        return features.unflatten(0, gray.shape[:2]).to(video.pixels.dtype)

    def _edges(self, dx: Tensor, dy: Tensor) -> Tensor:
        """(B, T, H, W) gradients -> (F, c*c*(K+1), h, w): each cell's histogram and flatness, of norm 1/c."""
        bins, cells = self.spec.orientations, self.spec.cells
        dx, dy = dx.flatten(0, 1), dy.flatten(0, 1)
        position = torch.atan2(dy, dx) * (bins / math.pi)
        distance = (position[:, None] - torch.arange(bins, device=dx.device).view(-1, 1, 1)).remainder(bins)
        share = (1 - torch.minimum(distance, bins - distance)).clamp(min=0)  # linear between the two nearest bins
        histogram = F.avg_pool2d(share * torch.hypot(dx, dy)[:, None], self.spec.patch // cells)
        flat = torch.full_like(histogram[:, :1], self.spec.contrast)
        cell = F.normalize(torch.cat([histogram, flat], 1), dim=1) / cells
        return F.pixel_unshuffle(cell, cells)


def _differences(gray: Tensor, dim: int, bounds: Tensor) -> Tensor:
    """Central differences (B, T, H, W) along a dimension, 0 outside of the picture, whose `bounds` there are (B, 2).

    At the border of the picture its own pixels are repeated, so that the step to the padding is no edge.
    """
    first, last, size = bounds[:, :1], bounds[:, 1:] - 1, gray.shape[dim]
    place = torch.arange(size, device=gray.device).expand(len(bounds), -1)
    ahead, behind = (torch.minimum(torch.maximum(place + step, first), last) for step in (1, -1))
    shape = [len(gray), 1, 1, 1]
    shape[dim] = size
    after, before = (gray.gather(dim, place.view(shape).expand_as(gray)) for place in (ahead, behind))
    return (after - before) / 2


def _color(mean: Tensor) -> Tensor:
    """(F, 3, h, w) in 0..1 -> (F, 6, h, w): each channel a point on a quarter circle: even black has a direction."""
    angle = mean * (math.pi / 2)
    return torch.cat([torch.sin(angle), torch.cos(angle)], 1)
