"""The dataset `moving-shapes`: its clips, drawn once whoever comes first and however often interrupted, as samples."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlmkit.api import DataError, Dataset, RunError, Sample, Turn, damaged_files, lock_file, write_manifest
from vlmkit_datasets._clips import Clip, draw, write_video
from vlmkit_datasets._levels import plan_clips

if TYPE_CHECKING:
    from vlmkit_datasets.spec import MovingShapesSpec

__all__ = ["MovingShapes", "clips_of", "draw_missing", "folder_name", "identity", "prepare"]

_VERSION = 2
"""To be raised whenever the same options would give other clips or questions."""
_TRIES = 10
"""The encoder is not always the same: about one clip in a thousand comes out a little different."""
_FEW = 64
"""A process of its own is worth while from so many clips."""
_WORKER = """
import sys
from vlmkit_datasets._moving_shapes import draw_missing
from vlmkit_datasets.spec import MovingShapesSpec
draw_missing(MovingShapesSpec.model_validate_json(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
"""
_log = logging.getLogger(__name__)


class MovingShapes(Dataset):
    """One sample per clip: its questions in one conversation, in an order that varies from clip to clip."""

    def __init__(self, spec: MovingShapesSpec) -> None:
        self.spec = spec
        self._clips = clips_of(spec)
        if not spec.text_only:
            prepare(spec)

    def __len__(self) -> int:
        return len(self._clips)

    def fingerprint(self) -> str:
        """Return a hash of the options that the samples follow from."""
        chosen = self.spec.model_dump(include={"questions_per_clip", "text_only"})
        return hashlib.sha256(json.dumps({**identity(self.spec), **chosen}, sort_keys=True).encode()).hexdigest()

    def sample(self, index: int) -> Sample:
        """Return the conversation about clip number `index`."""
        clip = self._clips[index]
        order = np.random.default_rng((*clip.seed, 1)).permutation(len(clip.questions))
        asked = [clip.questions[i] for i in order[: self.spec.questions_per_clip]]
        video = None if self.spec.text_only else str(self.spec.video_root() / f"{clip.name}.mp4")
        opening = "" if video is None else "<video>\n"
        turns = tuple(
            Turn(("" if i else opening) + question.question, question.answer) for i, question in enumerate(asked)
        )
        name = f"{self.spec.level}-{self.spec.split}-{self.spec.seed}-{clip.name}"
        return Sample(name, turns, video, {"types": [question.type for question in asked]})


def identity(spec: MovingShapesSpec) -> dict[str, Any]:
    """Return the options that the clips follow from, with the generator's version."""
    options = spec.model_dump(include={"level", "split", "clips", "seed", "size", "frames", "fps"})
    return {**options, "version": _VERSION}


def folder_name(spec: MovingShapesSpec) -> str:
    """Return a name that other options do not share."""
    digest = hashlib.sha256(json.dumps(identity(spec), sort_keys=True).encode()).hexdigest()
    return f"{spec.level}-{spec.split}-{spec.clips}-{digest[:12]}"


def clips_of(spec: MovingShapesSpec) -> list[Clip]:
    """Return the clips, planned but not drawn."""
    return plan_clips(spec.level, spec.split, spec.clips, spec.seed)


def prepare(spec: MovingShapesSpec) -> Path:
    """Draw the clips that are missing or damaged, and write `questions.json`; `checksums.json` comes last.

    Processes that come at the same time wait for each other. A DataError where the folder cannot be written, or what is
    drawn again differs from what was there.
    """
    folder = spec.folder()
    try:
        if damaged_files(folder) == []:
            return folder
        spec.video_root().mkdir(parents=True, exist_ok=True)
        with lock_file(folder / ".lock", wait=True) as alone:
            damaged = damaged_files(folder)
            for file in damaged or ():
                _log.warning("moving-shapes: %s is damaged or missing; it is made again", file)
            for _ in range(_TRIES):
                if damaged == []:
                    break
                _complete(spec, damaged or [], tidy=alone)
                if damaged is None:
                    write_manifest(folder, flushed=False)
                damaged = damaged_files(folder)
            if damaged:
                raise DataError(
                    f"moving-shapes: {damaged[0]} was damaged, and what is drawn again differs from it; remove the "
                    f"folder {folder}, and train anew what learned from it"
                )
    except RunError as error:
        raise DataError(f"moving-shapes: {error}") from None
    except OSError as error:
        raise DataError(
            f"moving-shapes: cannot write clips to {folder}: {error}; name a folder with room as `root`"
        ) from error
    return folder


def _complete(spec: MovingShapesSpec, damaged: Sequence[Path], *, tidy: bool) -> None:
    for file in damaged:
        file.unlink(missing_ok=True)
    for leftover in spec.video_root().glob(".*.tmp") if tidy else ():  # where no process can be writing them
        leftover.unlink()
    _draw_all(spec)
    if not spec.annotations().is_file():
        _write_questions(spec.annotations(), clips_of(spec), f"{spec.level}-{spec.split}")


def _draw_all(spec: MovingShapesSpec) -> None:
    shares = max(1, min(len(os.sched_getaffinity(0)), spec.clips // _FEW))
    _log.info("drawing %d clips of moving-shapes (%s, %s) in %s", spec.clips, spec.level, spec.split, spec.folder())
    if shares == 1:
        draw_missing(spec, 0, 1)
        return
    # Programs of their own: a fork would inherit torch's threads, and a spawn would run the caller's script again.
    command = [sys.executable, "-c", _WORKER, spec.model_dump_json()]
    workers: list[subprocess.Popen[str]] = []
    try:
        for share in range(shares):
            own = [*command, str(share), str(shares)]
            workers.append(subprocess.Popen(own, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True))
        for worker in workers:
            _, complaint = worker.communicate()
            if worker.returncode:
                last = complaint.strip().splitlines()[-1:] or [f"exit code {worker.returncode}"]
                raise DataError(f"moving-shapes: drawing the clips failed: {last[0]}")
    finally:
        for worker in workers:
            worker.kill()  # does nothing where it has ended
            worker.wait()


def draw_missing(spec: MovingShapesSpec, start: int, step: int) -> None:
    """Draw each clip of a share (every `step`-th from `start`) whose file is missing."""
    for clip in clips_of(spec)[start::step]:
        path = spec.video_root() / f"{clip.name}.mp4"
        if not path.is_file():
            write_video(path, draw(clip, spec.size, spec.frames), spec.fps)


def _write_questions(path: Path, clips: Sequence[Clip], prefix: str) -> None:
    entries = [
        {"id": f"{prefix}-{clip.name}-{question.type}", "video": f"{clip.name}.mp4", "question": question.question,
         "answer": question.answer, "type": question.type}
        for clip in clips
        for question in clip.questions[: clip.tested]
    ]  # fmt: skip
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(entries, indent=0), encoding="utf-8")
    unfinished.replace(path)
