"""Records of one stage, compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vlmkit.publish.capsule_record import (
    AnswerOutput,
    FramesOutput,
    HashedFile,
    HashedText,
    PixelsOutput,
    PromptOutput,
    Stage,
    StageOutput,
    VerdictOutput,
    VisualOutput,
)
from vlmkit.publish.sketch import sketch
from vlmkit.publish.stage_differences import stage_difference

A, B = "a" * 64, "b" * 64
VALUES = np.random.default_rng(0).normal(size=(9, 7))
GIVEN: dict[Stage, StageOutput] = {
    "video": HashedFile(bytes=9, sha256=A),
    "frames": FramesOutput(positions=[0, 5], seconds=[0.0, 1.25], sha256=[A, B]),
    "pixels": PixelsOutput(shape=[2, 8, 8, 3], content_box=[0, 8, 2, 6], num_frames_present=2, sha256=A),
    "visual_tokens": VisualOutput(tokens=9, width=7, dtype="float32", sketch=sketch(VALUES)),
    "prompt": PromptOutput(prompt=HashedText(sha256=A), tokens=12, ids_sha256=A),
    "answer": AnswerOutput(answer=HashedText(sha256=A), tokens=2, ids_sha256=A, logprobs=[-1.0], margin=0.25),
    "verdict": VerdictOutput(
        outcome="scored", state="judge", request=A, correct=True, score=5.0, values={"accuracy": 1.0}
    ),
}
CHANGES: list[tuple[Stage, dict[str, Any], str]] = [
    ("video", {"bytes": 8}, "expected a file of 9 bytes, found 8"),
    ("video", {"sha256": B}, "expected a file with sha256 aaaaaaaaaaaa…, found bbbbbbbbbbbb…"),
    ("frames", {"positions": [0, 4]}, "expected the frames [0, 5], found [0, 4]"),
    ("frames", {"positions": [0], "sha256": [A], "seconds": [0.0]}, "expected the frames [0, 5], found [0]"),
    ("frames", {"sha256": [A, A]}, "1 of 2 frames have other pixels, the first at position 5"),
    ("frames", {"seconds": [0.0, 1.3]}, "expected the frames at [0.0, 1.25] s, found [0.0, 1.3] s"),
    ("frames", {"seconds": []}, "expected the frames at [0.0, 1.25] s, found [] s"),
    ("pixels", {"content_box": [0, 8, 2, 7]}, "expected content_box [0, 8, 2, 6], found [0, 8, 2, 7]"),
    ("pixels", {"sha256": B}, "the fitted pixels are others"),
    (
        "visual_tokens",
        {"dtype": "bfloat16"},
        "expected 9 tokens of width 7 in float32, found 9 tokens of width 7 in bfloat16",
    ),
    (
        "visual_tokens",
        {"sketch": sketch(VALUES * 1.01)},
        "they differ by 1.1e-02 of their norm, more than the tolerance",
    ),
    ("prompt", {"prompt": HashedText.of("ask")}, "expected a text with sha256 aaaaaaaaaaaa…, found 'ask'"),
    ("prompt", {"ids_sha256": B}, "the text is the same, but not its token ids: expected 12 tokens, found 12"),
    ("answer", {"answer": HashedText.of("no")}, "found 'no'; the least lead of a token was 0.25 nats"),
    ("answer", {"ids_sha256": B, "tokens": 3}, "not its token ids: expected 2 tokens, found 3"),
    ("answer", {"logprobs": [-1.1]}, "the text is the same, but its log-likelihood differs by 0.1, more than 0.0002"),
    ("verdict", {"correct": False}, "expected correct True, found False"),
    ("verdict", {"values": {}}, "expected values accuracy 1, found nothing"),
    ("verdict", {"state": "read", "request": None}, "expected state 'judge', found 'read'"),
    ("verdict", {"request": B}, "expected request 'aaa"),
]


@pytest.mark.parametrize("stage", GIVEN)
def test_the_same_is_no_difference(stage: Stage) -> None:
    assert stage_difference(stage, GIVEN[stage], GIVEN[stage], "float32") == ""


@pytest.mark.parametrize(("stage", "change", "said"), CHANGES)
def test_a_difference_is_told(stage: Stage, change: dict[str, Any], said: str) -> None:
    assert said in stage_difference(stage, GIVEN[stage], GIVEN[stage].model_copy(update=change), "float32")


def test_last_digits_are_no_difference() -> None:
    changes: dict[Stage, dict[str, Any]] = {
        "frames": {"seconds": [0.0, 1.2503]},
        "visual_tokens": {"sketch": sketch(VALUES * (1 + 5e-6))},
        "answer": {"logprobs": [-1.0001], "margin": 0.2},
    }
    for stage, change in changes.items():
        assert stage_difference(stage, GIVEN[stage], GIVEN[stage].model_copy(update=change), "float32") == ""
    coarse = GIVEN["answer"].model_copy(update={"logprobs": [-1.1]})
    assert stage_difference("answer", GIVEN["answer"], coarse, "bfloat16") == ""
