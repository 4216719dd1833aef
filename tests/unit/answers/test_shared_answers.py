"""The answer files of public systems in ../shared are read with the counts that are known of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from vlmkit.answers.answer_formats import ReadOptions, read_answer_files


@pytest.mark.parametrize(
    ("path", "count", "without", "judged", "column"),
    [
        ("cvrr_es/GPT4o.standard", 2400, 0, 2400, ""),
        ("cvrr_es/Gemini_Vision_Pro.dscp", 2382, 0, 2382, ""),
        ("cvrr_es/Video-LLaMA-2.dscp", 2400, 0, 2400, ""),
        ("egoschema/treevideoagent", 500, 0, 0, ""),
        ("eventhallusion/video_llava", 409, 0, 0, ""),
        ("lvbench/video-xl-2", 1549, 0, 0, ""),
        ("mlvu/video-llava-test", 502, 0, 0, ""),
        ("mlvu/qwen-vl-max-test", 272, 0, 0, ""),
        ("next_oe/hga/HGA-same-att-qns23ans7-test.json", 9178, 0, 0, ""),
        ("next_qa/hga-bert-ft", 4996, 0, 0, ""),
        ("next_qa/hqga-bert", 8564, 0, 0, ""),
        ("tempcompass/gemini/predictions", 7540, 54, 0, ""),
        ("tempcompass/gemini/verdicts", 7540, 54, 2237 + 54, ""),
        ("tempcompass/video-llava/verdicts", 7540, 0, 2011, ""),
        ("tempcompass/reka-flash/predictions", 4033, 0, 0, ""),
        ("video_mme/video-xl-2/answers.csv", 2700, 0, 0, ""),
        ("video_mme/scalegrid-InternVL3-8B/InternVL3-8B_V1_medium_predictions_wide.csv", 639, 54, 0, "16f_151k"),
        ("vnbench/llava-onevision-7b", 5400, 0, 0, ""),
    ],
)
def test_counts(shared: Path, path: str, count: int, without: int, judged: int, column: str) -> None:
    answers = read_answer_files([shared / "verdicts" / path], ReadOptions(column=column))
    assert len(answers) == count
    assert sum(answer.answer is None for answer in answers) == without
    assert sum(answer.verdict is not None and bool(answer.verdict.judge) for answer in answers) == judged


def test_answers_outside_a_vocabulary(shared: Path) -> None:
    folder = shared / "verdicts" / "msvd_qa" / "hqga-bert"
    words = tuple(json.loads((folder / "ans_word.json").read_text()))
    answers = read_answer_files(sorted(folder.glob("HQGA*")), ReadOptions(vocabulary=words))
    assert Counter(not answer.document.answer for answer in answers) == {False: 12378, True: 779}
    assert sum(answer.answer == answer.document.answer for answer in answers) == 5414
