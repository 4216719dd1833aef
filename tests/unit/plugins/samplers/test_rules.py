"""Frame positions against the reference implementation and the sources' formulas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from vlmkit.api import VideoInput

RULES = (
    "interior-points", "one-fps", "reference", "segment-centre", "segment-middle", "segment-midpoint", "segment-start",
    "stride", "uniform",
)  # fmt: skip


def choose(rule: str, num_frames: int, fps: float, wanted: int) -> Sequence[int]:
    return VideoInput(sampling=rule).sampler.build().positions(num_frames, fps, None, wanted)


def test_reference_is_exact_and_never_fails(golden: Path) -> None:
    rows = json.loads((golden / "frame_sampling.json").read_text())
    assert len(rows) == 230
    for row in rows:
        expected = [0] if "error" in row else row["positions"]
        assert choose("reference", row["num_frames"], row["fps"], 8) == expected, row


@pytest.mark.parametrize(
    ("column", "rule", "wanted", "rows"),
    [
        ("llama_vid", "one-fps", 2**16, 60),
        ("videochat", "segment-centre", 8, 20),
        ("videochat_16", "segment-centre", 16, 20),
        ("videochat_middle", "segment-middle", 8, 20),
    ],
)
def test_rules_of_later_systems_are_exact(golden: Path, column: str, rule: str, wanted: int, rows: int) -> None:
    found = [row for row in json.loads((golden / "frame_sampling_2.json").read_text()) if column in row]
    assert len(found) == rows
    for row in found:
        assert choose(rule, row["num_frames"], row["fps"], wanted) == row[column], row


def test_llama_vid_where_the_rate_gives_no_stride(golden: Path) -> None:
    rows = [row for row in json.loads((golden / "frame_sampling_2.json").read_text()) if "llama_vid_error" in row]
    assert len(rows) == 5
    for row in rows:  # the reference crashes
        assert choose("one-fps", row["num_frames"], row["fps"], 2**16) == [*range(row["num_frames"])]


@pytest.mark.parametrize("fps", [0.0, 0.3, 0.49, float("nan"), float("inf")])
def test_reference_where_the_rate_gives_no_stride(fps: float) -> None:
    assert choose("reference", 5, fps, 8) == [0, 1, 2, 3, 4]
    assert choose("reference", 100, fps, 8) == [0, 14, 28, 42, 56, 70, 84, 99]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("total", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 99, 100, 101, 250, 1000])
@pytest.mark.parametrize("wanted", [1, 2, 8, 16, 100])
def test_positions_are_ascending_and_inside(rule: str, total: int, wanted: int) -> None:
    positions = choose(rule, total, 25.0, wanted)
    assert 1 <= len(positions) <= wanted
    assert positions == sorted(positions)
    assert positions[0] >= 0
    assert positions[-1] < total
    if rule in ("interior-points", "segment-centre", "segment-middle", "segment-start", "uniform"):
        assert len(positions) == wanted
    if rule in ("segment-midpoint", "stride"):
        assert len(positions) == min(total, wanted)


@pytest.mark.parametrize("rule", RULES)
def test_claims_of_endless_videos_cost_nothing(rule: str) -> None:
    positions = choose(rule, 10**12, 25.0, 8)
    assert len(positions) == 8
    assert positions == sorted(positions)
    assert positions[-1] < 10**12


def test_uniform_is_linspace() -> None:
    assert choose("uniform", 16, 8.0, 8) == [int(x) for x in np.linspace(0, 15, 8)]
    assert choose("uniform", 3, 8.0, 8) == [0, 0, 0, 0, 1, 1, 1, 2]


def test_one_fps_keeps_short_videos_short() -> None:
    assert choose("one-fps", 75, 25.0, 64) == [0, 25, 50]
    assert choose("one-fps", 250, 25.0, 4) == [0, 75, 150, 225]


def test_segments_by_hand() -> None:
    # seg = 99 / 4 = 24.75: ends 0, 25 (24.75), 50 (49.5 to even), 74 (74.25), 99
    assert choose("segment-midpoint", 100, 25.0, 4) == [12, 37, 62, 86]
    # int(12.375 + round(24.75 i))
    assert choose("segment-centre", 100, 25.0, 4) == [12, 37, 62, 86]
    assert choose("segment-centre", 10, 25.0, 4) == [1, 3, 5, 8]  # int(1.125 + round(2.25 i))


def test_where_eight_frames_of_a_hundred_begin() -> None:
    rules = {"interior-points": 11, "segment-centre": 6, "segment-start": 0, "uniform": 0}
    assert {rule: choose(rule, 100, 25.0, 8)[0] for rule in rules} == rules
    assert choose("interior-points", 100, 25.0, 4) == [20, 40, 60, 80]
    assert choose("segment-start", 100, 25.0, 8) == [0, 12, 25, 37, 50, 62, 75, 87]


@pytest.mark.parametrize(("rule", "key", "wanted"), [("stride", "video_llama", 8), ("stride", "video_llama_10", 10),
                                                     ("segment-centre", "videochat", 8),
                                                     ("segment-centre", "videochat_16", 16)])  # fmt: skip
def test_rules_of_video_llama_and_video_chat(golden: Path, rule: str, key: str, wanted: int) -> None:
    rows = [row for row in json.loads((golden / "frame_sampling_2.json").read_text()) if key in row]
    assert len(rows) > 10
    for row in rows:
        assert choose(rule, row["num_frames"], row["fps"], wanted) == row[key], row


@pytest.mark.parametrize("rule", RULES)
def test_rules_keep_their_bare_names(rule: str) -> None:
    sampler = VideoInput(sampling=rule).sampler
    assert (sampler.fixed, sampler.max_positions, sampler.pads) == (True, None, rule != "one-fps")
    assert type(sampler).model_fields.keys() == {"type"}
    for written in (rule, {"type": rule}, sampler):
        assert VideoInput.model_validate({"sampling": written}).sampling == rule


def test_other_names_are_refused() -> None:
    with pytest.raises(
        ValidationError, match="no installed plugin offers sampler 'nearest'; installed: fps, interior-p"
    ):
        _ = VideoInput(sampling="nearest").sampler
