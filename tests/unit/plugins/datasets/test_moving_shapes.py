"""The files and samples of `moving-shapes`."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pydantic import ValidationError

from vlmkit import files
from vlmkit.api import DataError
from vlmkit_datasets import _moving_shapes
from vlmkit_datasets._clips import COLORS, Clip, Mover, draw
from vlmkit_datasets._moving_shapes import clips_of
from vlmkit_datasets.spec import MovingShapesSpec


def _clip(*movers: Mover) -> Clip:
    return Clip("0", movers, (), 0, (1, 2, 3))


def _marked(clip: Clip, color: str, frames: int = 8) -> Any:
    """(T, S, S): pixels near the color."""
    picture = draw(clip, 64, frames).astype(int)
    return np.abs(picture - np.array(COLORS[color])).max(-1) <= 20


@pytest.mark.parametrize(
    ("way", "axis", "sign"), [((0.4, 0), 2, 1), ((-0.4, 0), 2, -1), ((0, 0.4), 1, 1), ((0, -0.4), 1, -1)]
)
def test_shapes_move_as_planned(way: tuple[float, float], axis: int, sign: int) -> None:
    marked = _marked(_clip(Mover("red", "circle", 0.2, (0.5, 0.5), way)), "red")
    places = [np.argwhere(frame).mean(0)[axis - 1] for frame in marked]
    steps = np.diff(places) * sign
    np.testing.assert_allclose(steps, 0.4 * 64 / 7, atol=0.3)


@pytest.mark.parametrize(("shape", "area"), [("circle", np.pi), ("square", 1.8**2), ("triangle", 2.0)])
def test_shapes_have_their_areas(shape: str, area: float) -> None:
    marked = _marked(_clip(Mover("green", shape, 0.3, (0.5, 0.5), (0, 0))), "green")
    assert marked[0].sum() == pytest.approx(area * (0.3 * 64) ** 2, rel=0.08)


def test_shapes_appear_when_planned_and_later_ones_lie_above() -> None:
    below = Mover("blue", "square", 0.3, (0.5, 0.5), (0, 0))
    above = Mover("yellow", "circle", 0.15, (0.5, 0.5), (0, 0), appears=0.5)
    clip = _clip(below, above)
    assert _marked(clip, "yellow", 16)[:, 32, 32].tolist() == [False] * 8 + [True] * 8
    assert _marked(clip, "blue", 16)[:, 32, 32].tolist() == [True] * 8 + [False] * 8


def test_files_are_h264_and_keep_the_colors(tmp_path: Path) -> None:
    spec = MovingShapesSpec(clips=8, root=tmp_path)
    data = spec.build()
    assert len(data) == 8
    for clip, sample in zip(clips_of(spec), data, strict=True):
        assert sample.video is not None
        with av.open(sample.video) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.average_rate == 8
            decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        drawn = draw(clip, 64, 16)
        assert decoded.shape == (16, 64, 64, 3)
        assert np.abs(decoded.astype(int) - drawn).mean() < 6


def test_samples_are_conversations_about_their_clip(tmp_path: Path) -> None:
    spec = MovingShapesSpec(clips=16, root=tmp_path)
    data, clips = spec.build(), clips_of(spec)
    orders = set()
    for sample, clip in zip(data, clips, strict=True):
        assert Path(str(sample.video)).is_file()
        first, *rest = (turn.user for turn in sample.turns)
        assert first.startswith("<video>\n")
        assert not any("<video>" in question for question in rest)
        asked = [(first.removeprefix("<video>\n"), sample.turns[0].assistant), *map(tuple, sample.turns[1:])]
        assert sorted(asked) == sorted((q.question, q.answer) for q in clip.questions)
        assert len(sample.meta["types"]) == len(sample.turns)
        orders.add(tuple(sample.meta["types"]))
    assert len(orders) > 6, "the order of the turns varies"
    assert len({sample.id for sample in data}) == 16
    assert data[3] == spec.build()[3]
    short = MovingShapesSpec(clips=16, root=tmp_path, questions_per_clip=1).build()
    assert [sample.turns[0] for sample in short[:]] == [sample.turns[0] for sample in data]
    assert {len(sample.turns) for sample in short[:]} == {1}


def test_text_only_asks_the_same_without_drawing(tmp_path: Path) -> None:
    text = MovingShapesSpec(clips=200, root=tmp_path, text_only=True).build()
    assert not list(tmp_path.iterdir())
    assert all(sample.video is None for sample in text)
    assert not any("<video>" in turn.user for sample in text for turn in sample.turns)


def test_the_benchmark_is_an_annotation_file(tmp_path: Path) -> None:
    spec = MovingShapesSpec(clips=16, split="test", root=tmp_path)
    spec.prepare()
    entries = json.loads(spec.annotations().read_text())
    clips = clips_of(spec)
    assert len({entry["id"] for entry in entries}) == len(entries) == sum(clip.tested for clip in clips) == 24
    assert set(entries[0]) == {"id", "video", "question", "answer", "type"}
    for entry in entries:
        assert (spec.video_root() / entry["video"]).is_file()
        clip = clips[int(entry["video"].removesuffix(".mp4"))]
        assert (entry["type"], entry["question"], entry["answer"]) in clip.questions[: clip.tested]


def test_an_interrupted_drawing_goes_on(tmp_path: Path) -> None:
    spec = MovingShapesSpec(clips=10, root=tmp_path)
    spec.prepare()
    videos = sorted(spec.video_root().iterdir())
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in videos}
    spec.annotations().unlink()
    for path in videos[4:]:
        path.unlink()
    (spec.video_root() / ".000004.mp4.1.tmp").write_bytes(b"half")
    spec.prepare()
    assert sorted(spec.video_root().iterdir()) == videos
    for path, (content, time) in before.items():
        assert path.read_bytes() == content, "the same bytes whenever they are drawn"
        assert (path.stat().st_mtime_ns == time) == (path in videos[:4])


@pytest.mark.parametrize("damage", ["flipped", "zeros", "gone", "another clip"])
def test_a_damaged_clip_is_drawn_again(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    spec = MovingShapesSpec(clips=4, root=tmp_path)
    spec.prepare()
    first, second, *_ = sorted(spec.video_root().iterdir())
    whole, length = first.read_bytes(), first.stat().st_size
    spoilt = {"flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "zeros": bytes(length)}
    if damage == "gone":
        first.unlink()
    else:
        first.write_bytes(spoilt.get(damage, second.read_bytes()))
    spec.prepare()
    assert first.read_bytes() == whole
    assert f"{first} is damaged or missing; it is made again" in caplog.text
    spec.annotations().write_text("[]")
    spec.prepare()
    assert len(json.loads(spec.annotations().read_text())) > 3


def test_clips_that_are_drawn_otherwise_now_are_no_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = MovingShapesSpec(clips=4, root=tmp_path)
    spec.prepare()
    first = min(spec.video_root().iterdir())
    first.write_bytes(b"")
    monkeypatch.setattr(_moving_shapes, "write_video", lambda path, *_: path.write_bytes(b"of another encoder"))
    with pytest.raises(DataError, match=rf"{first.name} was damaged, and what is drawn again differs .*; remo"):
        spec.prepare()


def test_a_damaged_manifest_names_the_folder(tmp_path: Path) -> None:
    spec = MovingShapesSpec(clips=4, root=tmp_path)
    spec.prepare()
    (spec.folder() / "checksums.json").write_text("{")
    with pytest.raises(DataError, match=r"checksums\.json: expected JSON.*; remove the folder"):
        spec.prepare()


def test_on_a_disk_without_locks_clips_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(files, "_warned", set())
    spec = MovingShapesSpec(clips=4, root=tmp_path)
    spec.prepare()
    assert len(list(spec.video_root().iterdir())) == 4
    assert "this disk has no file locks (No locks available)" in capsys.readouterr().err


def test_two_processes_at_once_share_one_folder(tmp_path: Path) -> None:
    spec = MovingShapesSpec(clips=128, root=tmp_path)  # enough that worker processes draw them
    code = "import sys; from vlmkit_datasets.spec import MovingShapesSpec as S; "
    code += "S.model_validate_json(sys.argv[1]).prepare()"
    both = [subprocess.Popen([sys.executable, "-c", code, spec.model_dump_json()]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(list(spec.video_root().iterdir())) == 128
    assert spec.annotations().is_file()


def test_other_options_never_share_clips(tmp_path: Path) -> None:
    base: dict[str, object] = {"clips": 8, "root": tmp_path}
    changes: list[dict[str, object]] = [
        {},
        {"level": "scenes"},
        {"split": "val"},
        {"clips": 9},
        {"seed": 1},
        {"size": 48},
        {"frames": 12},
        {"fps": 4},
    ]
    folders = {MovingShapesSpec.model_validate(base | change).folder() for change in changes}
    assert len(folders) == len(changes)
    same: list[dict[str, object]] = [{"text_only": True}, {"questions_per_clip": 1}]
    assert {MovingShapesSpec.model_validate(base | change).folder() for change in [{}, *same]} <= folders
    prints = {
        MovingShapesSpec.model_validate(base | {"text_only": True} | change).build().fingerprint()
        for change in [*changes, same[1]]
    }
    assert len(prints) == len(changes) + 1


def test_the_default_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert MovingShapesSpec().folder().parent == tmp_path / "vlmkit" / "moving-shapes"


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write clips to .*name a folder with room as `root`"):
        MovingShapesSpec(clips=8, root=tmp_path / "file").build()


@pytest.mark.parametrize(
    "wrong", [{"size": 31}, {"size": 65}, {"frames": 4}, {"clips": 0}, {"split": "dev"}, {"fps": 0}]
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        MovingShapesSpec.model_validate(wrong)
