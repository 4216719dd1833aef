"""The options of the datasets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from vlmkit.api import Dataset, DatasetSpec, expand_path
from vlmkit.api.bounds import Count, Seed

__all__ = ["LlavaJsonSpec", "MovingShapesSpec"]


class LlavaJsonSpec(DatasetSpec):
    """Conversations in LLaVA's JSON, `[{id, video, conversations: [{from: human|gpt, value}]}]`, with or without video.

    JSON lines, one entry per line, will do too. An id is text or a whole number; without one it is the entry's place.
    `video` and `image` (or `videos`, `images`) are the name of a file or a list of names; with `null` or without these
    keys an entry is text alone. `<video>` and `<image>` say where each stands, in any message of the human: the next of
    its kind. The one of a single video, in the first message, is moved to the front; without any, all stand there. A
    message `{from: system, value}` may come first.
    """

    type: Literal["llava-json"] = "llava-json"
    path: Path
    """The JSON or JSON-lines file."""
    video_root: Path | None = None
    """Folder below which videos and images lie. None: the folder of `path`."""
    extensions: Annotated[tuple[str, ...], Field(max_length=100)] = (".mp4", ".avi", ".mkv", ".webm", ".gif")
    """Tried in this order, in small letters and in capitals, where an entry's video names no existing file: behind its
    name (`talk.2` is `talk.2.mp4`), then in place of the extension of a video (`talk.mkv` is `talk.mp4`)."""
    limit: Count | None = None
    """Only the first so many entries. None: all."""

    @classmethod
    def tiny(cls) -> Self:
        """An example; its file need not exist before the dataset is built."""
        return cls(path=Path("conversations.json"))

    def build(self) -> Dataset:
        """Read and check the whole file. Whether a video can be read shows when it is needed."""
        from vlmkit_datasets._llava_json import LlavaJson

        return LlavaJson(self)


class MovingShapesSpec(DatasetSpec):
    """Short H.264 clips of colored shapes that move over textured backgrounds, with questions and one-word answers.

    In each split the answers of one type are about equally frequent, so that no answer is worth guessing; in level
    `simple` the question tells nothing of the answer either. The clips follow from the options alone; they
    are drawn at the first use and kept below `root`.
    """

    type: Literal["moving-shapes"] = "moving-shapes"
    level: Literal["simple", "scenes"] = "simple"
    """`simple`: color, shape, direction and speed of a lone shape, how many shapes, which color appears first or
    last. `scenes`: color, shape, direction or speed of one of several shapes."""
    split: Literal["train", "val", "test", "compositional"] = "train"
    """No two splits share a clip. The pairs of color and shape in `compositional` stand in no other split."""
    clips: Annotated[int, Field(gt=0, le=10**6)] = 6000
    """Number of clips."""
    seed: Seed = 0
    """Other seeds give other clips."""
    size: Annotated[int, Field(ge=32, le=2048, multiple_of=2)] = 64
    """Side of the square picture, pixels."""
    frames: Annotated[int, Field(ge=8, le=1024)] = 16
    """Frames per clip."""
    fps: Annotated[int, Field(gt=0, le=1000)] = 8
    """Frames per second."""
    questions_per_clip: Count | None = None
    """At most so many questions of a clip, in one conversation. None: all."""
    text_only: bool = False
    """The same questions without the videos: teaches the form of the answers, and cannot teach more."""
    root: Path | None = None
    """Folder of the clips. None: `$XDG_CACHE_HOME/vlmkit/moving-shapes`, by default below `~/.cache`."""

    def folder(self) -> Path:
        """The folder of the clips and `questions.json`; other options never share it."""
        from vlmkit_datasets._moving_shapes import folder_name

        base = self.root or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "vlmkit" / "moving-shapes"
        return expand_path(base) / folder_name(self)

    def annotations(self) -> Path:
        """The file of the benchmark's questions, `[{id, video, question, answer, type}]`; there once `prepare` ran."""
        return self.folder() / "questions.json"

    def video_root(self) -> Path:
        """The folder of the clips; there once `prepare` ran."""
        return self.folder() / "videos"

    def prepare(self) -> Path:
        """Draw what is missing of the clips, write `questions.json`, and return the folder."""
        from vlmkit_datasets._moving_shapes import prepare

        return prepare(self)

    def build(self) -> Dataset:
        """The dataset; its clips are drawn first where they are missing."""
        from vlmkit_datasets._moving_shapes import MovingShapes

        return MovingShapes(self)
