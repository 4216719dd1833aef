"""The options of a canvas, and the sides that pictures have on it, against the references' sizes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vlmkit.api import AlignerSpec, Canvas, VideoInput
from vlmkit.registry import registry
from vlmkit_eve.eve_v2_aligner import EveV2AlignerSpec
from vlmkit_eve.spec import EveSpec
from vlmkit_neo.neo_aligner import NeoAlignerSpec
from vlmkit_teachers.spec import HogSpec

AREA: dict[str, Any] = {"fit": "area", "multiple": 32}
PIXELS: dict[str, Any] = {"fit": "pixels", "multiple": 32}
RULES: dict[str, dict[str, Any]] = {
    "evev2_train_800": {**AREA, "size": 800},
    "evev2_train_1600": {**AREA, "size": 1600},
    "evev2_eval_800": {**AREA, "size": 800, "enlarge": True},
    "evev2_eval_1600": {**AREA, "max_pixels": 1600**2, "enlarge": True},
    "neo_train_pretrain": {**PIXELS, "min_pixels": 256**2, "max_pixels": 2048**2},
    "neo_eval_image": {**PIXELS, "min_pixels": 1280 * 32**2, "max_pixels": 4096 * 32**2},
    "neo_ov_video": {**PIXELS, "min_pixels": 4 * 32**2, "max_pixels": 360 * 640},
    "neo_ov_si": {**PIXELS, "min_pixels": 720 * 960, "max_pixels": 720 * 960},
}
NEW = {"min_pixels", "max_pixels", "enlarge"}


@pytest.mark.parametrize("rule", RULES)
def test_sides_are_the_references(golden: Path, rule: str) -> None:
    rows = json.loads((golden / "frame_fit_2.json").read_text())
    assert len(rows) == 21
    canvas = Canvas.model_validate(RULES[rule])
    for row in rows:
        width, height = row[rule]
        place = canvas.place(row["width"], row["height"])
        assert place == (width, height, 0, 0), row
        assert canvas.sides(row["width"], row["height"]) == (height, width)
        assert canvas.content_box(row["width"], row["height"]) == (0, height, 0, width)


def test_every_video_has_sides_of_its_own() -> None:
    video = VideoInput.model_validate({**RULES["neo_ov_video"], "frames": 4, "sampling": "one-fps"})
    assert video.shape(1280, 720, 3) == (3, 352, 640, (0, 352, 0, 640), 3)
    assert video.shape(720, 1280) == (4, 640, 352, (0, 640, 0, 352), 4)
    assert VideoInput().shape(1280, 720)[1:3] == (448, 448)


@pytest.mark.parametrize("rule", ["evev2_train_800", "evev2_eval_800", "neo_ov_video", "neo_ov_si"])
def test_the_largest_canvas_is_found(rule: str) -> None:
    canvas, drawn = Canvas.model_validate(RULES[rule]), random.Random(1)

    def cells(width: int, height: int) -> int:
        rows, columns = canvas.sides(width, height)
        return rows * columns // 32**2

    largest = max(cells(*sides) for sides in canvas.filling_pictures())
    for _ in range(3000):
        ratio, area = 2 ** drawn.uniform(-7.6, 7.6), canvas.most_pixels * drawn.uniform(0.3, 3)
        width, height = max(1, int((area * ratio) ** 0.5)), max(1, int((area / ratio) ** 0.5))
        if max(width, height) <= 200 * min(width, height):
            assert cells(width, height) <= largest, (width, height)


@pytest.mark.parametrize("fit", ["area", "pixels"])
def test_a_strip_is_refused(fit: str) -> None:
    canvas = Canvas.model_validate({"fit": fit, "size": 800, "multiple": 32})
    assert canvas.sides(6400, 32)
    with pytest.raises(ValueError, match=f"6433x32 pixels is more than 200 times .* fit {fit} does not take"):
        canvas.sides(6433, 32)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_pixels": 4096}, "max_pixels is for fit area or pixels, found fit pad"),
        ({"fit": "area", "min_pixels": 4096}, "min_pixels is for fit pixels, found fit area"),
        ({"fit": "pixels", "enlarge": True}, "enlarge is for fit area, found fit pixels"),
        ({"fit": "pixels", "min_pixels": 9000, "max_pixels": 8000}, "max_pixels is 8,000, expected at least 9,000"),
        ({"fit": "area", "size": 16}, "max_pixels is 256, expected at least 784"),
        ({"fit": "area", "max_pixels": 2**29}, "less than or equal to 268435456"),
    ],
    ids=str,
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Canvas.model_validate(options)


def test_the_pixels_of_all_frames_are_bounded() -> None:
    with pytest.raises(ValidationError, match=r"of 268,435,456 pixels are .* lower `frames` or `max_pixels`"):
        VideoInput(frames=64, fit="pixels", max_pixels=2**28)


def test_squares_are_written_as_before() -> None:
    for component in registry().components("aligner"):
        spec = component.spec.tiny()
        assert isinstance(spec, AlignerSpec)
        assert not spec.input.is_square or not NEW & spec.model_dump()["input"].keys()
    assert EveSpec().model_dump_json().count("pixels") == 0
    assert {"max_pixels", "min_pixels"} <= NeoAlignerSpec().model_dump()["input"].keys()


def test_options_of_another_fit_are_no_options_of_this_one() -> None:
    found = NeoAlignerSpec.model_validate({"input": {"fit": "crop", "size": 64}}).input
    assert (found.min_pixels, found.max_pixels, found.size) == (None, None, 64)
    kept = NeoAlignerSpec.model_validate({"input": {"frames": 4}}).input
    assert (kept.fit, kept.min_pixels, kept.max_pixels) == ("pixels", 4096, 230400)
    area = NeoAlignerSpec.model_validate({"input": {"fit": "area"}}).input
    assert (area.min_pixels, area.max_pixels) == (None, 230400)


def test_components_that_need_squares_say_so() -> None:
    with pytest.raises(ValidationError, match=r"this aligner takes squares only; expected fit pad, crop or squash"):
        EveSpec.model_validate({"input": {"fit": "area"}})
    with pytest.raises(ValidationError, match="this teacher takes squares only"):
        HogSpec.model_validate({"input": {"fit": "pixels"}})
    assert EveV2AlignerSpec.model_validate({"input": {"fit": "area"}}).input.fit == "area"
