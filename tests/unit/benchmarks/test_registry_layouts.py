"""The entries of the registry read files in the layouts in which their benchmarks circulate: small invented ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import Document
from vlmkit.benchmarks.annotations import read_documents
from vlmkit.benchmarks.entries import find_benchmark

FIVE = ("a cat", "a dog", "a cow", "a hen", "a pig")


def columns(names: Sequence[str], values: Sequence[str] = FIVE) -> dict[str, str]:
    return dict(zip(names, values, strict=False))


def table(row: dict[str, Any], delimiter: str = ",") -> str:
    return f"{delimiter.join(row)}\n{delimiter.join(map(str, row.values()))}\n"


LETTERED = ["A. a cat", "B. a dog", "C. a cow", "D. a hen"]
MC = {"question": "What is it?\nA. a cat\nB. a dog", "answer": "B. a dog"}
GIF = {"gif_name": "tumblr_1", "question": "What is it ?", "answer": 1, "vid_id": "X7", "key": 26}
NEXT = {"video": "40", "question": "what is it", "answer": 1, "qid": 6, "type": "TP"}
MLVU = {"video": "m_1.mp4", "duration": 60.5, "question": "What?", "question_type": "ego"}
CASES: list[tuple[str, str, dict[str, Any], Document]] = [
    (
        "next-qa", "val", {"val.csv": table({**NEXT, **columns(["a0", "a1", "a2", "a3", "a4"])})},
        Document("40_6", "40", "what is it", "a dog", "TN", options=FIVE, correct=1, tags={"kind": "T"}),
    ),
    (
        "next-qa-oe", "test",
        {"test.csv": table({**NEXT, "answer": "dog"}), "add_reference_answer_test.json": {"40": {"6": "puppy"}}},
        Document("40_6", "40", "what is it", "dog", "TN", references=("dog", "puppy"), tags={"kind": "T"}),
    ),
    (
        "intent-qa", "test",
        {"test.csv": table({"video_id": 8, "question": "why", "answer": 4, "qid": 2, "type": "TN",
                            **columns(["a0", "a1", "a2", "a3", "a4"])})},
        Document("8_2", "8", "why", "a pig", "TP&TN", options=FIVE, correct=4),
    ),
    (
        "star", "val",
        {"val.csv": table({"": 1, "video_name": "6H_1.5_9.25", "question": "Which?", "answer_number": 2,
                            "question_id": "Sequence_T1_3", "question_type": "Sequence_T1",
                            **columns(["a0", "a1", "a2", "a3"]), "answer": "a cow"})},
        Document("Sequence_T1_3", "6H", "Which?", "a cow", "Sequence", options=FIVE[:4], correct=2, span=(1.5, 9.25)),
    ),
    (
        "egoschema", "full",
        {"500questions.jsonl": [{"q_uid": "u1", "question": "Why?", **columns([f"option {i}" for i in range(5)])}],
         "4531questions.json": [{"q_uid": "u2", "question": "How?", **columns([f"option {i}" for i in range(5)])}],
         "subset_answers.json": {"u1": 3}},
        Document("u1", "u1", "Why?", "a hen", options=FIVE, correct=3),
    ),
    (
        "tempcompass", "test",
        {"captioning.json": {"7_fast": {"speed": [{"question": "Describe.", "answer": "A. a cat"}]}},
         "multi-choice.json": {"7_fast": {"speed": [MC]}},
         "yes_no.json": {"7_fast": {"speed": [{"question": "Is it?", "answer": "yes"}]}},
         "caption_matching.json": {"7_fast": {"speed": [
             {"question": "Which?\nOption 1: A cat.\nOption 2: A dog.", "answer": "Option 2: A dog."}]}},
         "meta_info.json": {"7_fast": {"eval_dim": {"speed": {"type": "absolute speed"}, "order": None}}}},
        Document("captioning/7_fast/speed/0", "7_fast", "Describe.", "a dog", "speed", options=("a cat", "a dog"),
                 correct=1, task="captioning", group="7",
                 tags={"fine_aspect": "absolute speed", "mc_question": MC["question"]}),
    ),
    (
        "mvbench", "test",
        {"action_sequence.json": [{"video": "Z.mp4", "question": "What then?", "candidates": ["a cat", "a dog"],
                                   "answer": "a dog", "start": 1.5, "end": 9}],
         "moving_count.json": [{"video": "Z.mp4", "question": "How many?", "candidates": ["1"], "answer": "1"}]},
        Document("action_sequence/0", "star/Charades_v1_480/Z.mp4", "What then?", "a dog", "action_sequence",
                 options=("a cat", "a dog"), correct=1, task="action_sequence", span=(1.5, 9.0)),
    ),
    (
        "tvbench", "test",
        {"TVBench.jsonl": [{"messages": [
            {"role": "user", "content": [{}, {"text": "Question: What is it?\n(A) a cat\n(B) a dog"}]},
            {"role": "assistant", "content": [{}, {"reference": "B"}]}],
            "dataset": "TVBench/Action Count", "idx": 4, "vid": "count/v.mp4"}]},
        Document("4", "count/v.mp4", "What is it?", "a dog", "Action Count", options=("a cat", "a dog"), correct=1,
                 task="Action Count"),
    ),
    (
        "mlvu", "dev",
        {"3_ego.json": [{**MLVU, "candidates": ["a cat", "a dog", "a dog"], "answer": "a dog"}]},
        Document("3_ego/0", "3_ego/m_1.mp4", "What?", "a dog", "ego", options=("a cat", "a dog", "a dog"), correct=2,
                 task="ego", group="m_1.mp4", tags={"duration": "60.5"}),
    ),
    (
        "mlvu", "test",
        {"test_question.json": [{**MLVU, "candidates": ["a cat", "a dog"], "question_id": "E_1"}]},
        Document("E_1", "m_1.mp4", "What?", type="ego", options=("a cat", "a dog"), task="ego",
                 tags={"duration": "60.5"}),
    ),
    (
        "mlvu-generation", "dev",
        {"8_sub_scene.json": [{**MLVU, "answer": "He runs.", "scoring_points": ["he", "runs"]}],
         "9_summary.json": [{**MLVU, "answer": "All run."}]},
        Document("8_sub_scene/0", "8_sub_scene/m_1.mp4", "What?", "He runs.", "ego", task="ego", group="m_1.mp4",
                 tags={"duration": "60.5", "scoring_points": "he\nruns"}),
    ),
    (
        "video-mme", "test",
        {"Video-MME.json": [{"video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "Law",
                             "url": "https://www.youtube.com/watch?v=f-_3", "questions": [
                                 {"question_id": "001-1", "task_type": "OCR Problems", "question": "What is it?",
                                  "options": LETTERED, "answer": "C"}]}]},
        Document("001-1", "f-_3", "What is it?", "a cow", "OCR Problems", options=FIVE[:4], correct=2,
                 tags={"duration": "short", "domain": "Knowledge", "sub_category": "Law"}),
    ),
    (
        "lvbench", "test",
        {"video_info.meta.jsonl": [{"key": "f-_3", "type": "tv", "qa": [
            {"uid": "17", "question": "What is it?\n(A) a cat\n(B) a dog", "answer": "B",
             "question_type": ["reasoning", "summarization"], "time_reference": "00:15-00:19"}]}]},
        Document("17", "f-_3", "What is it?", "a dog", "reasoning", options=("a cat", "a dog"), correct=1,
                 tags={"question_types": "reasoning\nsummarization", "time_reference": "00:15-00:19"}),
    ),
    (
        "mmvu", "validation",
        {"validation.json": [
            {"id": "v0", "video": "https://example.org/videos/Art/0.mp4", "question_type": "multiple-choice",
             "metadata": {"subject": "Art"}, "question": "What?", "choices": columns("ABCDE"), "answer": "E"},
            {"id": "v1", "video": "https://example.org/videos/Art/0.mp4", "question_type": "open-ended",
             "metadata": {"subject": "Art"}, "question": "What?", "choices": columns("ABCDE", [""] * 5),
             "answer": "Ink"}]},
        Document("v0", "Art/0", "What?", "a pig", "Art", options=FIVE, correct=4, task="multiple-choice",
                 tags={"lettered": "A: a cat\nB: a dog\nC: a cow\nD: a hen\nE: a pig", "ground_truth": "E"}),
    ),
    (
        "video-mmmu", "test",
        {"adaptation_video.json": {"Adaptation": {"0": {
            "id": "dev_Basic_Art_3", "link_selected": "https://example.org/1", "question": "<image 1> What?",
            "options": list(FIVE), "answer": "B", "question_type": "multiple-choice"}}},
         "perception_video.json": {"Perception": {"0": {
             "id": "dev_Basic_Art_3", "link_selected": "https://example.org/1", "question": "What?",
             "options": list(FIVE), "answer": "B"}}}},
        Document("Adaptation/dev_Basic_Art_3", "dev_Basic_Art_3", "<image 1> What?", "a dog", "Basic_Art", options=FIVE,
                 correct=1, task="Adaptation", group="https://example.org/1", tags={"track": "Adaptation"}),
    ),
    *(
        (name, "test", {"q.csv": table({**GIF, **columns(["a1", "a2", "a3", "a4", "a5"])}, "\t")},
         Document("X7", "tumblr_1", "What is it ?", "a dog", options=FIVE, correct=1))
        for name in ("tgif-action", "tgif-transition")
    ),
    ("tgif-count", "test", {"q.csv": table(GIF, "\t")}, Document("X7", "tumblr_1", "What is it ?", "1")),
    (
        "vnbench", "test",
        {"VNBench-main-4try.json": [{"video": "/VNBench_new/v_1.mp4", "question": "How many?", "options": ["4", "2"],
                                     "gt": "2", "gt_option": "B", "type": "cnt_edit1", "try": 0}]},
        Document("v_1.mp4/0", "v_1.mp4", "How many?", "2", "cnt_edit1", options=("4", "2"), correct=1,
                 task="cnt_edit1"),
    ),
    (
        "eventhallusion", "test",
        {"entire_questions.json": [{"id": "entire_001", "questions": [
            {"type": "hallucination", "question": "Is it?", "answer": "No."}]}]},
        Document("entire_001/0", "entire/entire_001", "Is it?", "No.", "entire", task="entire"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "split", "files", "expected"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_first_question(tmp_path: Path, name: str, split: str, files: dict[str, Any], expected: Document) -> None:
    paths = [tmp_path / file for file in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert read_documents(paths, find_benchmark(name).annotation_options(split))[0] == expected
