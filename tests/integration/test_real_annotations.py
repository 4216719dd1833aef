"""Every annotation file of ../shared, read as the entry of its benchmark says: counts and the known traps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from vlmkit.api import Document
from vlmkit.benchmarks.annotations import read_documents
from vlmkit.benchmarks.entries import find_benchmark
from vlmkit.benchmarks.locating import annotation_files
from vlmkit.spec.evaluation import BenchmarkUse

FOLDERS = {
    "egoschema": "egoschema",
    "intent-qa": "intent_qa",
    "mlvu-generation": "mlvu/dev",
    "mlvu": "mlvu/{split}",
    "mmvu": "mmvu",
    "mvbench": "mvbench",
    "next-qa": "next_qa",
    "next-qa-oe": "next_oe",
    "star": "star",
    "tempcompass": "tempcompass",
    "tgif-action": "tgif_qa",
    "tgif-count": "tgif_qa",
    "tgif-transition": "tgif_qa",
    "tvbench": "tvbench",
    "video-mmmu": "video_mmmu",
}
COUNTS = {
    ("egoschema", "subset"): (500, 500, {5: 500}),
    ("egoschema", "full"): (5031, 5031, {5: 5031}),
    ("intent-qa", "test"): (2134, 567, {5: 2134}),
    ("intent-qa", "val"): (2044, 524, {5: 2044}),
    ("mlvu", "dev"): (2175, 1242, {4: 2175}),
    ("mlvu", "test"): (502, 349, {6: 502}),
    ("mlvu-generation", "dev"): (418, 417, {0: 418}),
    ("mmvu", "validation"): (1000, 583, {5: 625, 0: 375}),
    ("mvbench", "test"): (4000, 3687, {1: 5, 2: 118, 3: 1301, 4: 2376, 5: 200}),
    ("next-qa", "test"): (8564, 1000, {5: 8564}),
    ("next-qa", "val"): (4996, 570, {5: 4996}),
    ("next-qa-oe", "test"): (9178, 1000, {0: 9178}),
    ("next-qa-oe", "val"): (5343, 570, {0: 5343}),
    ("star", "val"): (7098, 914, {4: 7098}),
    ("tempcompass", "test"): (7540, 410, {0: 2453, 2: 1517, 3: 2063, 4: 1507}),
    ("tgif-action", "test"): (2274, 2274, {5: 2274}),
    ("tgif-count", "test"): (3554, 3554, {0: 3554}),
    ("tgif-transition", "test"): (6232, 3116, {5: 6232}),
    ("tvbench", "test"): (2525, 2132, {2: 942, 3: 225, 4: 1358}),
    ("video-mmmu", "test"): (
        900, 300, {0: 20, 2: 2, 3: 10, 4: 43, 5: 21, 6: 20, 7: 7, 8: 17, 9: 39, 10: 719, 11: 1, 14: 1},
    ),
}  # fmt: skip
Read = Callable[[str, str], Sequence[Document]]


@pytest.fixture(scope="module")
def read(shared: Path) -> Read:
    """The questions of a split, verified and read once."""

    @cache
    def documents(name: str, split: str) -> Sequence[Document]:
        folder = FOLDERS[name].format(split=split)
        use = BenchmarkUse(name=name, split=split, annotation_root=str(shared / "annotations" / folder))
        benchmark = find_benchmark(name)
        files, used = annotation_files(use, benchmark, split)
        assert used.registered
        found = read_documents(files, benchmark.annotation_options(split))
        counts = benchmark.splits[split]
        assert (len(found), len({document.video for document in found})) == (counts.questions, counts.videos)
        return found

    return documents


@pytest.mark.parametrize(("name", "split"), COUNTS)
def test_counts(read: Read, name: str, split: str) -> None:
    documents, expected = read(name, split), COUNTS[name, split]
    options = Counter(len(document.options) for document in documents)
    assert (len(documents), len({document.video for document in documents}), dict(options)) == expected


def test_every_registered_split_is_counted_or_could_not_be_had() -> None:
    for name in FOLDERS:
        assert {split for entry, split in COUNTS if entry == name} == set(find_benchmark(name).splits)


def test_all_answers_are_there_but_those_that_are_not_public(read: Read) -> None:
    for name, split in COUNTS:
        without = [d.id for d in read(name, split) if d.options and d.correct is None]
        expected = {("egoschema", "full"): 4531, ("mlvu", "test"): 502, ("mlvu", "dev"): 2}
        assert len(without) == expected.get((name, split), 0), without[:5]


def test_next_qa_repeats_its_ids_between_videos(read: Read) -> None:
    qids = Counter(document.id.split("_")[1] for document in read("next-qa", "val"))
    assert 4996 - len(qids) == 4981
    types = Counter(document.type for document in read("next-qa", "val"))
    assert "TP" not in types
    assert Counter(document.tags["kind"] for document in read("next-qa", "val")).keys() == {"C", "T", "D"}
    second = Counter(len(document.references) for document in read("next-qa-oe", "test"))
    assert second == {1: 5264, 2: 3914}  # 4,632 have a second reference, 718 of them the same words again


def test_star_asks_about_parts_of_videos(read: Read) -> None:
    documents = read("star", "val")
    assert len({(document.video, document.span) for document in documents}) == 3373
    assert Counter(document.type for document in documents) == {
        "Interaction": 2398, "Sequence": 3586, "Prediction": 624, "Feasibility": 490,
    }  # fmt: skip


def test_tempcompass_has_four_tasks(read: Read) -> None:
    documents = read("tempcompass", "test")
    assert Counter(document.task for document in documents) == {
        "multi-choice": 1580, "yes_no": 2453, "caption_matching": 1503, "captioning": 2004,
    }  # fmt: skip
    assert len({document.group for document in documents}) == 207
    for document in documents:
        assert ("mc_question" in document.tags) == (document.task == "captioning")
        assert ("labels" in document.tags) == (document.task == "caption_matching")
        assert ("fine_aspect" in document.tags) == (document.type != "order")
        assert document.task != "yes_no" or document.answer in ("yes", "no")
    labels = Counter(document.tags["labels"] for document in documents if "labels" in document.tags)
    assert labels == {"Caption A\nCaption B": 501, "Option 1\nOption 2": 501, "Sentence A\nSentence B": 501}


def test_mvbench_has_twenty_tasks_of_200(read: Read) -> None:
    documents = read("mvbench", "test")
    assert set(Counter(document.task for document in documents).values()) == {200}
    assert len({document.task for document in documents}) == 20
    assert len({document.video.removeprefix(f"{_folder(document.video)}/") for document in documents}) == 3655
    single = Counter(document.task for document in documents if len(document.options) == 1)
    assert single == {"counterfactual_inference": 5}
    assert sum(document.span is not None for document in documents) == 1000


def _folder(video: str) -> str:
    """The folder of a data set: one name for TVQA's and VLN-CE's clips, else two."""
    parts = video.split("/")
    return "/".join(parts[: 1 if parts[0] in ("vlnqa", "nturgbd", "ssv2_video") else 2])


def test_mlvu_has_flaws(read: Read) -> None:
    documents = {document.id: document for document in read("mlvu", "dev")}
    for id_ in ("2_needle/34", "2_needle/338"):
        assert documents[id_].correct is None
        assert documents[id_].answer not in ("", *documents[id_].options)
    assert documents["7_topic_reasoning/26"].options == ("",) * 4
    repeated = Counter(d.task for d in documents.values() if len(set(d.options)) < 4)
    assert repeated == {"plotQA": 5, "anomaly_reco": 9, "topic_reasoning": 2}
    right = [d for d in documents.values() if d.correct is not None and d.options.count(d.options[d.correct]) > 1]
    assert len(right) == 6
    assert all(d.options[d.correct] not in d.options[d.correct + 1 :] for d in right if d.correct is not None)
    assert Counter(document.task for document in read("mlvu-generation", "dev")) == {"subPlot": 201, "summary": 217}
    groups = {document.group for split in ("mlvu", "mlvu-generation") for document in read(split, "dev")}
    assert len(groups) == 1337


def test_video_mmmu_and_mmvu_have_open_questions(read: Read) -> None:
    tasks = Counter(document.task for document in read("video-mmmu", "test"))
    assert tasks == {"Perception": 300, "Comprehension": 300, "Adaptation": 280, "Adaptation-open": 20}
    assert all(
        (document.task == "Adaptation-open") == (not document.options) for document in read("video-mmmu", "test")
    )
    kinds = Counter((document.task, bool(document.options)) for document in read("mmvu", "validation"))
    assert kinds == {("multiple-choice", True): 625, ("open-ended", False): 375}


def test_tgif_counts(read: Read) -> None:
    counts = {int(document.answer) for document in read("tgif-count", "test")}
    assert counts == {0, *range(2, 11)}


def test_the_wrong_split_is_refused(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").symlink_to(shared / "annotations" / "intent_qa" / "val.csv")
    use = BenchmarkUse(name="intent-qa", annotation_root=str(tmp_path))
    with pytest.raises(ValueError, match=r"but holds val\.csv of split 'val'"):
        annotation_files(use, find_benchmark("intent-qa"), "test")
