"""The shipped entries of open-ended benchmarks, with the authors' files where they lie beside the checkout."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from vlmkit.api import Document, JudgeRequest, Verdict
from vlmkit.benchmarks.annotations import read_documents
from vlmkit.benchmarks.benchmark_check import check_benchmark
from vlmkit.benchmarks.locating import annotation_files, check_counts
from vlmkit.errors import DataError
from vlmkit.evaluation import Answer, find_benchmark, own_questions, prepare_benchmark, score_answers
from vlmkit.evaluation.scores import summarize
from vlmkit.spec.evaluation import BenchmarkUse

FOLDERS = {
    "activitynet-qa": "activitynet_qa", "msrvtt-qa": "msrvtt_qa", "msvd-qa": "msvd_qa", "tgif-frameqa": "tgif_qa",
    "vcg-bench": "video_chatgpt",
}  # fmt: skip


def _documents(shared: Path, name: str, split: str | None = None) -> list[Document]:
    entry = find_benchmark(name)
    chosen, _ = entry.split(split)
    use = BenchmarkUse(name=name, annotation_root=str(shared / "annotations" / FOLDERS[name]))
    files, _ = annotation_files(use, entry, chosen)
    return read_documents(files, entry.annotation_options(chosen))


@pytest.mark.parametrize(
    ("name", "split", "questions", "videos"),
    [
        ("msvd-qa", "test", 13_157, 504),
        ("msvd-qa", "val", 6_415, 245),
        ("msvd-qa", "train", 30_933, 1_161),
        ("msrvtt-qa", "test", 72_821, 2_990),
        ("msrvtt-qa", "val", 12_278, 497),
        ("tgif-frameqa", "test", 13_691, 7_132),
        ("activitynet-qa", "test", 8_000, 800),
        ("activitynet-qa", "val", 18_000, 1_800),
        ("vcg-bench", "test", 3 * 1_996 + 499 + 2 * 499, 499),
    ],
)
def test_the_authors_files_hold_what_the_entry_says(
    shared: Path, name: str, split: str, questions: int, videos: int
) -> None:
    documents = _documents(shared, name, split)
    assert (len(documents), len({document.video for document in documents})) == (questions, videos)
    stated = find_benchmark(name).splits[split]
    assert (stated.questions, stated.videos) == (questions, videos)
    assert all(document.answer for document in documents)


@pytest.mark.parametrize("name", ["msvd-qa", "msrvtt-qa"])
def test_types_are_the_first_words_of_questions(shared: Path, name: str) -> None:
    documents = _documents(shared, name)
    assert {document.type for document in documents} == {"what", "who", "how", "when", "where"}
    assert all(document.question.endswith("?") for document in documents)
    assert not any(document.question.endswith("??") for document in documents)


def test_types_have_names(shared: Path) -> None:
    counts = Counter(document.type for document in _documents(shared, "tgif-frameqa"))
    assert counts == {"object": 5_586, "number": 3_148, "color": 3_904, "location": 1_053}
    counts = Counter(document.type for document in _documents(shared, "activitynet-qa"))
    assert counts["motion"] == counts["spatial relation"] == counts["temporal relation"] == 800
    assert counts["yes/no"] == 2_094


def test_the_pairs_of_vcg_bench_are_judged_once(shared: Path) -> None:
    documents = {document.id: document for document in _documents(shared, "vcg-bench")}
    assert Counter(document.task for document in documents.values()) == {
        "correctness": 1_996, "detail": 1_996, "context": 1_996, "temporal": 499, "consistency": 998,
    }  # fmt: skip
    first = [document for document in documents.values() if document.companion]
    assert len(first) == 499
    for document in first:
        second = documents[document.companion]
        assert (second.video, second.answer, second.companion) == (document.video, document.answer, "")
    assert set(find_benchmark("vcg-bench").protocol(None).tasks) == {document.task for document in documents.values()}


@pytest.mark.parametrize(
    ("name", "file", "rows", "questions"),
    [("msvd-qa", "MSVD_QA.csv", 6_415, 13_157), ("msrvtt-qa", "MSRVTT_QA.csv", 12_278, 72_821)],
)
def test_validation_files_under_the_name_of_the_test_are_refused(
    shared: Path, name: str, file: str, rows: int, questions: int
) -> None:
    """Those on which IG-VLM published its scores."""
    entry = find_benchmark(name)
    use = BenchmarkUse.model_validate(
        {"name": name, "annotations": [{"path": str(shared / "annotations" / "igvlm" / file)}]}
    )
    files, used = annotation_files(use, entry, "test")
    documents = read_documents(files, entry.annotation_options("test"))
    with pytest.raises(DataError, match=rf"expected {questions} questions .*, found {rows} in .* of split 'val'"):
        check_counts(use, entry, "test", used, documents)


def test_the_validation_file_in_the_place_of_the_test_file(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations" / "msvd_qa"
    (tmp_path / "test_qa.json").symlink_to(source / "val_qa.json")
    (tmp_path / "youtube_mapping.txt").symlink_to(source / "youtube_mapping.txt")
    report = check_benchmark(BenchmarkUse(name="msvd-qa", annotation_root=str(tmp_path)))
    [problem] = report.problems
    assert "test_qa.json is not the registered annotation file but holds val_qa.json of split 'val'" in problem


COLUMNS = {
    "msvd-qa": "msvd_qa", "msrvtt-qa": "msrvtt_qa", "tgif-frameqa": "tgif_qa", "activitynet-qa": "activitynet_qa",
}  # fmt: skip


@pytest.mark.parametrize(("name", "column"), COLUMNS.items())
def test_published_scores_are_those_of_the_paper(shared: Path, name: str, column: str) -> None:
    table = yaml.safe_load((shared / "published" / "video-panda.yaml").read_text())["table_1_open_ended_videoqa"]
    place = table["columns"].index(column)
    expected = [
        (row[0], row[1], row[2], {"accuracy": row[place][0] / 100} | ({"score": score} if score is not None else {}))
        for row in table["rows"]
        if row[place] is not None
        for score in (row[place][1],)
    ]
    published = find_benchmark(name).published
    assert published is not None
    found = [(row.model, row.data, row.vision_parameters_m, row.metrics) for row in published.results]
    assert [row[:3] for row in found] == [row[:3] for row in expected]
    assert [row[3] for row in found] == [pytest.approx(row[3]) for row in expected]


def test_published_scores_of_vcg_bench(shared: Path) -> None:
    table = yaml.safe_load((shared / "published" / "video-panda.yaml").read_text())["table_2_fine_grained"]
    published = find_benchmark("vcg-bench").published
    assert published is not None
    names = [*table["columns"][2:-1], "score"]
    assert [(row.model, row.data, row.metrics) for row in published.results] == [
        (row[0], row[1], dict(zip(names, row[2:], strict=True))) for row in table["rows"]
    ]


def test_a_layout_of_others_is_read_by_the_same_entry(shared: Path) -> None:
    mini = shared / "annotations" / "mini" / "TGIF_test"
    documents = read_documents([mini / "test_q.json", mini / "test_a.json"],
                               find_benchmark("tgif-frameqa").annotation_options("test"))  # fmt: skip
    whole = {document.id: document for document in _documents(shared, "tgif-frameqa")}
    assert documents == [whole[document.id] for document in documents]
    assert len(documents) == 5


def test_questions_of_cvrr_es_are_read_in_its_layout(tmp_path: Path) -> None:
    entry = find_benchmark("cvrr-es")
    split = entry.splits["test"]
    assert len(split.files) == 11
    assert all(file.sha256 is None for file in split.files)
    for file in split.files:
        (tmp_path / file.name).parent.mkdir()
        (tmp_path / file.name).write_text('[{"Q": "What is not there?", "A": "A dog.", "VideoID": "7.mp4"}]')
    documents = read_documents([tmp_path / file.name for file in split.files], entry.annotation_options("test"))
    assert len({document.type for document in documents}) == len({document.video for document in documents}) == 11
    [partial] = [document for document in documents if document.type == "partial_actions"]
    assert (partial.id, partial.video) == ("partial_actions_0", "partial_actions/7.mp4")
    report = check_benchmark(BenchmarkUse(name="cvrr-es", annotation_root=str(tmp_path)))
    first = tmp_path / split.files[0].name
    assert report.problems == [
        f"cvrr-es, split test: expected 2400 questions as the registry says, found 11 in {first} and 10 more; get "
        f"the files again or, where the entry is wrong, correct {entry.folder}"
    ]


def test_vcg_bench_is_the_mean_of_five_dimensions(drawn_clips: list[Path], tmp_path: Path) -> None:
    """Questions of our own in the layout of its files, and a judge that scores by the dimension."""
    files = {
        "generic_qa.json": [{"Q": f"What is {n}?", "A": f"It is {n}.", "video_name": "ada"} for n in range(4)],
        "temporal_qa.json": [{"Q": "What comes first?", "A": "The ball.", "video_name": "bob"}],
        "consistency_qa.json": [{"Q1": "What falls?", "Q2": "Does a cup fall?", "A": "A cup.", "video_name": "bob"}],
    }
    for name, rows in files.items():
        (tmp_path / name).write_text(json.dumps(rows))
    for name, clip in zip(("ada", "bob"), drawn_clips, strict=False):
        shutil.copy(clip, tmp_path / f"{name}.mp4")
    use = {"name": "vcg-bench", "annotations": [{"path": str(tmp_path / name)} for name in files]}
    prepared = prepare_benchmark(BenchmarkUse.model_validate({**use, "video_root": str(tmp_path)}))
    answers = [Answer.to(question, f"on {question.document.id}") for question in own_questions(prepared)]
    asked: list[JudgeRequest] = []
    scores = {"correctness": 1.0, "detail": 2.0, "context": 3.0, "temporal": 4.0, "consistency": 5.0}

    def judge(requests: Sequence[JudgeRequest]) -> list[Verdict]:
        asked.extend(requests)
        return [Verdict(None, scores[request.prompt.name.removeprefix("video-chatgpt-")]) for request in requests
                if request.prompt is not None]  # fmt: skip

    scored = score_answers(answers, prepared.rules, judge)
    assert len(asked) == 3 * 4 + 1 + 1
    [pair] = [request for request in asked if request.other_question]
    assert (pair.question, pair.answer) == ("What falls?", "on consistency_0_1")
    assert (pair.other_question, pair.other_answer) == ("Does a cup fall?", "on consistency_0_2")
    summary = summarize(scored, prepared.rules, prepared.benchmark.cluster)
    assert (summary.n, summary.metrics["score"].value) == (14, pytest.approx(3.0))
