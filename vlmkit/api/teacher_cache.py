"""Features of each video kept on disk, found again by the content of its pixels. Any teacher's: `TeacherSpec.cache`.

An entry belongs to the teacher (its options, the version of its package and every byte of its weights) and to the
fitted pixels: it can never be another video's, another sampling's or another teacher's. Hashing a video costs
milliseconds where a forward costs seconds. Features are stored bit by bit. A video that is not there is computed by
itself: its features do not depend on what else was in the batch.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vlmkit.api.modules import Teacher
from vlmkit.api.tensors import VideoBatch
from vlmkit.errors import DataError
from vlmkit.files import expand_path
from vlmkit.guard import component_label, set_spec

if TYPE_CHECKING:
    from vlmkit.api.teacher import TeacherSpec

__all__ = ["CachedTeacher"]

FORMAT = 3
"""Changes whenever entries look different."""
SAMPLE = 8
"""Values of each weight, at least, that are compared at each call."""
log = logging.getLogger(__name__)


class CachedTeacher(Teacher):
    """A teacher that computes each video once.

    Several processes can share the folder: an entry appears whole or not at all. Nothing is ever removed from it; it
    can be deleted at any time. A damaged entry is computed again, with a warning.
    """

    hits: int
    """Videos that were found."""
    misses: int
    """Videos that were computed."""

    def __init__(self, teacher: Teacher, spec: TeacherSpec) -> None:
        """Keep what `teacher` gives in the folder `spec.cache`."""
        super().__init__()
        assert spec.cache is not None
        self.teacher = teacher
        self.folder = expand_path(spec.cache)
        self.hits = self.misses = 0
        self._teacher = f"{component_label(spec)} {spec.model_dump_json(exclude={'cache'})}"
        self._weights: tuple[object, str] = (None, "")
        self.freeze()
        set_spec(self, spec)

    def load_pretrained(self) -> None:
        """Take the teacher's outside weights."""
        self.teacher.load_pretrained()

    def forward(self, video: VideoBatch) -> Tensor:
        """(B, T, h, w, C), read or computed."""
        if video.pixels.is_meta:
            return self.teacher(video)
        folder = self._folder(video.pixels.device.type)
        return torch.stack([self._one(_part(video, index), folder) for index in range(len(video.pixels))])

    def _one(self, video: VideoBatch, folder: Path) -> Tensor:
        form = f"{video.pixels.dtype} {tuple(video.pixels.shape)}"
        entry = _digest(form, video.pixels, video.content_box, video.frame_mask)
        file = folder / entry[:2] / f"{entry}.safetensors"
        features = _read(file)
        if features is not None:
            self.hits += 1
            return features.to(video.pixels.device)
        self.misses += 1
        computed: Tensor = self.teacher(video)[0]
        _write(file, computed)
        return computed

    def _folder(self, device: str) -> Path:
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        return self.folder / _digest(f"{FORMAT} {self._teacher} {autocast} {self._weights_digest()}")

    def _weights_digest(self) -> str:
        """Return a digest of all weights; computed again when one has moved, been converted or been written to.

        torch does not count writes through `.data`: those show where they change one of a few values of each weight.
        It counts none of inference tensors.
        """
        state = {**dict(self.teacher.named_parameters()), **dict(self.teacher.named_buffers())}
        if any(tensor.is_inference() for tensor in state.values()):
            return _digest(" ".join(state), *state.values())
        counted = [(tensor.data_ptr(), tensor._version, tensor.dtype) for tensor in state.values()]
        few = (tensor.detach().reshape(-1)[:: max(1, tensor.numel() // SAMPLE)] for tensor in state.values())
        seen = counted, _digest("", *few)
        if self._weights[0] != seen:
            self._weights = seen, _digest(" ".join(state), *state.values())
        return self._weights[1]


def _part(video: VideoBatch, index: int) -> VideoBatch:
    one = slice(index, index + 1)
    return VideoBatch(video.pixels[one], video.content_box[one], video.frame_mask[one])


def _digest(text: str, *tensors: Tensor) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=20)
    for tensor in tensors:
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(content.numpy().data)
    return digest.hexdigest()


def _own_digest(file: Path, features: Tensor) -> str:
    """Return a digest of features and their name: those of another video or teacher do not pass for them."""
    name = f"{file.parent.parent.name}/{file.stem}"
    return _digest(f"{name} {features.dtype} {tuple(features.shape)}", features)


def _read(file: Path) -> Tensor | None:
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as entry:
            features: Tensor = entry.get_tensor("features")
            expected = (entry.metadata() or {}).get("digest")
    except (SafetensorError, OSError) as error:
        reason = str(error)
    else:
        if expected == _own_digest(file, features):
            return features
        reason = "its content has changed, or is that of another entry"
    log.warning("the teacher's features in %s cannot be used (%s); they are computed again", file, reason)
    return None


def _write(file: Path, features: Tensor) -> None:
    content = features.detach().cpu().contiguous()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
        os.close(handle)
        try:
            save_file({"features": content}, temporary, metadata={"digest": _own_digest(file, content)})
            Path(temporary).replace(file)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        remedy = "free some space, choose another `cache` of the teacher, or leave it out"
        raise DataError(f"cannot keep the teacher's features in {file.parent} ({error}); {remedy}") from error
