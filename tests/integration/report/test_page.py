"""The page as a browser and a reader get it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from vlmkit.evaluation import benchmark_folders
from vlmkit.report import write_report

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)> & \"quotes\" {{ 7 * 7 }} {% raw %}"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks the nesting and collects elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def says(self, text: str) -> bool:
        return text in re.sub(r"\s+", " ", " ".join(self.text))


def render(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_finished_run(run_folder: Path) -> None:
    path = write_report(run_folder)
    assert path == run_folder / "report.html"
    assert path.stat().st_size < 3_000_000
    page = Page(path.read_text(encoding="utf-8"))
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert [entry["id"] for entry in page.all("section")] == [
        "results", "model", "training", "videos", "skipped", "reproduce",
    ]  # fmt: skip
    for text in ("tiny", "judge same 3", "915,968", "look (downsampler half)", "Nothing was skipped", "SHA-256"):
        assert page.says(text), text
    assert not page.says("not finished")
    assert len(page.all("article")) == 15
    assert list(run_folder.glob(".report*")) == []


def test_scores_stand_beside_their_interval_and_the_control(run_folder: Path) -> None:
    result = json.loads((run_folder / "eval/shapes/result.json").read_text())
    page = render(run_folder)
    for part in (result, result["controls"]["other-video"]):
        metric = part["metrics"]["accuracy"]
        low, high = metric["ci95"]
        assert page.says(f"{100 * metric['value']:.1f}%")
        assert page.says(f"95% interval {100 * low:.1f}\N{EN DASH}{100 * high:.1f}%")


def test_it_is_self_contained(run_folder: Path) -> None:
    page = render(run_folder)
    references = [entry[key] or "" for _, entry in page.elements for key in ("src", "href", "srcset") if key in entry]
    assert references
    assert all(reference.startswith(("data:image/jpeg;base64,", "#")) for reference in references)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert "url(" not in re.sub(r"url\(#\w+\)", "", (run_folder / "report.html").read_text())
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_it_is_accessible(run_folder: Path) -> None:
    page = render(run_folder)
    assert page.all("html")[0]["lang"] == "en"
    assert all(image["alt"] for image in page.all("img"))
    assert all(header["scope"] in ("col", "row") for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    ids = Counter(entry["id"] for _, entry in page.elements if "id" in entry)
    assert max(ids.values()) == 1
    assert all(svg["aria-hidden"] == "true" for svg in page.all("svg"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_has_contrast(root: Path, mode: str) -> None:
    light, dark = re.findall(
        r":root \{(.*?)\}", (root / "vlmkit/report/templates/page.css").read_text(), flags=re.DOTALL
    )
    colors = dict(re.findall(r"--(\w+): #(\w{6})", light if mode == "light" else dark))

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ground in ("paper", "panel"):
        for name in ("ink", "muted", "accent", "control", "correct", "wrong"):
            bright, dim = sorted((luminance(colors[ground]), luminance(colors[name])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ground, name)


def test_hostile_text_stays_text(run_folder: Path) -> None:
    before = Counter(tag for tag, _ in render(run_folder).elements)
    log = run_folder / "eval/shapes/predictions.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    rows = [{**row, "question": HOSTILE, "answer": HOSTILE, "prediction": HOSTILE, "type": HOSTILE} for row in rows]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run_folder / "eval/shapes/result.json"
    kinds = {f"{HOSTILE}{i}": part for i, part in enumerate(json.loads(result.read_text())["by_type"].values())}
    rewrite(result, by_type=kinds, judge={"name": HOSTILE, "version": HOSTILE})
    rewrite(run_folder / "model.json", tokens={HOSTILE: 1, "b": 2})
    bad = {"id": HOSTILE, "video": HOSTILE, "reason": HOSTILE, "where": HOSTILE}
    (run_folder / "bad_samples.jsonl").write_text(json.dumps(bad) + "\n")
    plugin = {"name": HOSTILE, "package": HOSTILE, "state": "loaded"}
    (run_folder / "environment.json").write_text(json.dumps([{HOSTILE: HOSTILE, "plugins": [plugin]}]))
    page = render(run_folder)
    after = Counter(tag for tag, _ in page.elements)
    assert (after["script"], after["img"], after["article"]) == (0, before["img"], before["article"])
    assert not any(key.startswith("on") for _, entry in page.elements for key in entry)
    assert page.says(HOSTILE)


def test_correct_and_wrong_are_told_in_words_and_in_proportion(run_folder: Path) -> None:
    result = json.loads((run_folder / "eval/shapes/result.json").read_text())
    page = render(run_folder)
    shown = Counter(entry["class"] for entry in page.all("span") if "verdict" in (entry.get("class") or ""))
    share = 15 * result["metrics"]["accuracy"]["value"]
    assert abs(shown["verdict correct"] - share) < 1
    assert shown["verdict correct"] + shown["verdict wrong"] == 15
    assert page.says("✗ wrong")


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("model.json", "holds no model.json"),
        ("environment.json", "holds no environment.json"),
        ("eval", "shapes has no result yet."),
        ("stages", "No training step is logged yet."),
        ("model", "The trained model is not written yet."),
        ("stages/2-align", "language"),
    ],
)
def test_what_is_missing_is_said(run_folder: Path, gone: str, told: str) -> None:
    path = run_folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert render(run_folder).says(told)


def test_a_result_without_its_predictions_has_no_gallery(run_folder: Path) -> None:
    (run_folder / "eval/shapes/predictions.jsonl").unlink()
    page = render(run_folder)
    assert page.all("article") == []
    assert not page.says("Test videos")


def test_only_a_spec(run_folder: Path) -> None:
    for path in run_folder.iterdir():
        if path.name != "spec.yaml":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = render(run_folder)
    for told in ("This run is not finished.", "Stage align has logged nothing yet.", "No benchmark has a result yet."):
        assert page.says(told)


def test_an_unfinished_stage_says_how_far_it_is(run_folder: Path) -> None:
    (run_folder / "model").rmdir()
    log = run_folder / "stages/2-align/metrics.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:20]))
    assert render(run_folder).says("Stage align stands at step 200 of 500.")


def test_a_clip_that_is_gone_or_broken_leaves_its_question(run_folder: Path) -> None:
    videos = run_folder.parents[1] / "videos"
    (videos / "clip-0.mp4").unlink()
    (videos / "clip-1.mp4").write_bytes(b"no video")
    page = render(run_folder)
    assert page.says("The frames are not shown: no file clip-0.mp4")
    assert len(page.all("article")) == 15


def test_without_any_video_the_page_still_has_the_questions(run_folder: Path) -> None:
    shutil.rmtree(run_folder.parents[1] / "videos")
    page = render(run_folder)
    assert page.says("The frames are not shown:")
    assert (len(page.all("article")), len(page.all("img"))) == (15, 0)


def test_what_was_skipped_and_unscored_is_listed(run_folder: Path) -> None:
    bad = [{"id": f"s{i}", "video": f"v{i}.mp4", "reason": "it ends early", "where": "align"} for i in range(60)]
    (run_folder / "bad_samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in bad))
    rewrite(run_folder / "eval/shapes/result.json", skipped=3, unscored=2)
    log = run_folder / "eval/shapes/predictions.jsonl"
    row = json.loads(log.read_text().splitlines()[0])
    with log.open("a") as file:
        file.write(json.dumps({**row, "id": "unjudged", "prediction": "never seen before"}) + "\n")
        file.write(json.dumps({**row, "id": "lost", "prediction": None, "skipped": "it ends early"}) + "\n")
    page = render(run_folder)
    for told in ("60 samples could not be read (align: 60).", "10 more are in bad_samples.jsonl", "it ends early"):
        assert page.says(told), told
    for told in ("3 skipped, 2 unscored and not counted.", "never seen before", "not judged"):
        assert page.says(told), told
    assert not page.says("Nothing was skipped")


def test_a_result_without_a_single_score(run_folder: Path) -> None:
    nothing = {"n": 0, "metrics": {}}
    rewrite(run_folder / "eval/shapes/result.json", **nothing, unscored=60, by_type={"colour": nothing}, controls={})
    assert render(run_folder).says("No question could be scored.")


def test_a_type_without_a_score_in_the_control_has_an_empty_cell(run_folder: Path) -> None:
    result = run_folder / "eval/shapes/result.json"
    controls = json.loads(result.read_text())["controls"]
    controls["other-video"]["by_type"]["colour"] = {"n": 0, "metrics": {}}
    rewrite(result, controls=controls)
    text = re.sub(r">\s+<", "><", write_report(run_folder).read_text())
    row = next(row for row in re.findall(r"<tr.*?</tr>", text) if ">colour<" in row)
    assert row.count("</td>") == 3
    assert row.endswith('<td role="cell" class="n">\N{EN DASH}</td></tr>')


def test_every_control_says_what_is_lost_with_it(run_folder: Path) -> None:
    result = run_folder / "eval/shapes/result.json"
    other = json.loads(result.read_text())["controls"]["other-video"]
    lost = {"accuracy": {"value": 0.4321, "ci95": [-0.0123, 0.5678]}}
    rewrite(result, controls={"other-video": other, "single-frame": {**other, "difference": lost}})
    page = render(run_folder)
    for told in ("due to the video", "due to more than one frame", "Lost, points", "+43.21", "-1.23 to +56.78"):
        assert page.says(told), told


def test_further_columns_have_tables_of_their_own(run_folder: Path) -> None:
    result = run_folder / "eval/shapes/result.json"
    stored = json.loads(result.read_text())
    by_type = stored["by_type"]
    parts = {"task": by_type, "fine_aspect": {"<fast>": by_type["count"], "slow": {"n": 0, "metrics": {}}}}
    rewrite(result, by=parts)
    page = render(run_folder)
    assert page.says("Accuracy by fine aspect (1)")
    assert page.says("<fast>")
    assert not page.says("slow"), "nothing of it is scored"
    assert not page.says("Accuracy by task"), "which says the same as the question type"


def test_how_it_was_measured_is_said(run_folder: Path) -> None:
    counts = {"unreadable": 1, "drawn": 2, "dropped": 3, "contradictions": 4, "unscored": 5}
    shown = {
        "greedy": True,
        "max_new_tokens": 5,
        "batch_size": 4,
        "frames": 16,
        "sampling": {"type": "fps", "fps": 1.0},
    }
    rewrite(run_folder / "eval/shapes/result.json", **counts, decoding=shown, protocol="authors@1")
    page = render(run_folder)
    for told in (
        "split test, protocol authors@1; judge same 3. At most 16 frames of a video, sampled by fps. 5 unscored",
        "1 answer could not be read and counts as wrong. 2 answers could not be read and were replaced by",
        "3 answers are left out by the protocol. 4 verdicts have a label that their score contradicts.",
    ):
        assert page.says(told), told


@pytest.mark.parametrize(
    ("aggregate", "said"),
    [
        ({"over": "task"}, "The score is the mean of the means by task."),
        ({"all_right": True}, "A group of questions counts as one, which is right when all of it is."),
    ],
)
def test_how_values_become_a_score_is_said(run_folder: Path, aggregate: dict[str, Any], said: str) -> None:
    entry = benchmark_folders()["shapes"] / "benchmark.yaml"
    assert not render(run_folder).says(said)
    entry.write_text(f"{entry.read_text()}\naggregate: {json.dumps(aggregate)}\n")
    assert render(run_folder).says(said)


@pytest.mark.parametrize("lacking", ["accuracy", "score"])
def test_a_metric_that_the_control_lacks(run_folder: Path, lacking: str) -> None:
    """As in a result that another version has written."""
    result = run_folder / "eval/shapes/result.json"
    stored = json.loads(result.read_text())
    metrics = stored["metrics"] | {"score": {"value": 3.21, "ci95": [3.0, 3.4]}}
    kept = {name: value for name, value in metrics.items() if name != lacking}
    rewrite(result, metrics=metrics, controls={"other-video": {**stored["controls"]["other-video"], "metrics": kept}})
    page = render(run_folder)
    assert page.says("3.21")
    assert page.says("control: other-video") == (lacking != "accuracy")


def test_published_results_come_with_their_judge(run_folder: Path) -> None:
    page = render(run_folder)
    assert page.says("These were judged by a large model on split test; the score above by judge same 3")
    assert page.says("64.7%")


def test_a_result_of_another_spec_is_told(run_folder: Path) -> None:
    rewrite(run_folder / "eval/shapes/result.json", spec_sha256="f" * 64)
    page = render(run_folder)
    assert page.says("spec of the shapes result, SHA-256")
    assert page.says("f" * 64)


def test_further_metrics_and_limits_are_shown(run_folder: Path) -> None:
    result = run_folder / "eval/shapes/result.json"
    metrics = json.loads(result.read_text())["metrics"] | {"score": {"value": 3.21, "ci95": [3.0, 3.4]}}
    rewrite(result, metrics=metrics, controls={}, limit=60, annotations={"registered": False})
    page = render(run_folder)
    for told in ("3.21", "Only the first 60 questions of the split.", "Annotations other than the registered ones.",
                 "No control was measured."):  # fmt: skip
        assert page.says(told), told


def test_it_costs_no_torch(run_folder: Path) -> None:
    code = "import sys, vlmkit.report as r; r.write_report(sys.argv[1]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(run_folder)], check=False).returncode == 0
    assert (run_folder / "report.html").is_file()


def test_the_same_run_gives_the_same_page(run_folder: Path) -> None:
    assert write_report(run_folder).read_bytes() == write_report(run_folder).read_bytes()
