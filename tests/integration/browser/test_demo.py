"""The demo page in Chromium: two models side by side, their answers as offline, their frames, and what may go wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from PIL import Image

from vlmkit.chat.chat_model import ChatModel, ChatRequest, Reply
from vlmkit.evaluation.answer_model import LoadedModel
from vlmkit.formatting import plural
from vlmkit.model import compose, load
from vlmkit.spec.experiment import ModelSpec

expect = pytest.importorskip("playwright.sync_api", reason="needs the package playwright").expect
pytest.importorskip("gradio", reason="needs Gradio (pip install 'vlmkit[demo]')")
from vlmkit.demo import demo_page  # noqa: E402
from vlmkit.demo.demo_model import DemoModel  # noqa: E402
from vlmkit.demo.demo_server import DemoOptions, launched  # noqa: E402

pytestmark = pytest.mark.usefixtures("quick")
LONGEST = 12
ASKED = "what color is it"


@pytest.fixture(scope="module")
def models(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> list[DemoModel]:
    """`talker`, and a model like it that takes four frames and answers something else."""
    first = ChatModel.open(talker, "cpu")
    options = first.spec.model_dump()
    options["aligner"]["input"]["frames"] = 4
    model, processor = compose(ModelSpec.model_validate(options), seed=7)
    for value in model.backbone.parameters():
        value.data.mul_(6)
    folder = tmp_path_factory.mktemp("second") / "second"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return [DemoModel(chat, LONGEST) for chat in (first, ChatModel.open(folder, "cpu"))]


@pytest.fixture(scope="module")
def address(models: list[DemoModel], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page with both models."""
    with launched(models, [], tmp_path_factory.mktemp("page"), DemoOptions(max_file_mib=1)) as address:
        yield address


@pytest.fixture
def tab(chromium_page: Any, address: str) -> Any:
    """The page, opened by a new visitor."""
    chromium_page.goto(address)
    chromium_page.locator("#question textarea").wait_for()
    return chromium_page


def choose(tab: Any, file: Path) -> None:
    """Choose a file, which then begins to be sent."""
    tab.locator("#file input[type=file]").set_input_files(file)


def drop(tab: Any, file: Path) -> None:
    """Choose a file, and wait until the page shows it: it is there now, and questions are about it."""
    choose(tab, file)
    expect(tab.locator("#preview :is(video, img)")).to_have_count(1)


def ask(tab: Any, question: str) -> None:
    tab.locator("#question textarea").fill(question)
    tab.locator("#question textarea").press("Enter")


def ask_for(tab: Any, question: str, expected: Sequence[str]) -> None:
    """Ask, and wait until both models have given the answers that are expected."""
    ask(tab, question)
    expect(tab.locator("#question textarea")).to_have_value("")  # it was taken; the numbers are empty now
    for panel, answer in enumerate(expected):
        expect(tab.locator(f"#numbers-{panel}")).to_contain_text("· answer")
        expect(tab.locator(f"#chat-{panel} .bot.message:not(.pending)").last).to_have_text(
            words(answer), use_inner_text=True
        )


def words(text: str) -> str:
    """A text as a browser shows it: no NUL, blanks and line breaks alike."""
    return " ".join(text.replace("\0", "").split())


def message(tab: Any) -> str:
    """The error that the page shows; it is closed."""
    text = tab.get_by_test_id("toast-text")
    expect(text).to_have_count(1)
    said = words(text.inner_text())
    tab.get_by_test_id("toast-close").click()
    expect(text).to_have_count(0)
    return said


def replies(models: Sequence[DemoModel], file: Path, *questions: str) -> list[list[Reply]]:
    """For each question of a conversation the replies of the models, one request at a time."""
    found: list[list[Reply]] = [[] for _ in questions]
    for chat in (model.chat for model in models):
        messages: list[dict[str, str]] = []
        video = chat.encode(chat.look(file))
        for place, question in enumerate(questions):
            messages.append({"role": "user", "content": question if place else f"<video>\n{question}"})
            [reply] = chat.reply([ChatRequest(messages, video, LONGEST)])
            messages.append({"role": "assistant", "content": reply.text})
            found[place].append(reply)
    return found


def offline(chat: ChatModel, file: Path, question: str) -> str:
    """The answer that `vlmkit eval` would get, greedy, alone in its batch."""
    model = LoadedModel(lambda: load(chat.folder))
    video = model.encode_video(chat.processor.fit(file))
    prompt = model.encode_prompt(f"<video>\n{question}", video)
    return model.answer([prompt], [video], [LONGEST])[0]


def test_two_models_answer_as_offline_each_with_its_own_frames(
    tab: Any, models: list[DemoModel], drawn_clips: list[Path], screenshots: Path
) -> None:
    drop(tab, drawn_clips[0])
    for panel, model in enumerate(models):
        seconds = model.chat.look(drawn_clips[0]).seconds
        expect(tab.locator(f"#frames-{panel} li")).to_have_text([f"{second:.2f} s" for second in seconds])
    answers = [offline(model.chat, drawn_clips[0], ASKED) for model in models]
    ask_for(tab, ASKED, answers)
    tab.screenshot(path=screenshots / "two.png", full_page=True)
    assert answers[0] != answers[1]


def test_a_further_question_knows_the_conversation_and_the_video_is_not_encoded_again(
    tab: Any, models: list[DemoModel], drawn_clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = replies(models, drawn_clips[1], ASKED, "how")
    encoded = []
    for model in models:
        encode = model.chat.encode
        monkeypatch.setattr(model.chat, "encode", lambda video, encode=encode: encoded.append(video) or encode(video))
    drop(tab, drawn_clips[1])
    ask_for(tab, ASKED, [reply.text for reply in first])
    ask_for(tab, "how", [reply.text for reply in second])
    assert len(encoded) == 2
    for panel, (model, reply) in enumerate(zip(models, second, strict=True)):
        tokens = model.chat.processor.aligner.layout(encoded[panel].shape).tokens
        expect(tab.locator(f"#numbers-{panel}")).to_contain_text(
            f"prompt {tokens} video + {reply.prompt_tokens - tokens} text tokens · "
            f"answer {plural(reply.completion_tokens, 'token')}"
        )


def test_a_picture_is_a_video_of_one_frame(tab: Any, models: list[DemoModel], tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    drop(tab, tmp_path / "red.png")
    for panel in (0, 1):
        expect(tab.locator(f"#frames-{panel} li")).to_have_count(1)
    expect(tab.locator("#preview img")).to_be_visible()
    expect(tab.locator("#preview img")).to_have_js_property("naturalWidth", 60)
    ask_for(tab, ASKED, [offline(model.chat, tmp_path / "red.png", ASKED) for model in models])


def test_what_is_wrong_is_said_once_and_the_page_goes_on(
    tab: Any, models: list[DemoModel], drawn_clips: list[Path], tmp_path: Path
) -> None:
    ask(tab, ASKED)
    assert message(tab) == "There is no video or picture yet: drop one, or wait until it is uploaded, then ask."
    (tmp_path / "notes.mp4").write_bytes(b"no video at all")
    choose(tab, tmp_path / "notes.mp4")
    said = message(tab)
    assert "notes.mp4" in said
    assert "/" not in said.replace("notes.mp4", "")
    tab.locator("#file").get_by_label("Clear").click()
    # Of a file that it does not send Gradio's page asks for the progress too; after 3 s the server knows of none (404).
    tab.route("**/upload_progress?*", lambda route: route.fulfill(content_type="text/event-stream", body=""))
    (tmp_path / "large.mp4").write_bytes(bytes(1 << 21))
    choose(tab, tmp_path / "large.mp4")
    assert "1.0 Mb" in message(tab)
    drop(tab, drawn_clips[0])
    expect(tab.locator("#frames-0 li").first).to_be_visible()
    ask(tab, "   ")
    assert message(tab) == "Type a question first."
    ask_for(tab, ASKED, [offline(model.chat, drawn_clips[0], ASKED) for model in models])


def test_an_answer_of_markup_is_shown_as_text(
    tab: Any, models: list[DemoModel], drawn_clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\"> **bold** $x^2$\nend"
    )
    for model in models:
        monkeypatch.setattr(model.chat, "reply", lambda *_, **__: [Reply(text, "stop", 99, 9)])
    drop(tab, drawn_clips[0])
    ask_for(tab, "<b onclick='1'>what</b>", [text, text])
    expect(tab.locator("#chat-0 .user.message")).to_have_text("<b onclick='1'>what</b>")
    assert "owned" not in tab.title()
    assert tab.locator("#chat-0 .message :is(script, img, b, strong)").count() == 0


def test_an_answer_is_shown_as_it_comes_and_can_be_stopped(
    tab: Any, models: list[DemoModel], drawn_clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Event()

    def reply(_: Any, on_text: Any, cancelled: Any) -> list[Reply]:
        on_text(0, "on and")
        while not cancelled(0):
            time.sleep(0.05)
        stopped.set()
        return [Reply("on and", "cancelled", 9, 2)]

    monkeypatch.setattr(models[0].chat, "reply", reply)
    drop(tab, drawn_clips[0])
    ask(tab, ASKED)
    expect(tab.locator("#chat-0 .bot.message:not(.pending)")).to_have_text("on and")
    tab.get_by_role("button", name="Stop").click()
    assert stopped.wait(20)
    monkeypatch.undo()
    expect(tab.get_by_role("button", name="Ask")).to_be_visible()
    ask(tab, "how")
    expect(tab.locator("#chat-0 .bot.message:not(.pending)")).to_have_count(2)
    expect(tab.locator("#numbers-1")).to_contain_text("· answer")


def test_the_conversation_can_begin_anew_about_the_same_video(
    tab: Any, models: list[DemoModel], drawn_clips: list[Path]
) -> None:
    drop(tab, drawn_clips[2])
    first, second = ([reply.text for reply in turn] for turn in replies(models, drawn_clips[2], ASKED, "how"))
    ask_for(tab, ASKED, first)
    ask_for(tab, "how", second)
    tab.locator("#chat-1").get_by_label("Clear").click()
    expect(tab.locator("#chat-0 .bot.message:not(.pending)")).to_have_count(0)
    ask_for(tab, ASKED, first)


def test_a_narrow_page_does_not_scroll_sideways(
    tab: Any, models: list[DemoModel], drawn_clips: list[Path], screenshots: Path
) -> None:
    tab.set_viewport_size({"width": 400, "height": 800})
    drop(tab, drawn_clips[0])
    ask_for(tab, ASKED, [offline(model.chat, drawn_clips[0], ASKED) for model in models])
    tab.screenshot(path=screenshots / "narrow.png", full_page=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_uploads_are_limited_by_the_server_and_deleted_when_they_are_old(
    models: list[DemoModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_page, "_CHECKED", 1)
    monkeypatch.setattr(demo_page, "_KEPT", 1)
    with launched(models, [], tmp_path, DemoOptions(max_file_mib=1)) as address:
        send = f"{address}gradio_api/upload"
        assert httpx.post(send, files={"files": ("a.mp4", bytes(2 << 20))}).status_code == 413
        [stored] = httpx.post(send, files={"files": ("a.mp4", b"clip")}).json()
        assert Path(stored).read_bytes() == b"clip"
        assert Path(stored).is_relative_to(tmp_path)
        end = time.monotonic() + 20
        while Path(stored).exists() and time.monotonic() < end:
            time.sleep(0.1)
        assert not Path(stored).exists()
