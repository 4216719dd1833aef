"""Standard errors, intervals and comparisons of public systems, from their own answers in ../shared/verdicts."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from vlmkit.statistics.clustering import standard_errors
from vlmkit.statistics.intervals import all_right, estimate, macro
from vlmkit.statistics.paired import Paired, paired


class Right(NamedTuple):
    """Whether one question was answered rightly, and its cluster."""

    value: float
    cluster: str


def _percent(rows: Mapping[str, Right]) -> tuple[float, float, float]:
    """Mean, clustered and independent standard error in points."""
    values, clusters = zip(*rows.values(), strict=True)
    errors = standard_errors(values, clusters)
    return 100 * estimate(values, clusters).value, 100 * errors.clustered, 100 * errors.independent


def _indices(folder: Path, video_of: Mapping[str, str] | None = None) -> dict[str, Right]:
    """Answers as `{id: {prediction, answer}}`; without `video_of` the id begins with the video."""
    (file,) = (path for path in folder.iterdir() if path.name.startswith("H"))
    return {
        name: Right(row["prediction"] == row["answer"], video_of[name] if video_of else name.split("_")[0])
        for name, row in json.loads(file.read_text()).items()
    }


def _video_mme(folder: Path) -> dict[str, Right]:
    """Letters of Video-MME: the first capital A-D of the answer counts."""
    with (folder / "answers.csv").open() as file:
        return {
            row["question_id"]: Right(row["reference"] == _letter(row["answer"]), row["video_id"])
            for row in csv.DictReader(file)
        }


def _letter(answer: str) -> str:
    found = re.search("[ABCD]", answer)
    return found[0] if found else ""


def _tempcompass(folder: Path) -> Iterator[tuple[str, Right]]:
    for file in sorted(folder.glob("*.json.gz")):
        for video, aspects in json.loads(gzip.decompress(file.read_bytes())).items():
            for aspect, rows in aspects.items():
                for number, row in enumerate(rows):
                    yield f"{file.name} {video} {aspect} {number}", Right(row["rating"], video.split("_")[0])


def _compared(first: Mapping[str, Right], second: Mapping[str, Right]) -> Paired:
    clusters = [row.cluster for row in first.values()]
    return paired([row.value for row in first.values()], [second[name].value for name in first], clusters)


def test_errors_of_msvd_qa(shared: Path) -> None:
    rows = json.loads((shared / "annotations/msvd_qa/test_qa.json").read_text())
    videos = {str(row["id"]): str(row["video_id"]) for row in rows}
    found = _percent(_indices(shared / "verdicts/msvd_qa/hqga-bert", videos))
    assert found[0] == pytest.approx(41.15, abs=5e-3)
    assert found[1:] == pytest.approx((0.954, 0.429), abs=5e-4)


def test_errors_of_next_qa(shared: Path) -> None:
    found = _percent(_indices(shared / "verdicts/next_qa/hga-bert-ft"))
    assert found[0] == pytest.approx(49.74, abs=5e-3)
    assert found[1:] == pytest.approx((0.745, 0.707), abs=5e-4)


@pytest.mark.parametrize(
    ("system", "mean", "clustered", "independent"), [("gemini", 67.10, 1.22, 0.54), ("video-llava", 49.77, 0.88, 0.58)]
)
def test_errors_of_tempcompass(shared: Path, system: str, mean: float, clustered: float, independent: float) -> None:
    rows = dict(_tempcompass(shared / "verdicts/tempcompass" / system / "verdicts"))
    assert len(rows) == 7540
    assert _percent(rows) == pytest.approx((mean, clustered, independent), abs=5e-3)


def test_video_mme_and_pairs(shared: Path) -> None:
    systems = ("video-xl-2", "video-xl-2-chunk", "minicpm-o-4_5-q4")
    whole, chunked, minicpm = (_video_mme(shared / "verdicts/video_mme" / name) for name in systems)
    assert _percent(whole)[:2] == pytest.approx((66.37, 0.918), abs=5e-3)
    assert _percent(whole)[1] == pytest.approx(0.918, abs=5e-4)
    pair = _compared(whole, chunked)
    assert (len(pair.only_first), len(pair.only_second), round(pair.p, 3)) == (112, 103, 0.585)
    assert [round(100 * number, 2) for number in pair.difference] == [0.33, -0.71, 1.37]
    pair = _compared(minicpm, whole)
    assert (len(pair.only_first), len(pair.only_second), round(pair.p, 3)) == (330, 272, 0.020)
    assert [round(100 * number, 2) for number in pair.difference] == [2.15, 0.45, 3.84]


def test_the_frame_sweep(shared: Path) -> None:
    references = _video_mme_references(shared)
    (file,) = (shared / "verdicts/video_mme/scalegrid-Qwen2.5-VL-7B").glob("*_short_predictions_wide.csv")
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    right = {
        frames: {
            row["sample_id"]: Right(
                row[f"{frames}f_151k"] == references[row["sample_id"]], row["sample_id"].split("-")[0]
            )
            for row in rows
        }
        for frames in (64, 128)
    }
    pair = _compared(right[64], right[128])
    assert (round(100 * pair.first, 2), round(100 * pair.second, 2)) == (72.65, 76.46)
    assert (len(pair.only_first), len(pair.only_second), round(pair.p, 4)) == (22, 52, 0.0006)


def _video_mme_references(shared: Path) -> dict[str, str]:
    with (shared / "verdicts/video_mme/video-xl-2/answers.csv").open() as file:
        return {row["question_id"]: row["reference"] for row in csv.DictReader(file)}


def test_vnbench_counts_a_question_when_all_four_rotations_are_right(shared: Path) -> None:
    (file,) = (shared / "verdicts/vnbench/llava-onevision-7b").glob("*.jsonl.gz")
    rows = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    values = [float(row["pred"].strip()[:1] == row["gt"]) for row in rows]
    groups, tasks = [row["video_path"] for row in rows], [row["task_type"] for row in rows]
    assert round(100 * estimate(values, groups).value, 2) == 62.81
    grouped, strata, clusters = all_right(values, groups, tasks, groups)
    assert len(grouped) == 1350
    result = macro(grouped, strata, clusters)
    assert round(100 * result.value, 2) == 51.78
    assert 0.04 < result.high - result.low < 0.06
