"""The comparison page in Chromium, from a file: its filters and keys work, and whatever a model says is text."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vlmkit import runner
from vlmkit.evaluation.answers import Answer, read_answers
from vlmkit.json_files import json_line
from vlmkit.report import write_comparison

expect = pytest.importorskip("playwright.sync_api", reason="needs the package playwright").expect

pytestmark = pytest.mark.usefixtures("quick")
HOSTILE = "</script><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\"><b>{{ 7 }}"
UNJUDGED = "nobody judged this"


def answered(run: Path, say: Callable[[int, Answer], str]) -> Path:
    """Give a run other answers, and have them scored."""
    folder = run / "eval" / "moving-shapes"
    answers = list(read_answers(folder / "predictions.jsonl").values())
    said = [answer.model_copy(update={"prediction": say(at, answer)}) for at, answer in enumerate(answers)]
    (folder / "predictions.jsonl").write_text("".join(json_line(one.data()) for one in said))
    (folder / "result.json").unlink()
    runner.evaluate(run)
    with sqlite3.connect(folder / "verdicts.sqlite") as stored:
        stored.execute("DELETE FROM verdicts WHERE prediction = ?", (UNJUDGED,))
    stored.close()
    return run


@pytest.fixture(scope="module")
def runs(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs: `first` is right but for every third question, `second` but for every fourth; one answer of `first` is
    markup, one of `second` has no verdict."""
    folder = tmp_path_factory.mktemp("runs")
    clips = {"clips": 12, "size": 48, "root": str(folder / "clips")}
    shutil.copytree(talker, folder / "models" / "first")
    runner.evaluate(
        folder / "models" / "first",
        folder,
        benchmarks=[{"name": "moving-shapes", "dataset": clips}],
        set={"evaluation.judge": "exact", "evaluation.workers": 0},
    )
    shutil.copytree(folder / "first", folder / "second")
    return [
        answered(folder / "first", lambda at, one: HOSTILE if at == 0 else "no" if at % 3 == 0 else one.answer),
        answered(folder / "second", lambda at, one: UNJUDGED if at == 1 else "no" if at % 4 == 0 else one.answer),
    ]


@pytest.fixture(scope="module")
def page(runs: Sequence[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_comparison(runs, tmp_path_factory.mktemp("page") / "comparison.html")


@pytest.fixture(scope="module")
def questions(runs: Sequence[Path]) -> list[Answer]:
    return list(read_answers(runs[0] / "eval" / "moving-shapes" / "predictions.jsonl").values())


@pytest.fixture
def tab(chromium_page: Any, page: Path) -> Any:
    chromium_page.goto(page.as_uri())
    return chromium_page


def choose(tab: Any, **values: str) -> None:
    for name, value in values.items():
        tab.locator(f"select[name={name.replace('_', '-')}]").select_option(value)


def listed(tab: Any) -> list[str]:
    """The samples in the list, by id, as each shows when it is opened."""
    found = []
    for button in tab.locator(".list button").all():
        button.click()
        found.append(tab.locator(".sample > p.note").last.inner_text().split(" · ")[-1])
    return found


def ids(questions: Sequence[Answer], wanted: Callable[[int], bool]) -> list[str]:
    return [question.id for at, question in enumerate(questions) if wanted(at)]


def test_outcomes_flips_and_types_are_filtered(tab: Any, questions: list[Answer]) -> None:
    expect(tab.locator("#samples .banner")).to_have_count(0)
    expect(tab.locator(".count")).to_have_text(f"{len(questions)} of {len(questions)} samples")
    choose(tab, first_outcome="wrong")
    assert listed(tab) == ids(questions, lambda at: at % 3 == 0)
    choose(tab, first_outcome="right", second_outcome="wrong")
    assert listed(tab) == ids(questions, lambda at: at % 3 > 0 and at % 4 == 0)
    choose(tab, first_outcome="", second_outcome="unscored")
    assert listed(tab) == [questions[1].id]
    choose(tab, second_outcome="flip")
    assert listed(tab) == ids(questions, lambda at: at != 1 and (at % 3 == 0) != (at % 4 == 0))
    kind = questions[2].type
    choose(tab, second_outcome="", type=kind)
    assert listed(tab) == [question.id for question in questions if question.type == kind]


def test_search_finds_words_of_questions_and_answers(tab: Any, questions: list[Answer]) -> None:
    tab.locator("input[name=search]").fill(f"{questions[4].video} {questions[4].question.split()[0].upper()}")
    found = listed(tab)
    assert questions[4].id in found
    assert len(found) < len(questions)
    tab.locator("input[name=search]").fill(UNJUDGED)
    assert listed(tab) == [questions[1].id]
    tab.locator("input[name=search]").fill("no such word")
    expect(tab.locator(".sample")).to_have_text("No sample is like this.")


def test_samples_are_sorted(tab: Any, questions: list[Answer]) -> None:
    choose(tab, sort="wrong")
    both = ids(questions, lambda at: at % 12 == 0)
    assert listed(tab)[: len(both)] == both
    choose(tab, sort="split")
    apart = ids(questions, lambda at: at != 1 and (at % 3 == 0) != (at % 4 == 0))
    assert listed(tab)[: len(apart)] == apart
    choose(tab, sort="type")
    types = {question.id: question.type for question in questions}
    assert [types[one] for one in listed(tab)] == sorted(types.values())


def test_keys_go_through_the_samples(tab: Any) -> None:
    current = tab.locator(".list [aria-current]")
    buttons = tab.locator(".list button")
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    expect(buttons.nth(2)).to_have_attribute("aria-current", "true")
    tab.keyboard.press("k")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowUp")
    expect(buttons.nth(2)).to_be_focused()
    tab.keyboard.press("/")
    expect(tab.locator("input[name=search]")).to_be_focused()
    tab.keyboard.type("j/k")
    expect(tab.locator("input[name=search]")).to_have_value("j/k")
    tab.locator("input[name=search]").fill("")
    tab.keyboard.press("Escape")
    expect(buttons.nth(0)).to_be_focused()
    tab.keyboard.press("End")
    expect(buttons.last).to_have_attribute("aria-current", "true")
    expect(current).to_have_count(1)


def test_answers_with_markup_are_text(tab: Any, questions: list[Answer]) -> None:
    answer = tab.locator(".answer").first
    expect(answer.locator(".text").first).to_have_text(HOSTILE)
    expect(answer).to_contain_text("wrong")
    assert "owned" not in tab.title()
    assert tab.locator(".sample :is(script, b), .sample img[src=x]").count() == 0


def test_frames_are_shown_once_for_each_video(tab: Any, page: Path, questions: list[Answer]) -> None:
    data = json.loads(tab.locator("#data").text_content())
    assert len(data["videos"]) == len({question.video for question in questions})
    expect(tab.locator(".strip img").first).to_have_js_property("naturalWidth", 48)
    assert page.stat().st_size < 1_000_000


def test_a_narrow_page_does_not_scroll_sideways(tab: Any, screenshots: Path) -> None:
    tab.set_viewport_size({"width": 400, "height": 800})
    tab.screenshot(path=screenshots / "comparison-narrow.png", full_page=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_it_can_be_printed(tab: Any, screenshots: Path) -> None:
    tab.emulate_media(media="print")
    expect(tab.locator(".filters")).to_be_hidden()
    expect(tab.locator(".answer").first).to_be_visible()
    tab.pdf(path=screenshots / "comparison.pdf", format="A4")
    assert tab.locator("details:not([open])").count() == 0


def test_without_scripts_all_but_the_samples_is_there(browser: Any, page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    expect(tab.locator("#samples .banner")).to_contain_text("needs JavaScript")
    expect(tab.locator("#scores")).to_contain_text("Paired, question by question")
    expect(tab.locator(".filters")).to_be_hidden()
    expect(tab.locator(".browser")).to_be_hidden()
    context.close()
