"""The parts of the demo page, and what happens when a file is dropped, a question asked, an example chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from vlmkit.demo.demo_examples import Example
from vlmkit.demo.demo_model import DemoModel
from vlmkit.demo.demo_view import answer_line, frame_strip, looking, preview
from vlmkit.errors import UserError

__all__ = ["build_page"]

_CHECKED, _KEPT = 60, 3600
"""Seconds between two looks for files to delete, and the age at which they are."""
_WAITING = 32
"""Questions and videos that may wait for the models; further ones are refused."""
_ONE_AT_A_TIME: dict[str, Any] = {
    "concurrency_limit": 1, "concurrency_id": "models", "show_progress": "hidden", "api_visibility": "private"
}  # fmt: skip
_AT_ONCE: dict[str, Any] = {"queue": False, "api_visibility": "private"}

Turn = tuple[str, list[str]]
"""A question, and what each model has answered."""


class _PageTalk(NamedTuple):
    """The conversation of a visitor, with each model alike."""

    file: str | None = None
    """The video or picture that it is about."""
    turns: Sequence[Turn] = ()


def build_page(models: Sequence[DemoModel], examples: Sequence[Example]) -> gr.Blocks:
    """Return the page, not yet given out.

    Args:
        models: those that answer, side by side.
        examples: what a visitor can choose instead of an own file.
    """
    names = " and ".join(model.name for model in models)
    with gr.Blocks(title=f"Ask {names}", analytics_enabled=False, delete_cache=(_CHECKED, _KEPT)) as page:
        gr.HTML(f"<h1>Ask {escape(names)} about a video</h1>", padding=False)
        talk = gr.State(_PageTalk())
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                file = gr.File(label="Video or picture", file_types=["video", "image"], height=130, elem_id="file")
                shown = gr.HTML(elem_id="preview", padding=False)
            with gr.Column(scale=2 + len(models), min_width=300):
                with gr.Row(elem_classes="panels"):
                    panels = [_panel(model.name, number) for number, model in enumerate(models)]
                question = gr.Textbox(
                    placeholder="Ask something about it", show_label=False, submit_btn="Ask",
                    max_lines=4, elem_id="question",
                )  # fmt: skip
        chosen = _examples(examples) if examples else None
        strips, chats, lines = ([panel[place] for panel in panels] for place in range(3))
        seen, said = [shown, talk, *strips, *chats, *lines], [question, talk, *chats, *lines]
        events = _Events(models)
        file.upload(events.watch, [file, talk], seen, **_ONE_AT_A_TIME)
        for chat in chats:
            chat.clear(events.begin_anew, file, said, **_AT_ONCE)
        file.clear(events.forget, None, seen, **_AT_ONCE)
        asked = [question.submit(events.ask, [file, question, talk], said, **_ONE_AT_A_TIME)]
        if chosen is not None:
            taken = chosen.click(lambda number: examples[number], chosen, [file, question], **_AT_ONCE)
            watched = taken.success(events.watch, [file, talk], seen, **_ONE_AT_A_TIME)
            asked.append(watched.success(events.ask, [file, question, talk], said, **_ONE_AT_A_TIME))
        for event in asked:
            event.then(lambda: gr.Textbox(submit_btn="Ask", stop_btn=False), None, question, **_AT_ONCE)
        question.stop(None, cancels=asked, **_AT_ONCE)
    return page.queue(max_size=_WAITING)


def _examples(examples: Sequence[Example]) -> gr.Dataset:
    return gr.Dataset(
        label="Or try one of these clips", components=["video", "textbox"], samples=[list(each) for each in examples],
        type="index", elem_id="examples", headers=["clip", "question"],
    )  # fmt: skip


def _panel(name: str, number: int) -> tuple[gr.HTML, gr.Chatbot, gr.HTML]:
    """Add the column of one model: its frames, the conversation, the numbers of the last answer."""
    with gr.Column(min_width=280, elem_classes="panel"):
        strip = gr.HTML(elem_id=f"frames-{number}", padding=False, elem_classes="strip")
        chat = gr.Chatbot(
            label=name, height=None, min_height=200, max_height=400,
            render_markdown=False, buttons=[], feedback_options=None, elem_id=f"chat-{number}",
        )  # fmt: skip
        line = gr.HTML(elem_id=f"numbers-{number}", padding=False, elem_classes="line")
    return strip, chat, line


class _Events:
    """The events of the page. Each gives the new values of the parts that it changes."""

    def __init__(self, models: Sequence[DemoModel]) -> None:
        self._models = models

    def forget(self) -> list[Any]:
        """Empty preview, conversation and, for each model, frames, chat and numbers."""
        return ["", _PageTalk(), *self._each(""), *self._each([]), *self._each("")]

    def begin_anew(self, file: str | None) -> list[Any]:
        """Empty the conversations with all models; the video stays."""
        return [gr.skip(), _PageTalk(file), *self._each([]), *self._each("")]

    def watch(self, file: str, talk: _PageTalk) -> Iterator[list[Any]]:
        """Show a video, then the frames that each model took of it. About another video a conversation begins."""
        said = [*self._each(gr.skip()), *self._each(gr.skip())]
        if talk.file != file:  # the first question may have been faster
            talk, said = _PageTalk(file), [*self._each([]), *self._each("")]
        yield [preview(file), talk, *self._each(looking()), *said]
        try:
            with _told(file):
                strips = [frame_strip(model.name, model.watch(file)) for model in self._models]
        except gr.Error:
            yield self.forget()
            raise
        yield [gr.skip(), talk, *strips, *said]

    def ask(self, file: str | None, question: str, talk: _PageTalk) -> Iterator[list[Any]]:
        """Put a question to one model after the other, and show the answers as they come."""
        question = question.strip()
        if file is None:
            message = "There is no video or picture yet: drop one, or wait until it is uploaded, then ask."
            raise gr.Error(message, duration=None, print_exception=False)
        if not question:
            raise gr.Error("Type a question first.", duration=None, print_exception=False)
        turns = talk.turns if talk.file == file else ()
        box: Any = gr.Textbox(value="", submit_btn=False, stop_btn="Stop")
        answers, lines = list(self._each("")), list(self._each(""))
        yield self._said(box, _PageTalk(file, [*turns, (question, [*answers])]), lines)
        with _told(file):
            for number, model in enumerate(self._models):
                watched = model.watch(file)
                earlier = [(asked, answered[number]) for asked, answered in turns]
                for answer in model.ask(watched, earlier, question):
                    answers[number], lines[number] = answer.text, answer_line(watched, answer)
                    yield self._said(gr.skip(), _PageTalk(file, [*turns, (question, [*answers])]), lines)

    def _said(self, box: Any, talk: _PageTalk, lines: Sequence[str]) -> list[Any]:
        return [box, talk, *(_messages(talk.turns, number) for number in range(len(self._models))), *lines]

    def _each(self, value: Any) -> list[Any]:
        return [value for _ in self._models]


def _messages(turns: Sequence[Turn], number: int) -> list[dict[str, str]]:
    """Return the conversation with one model, without an answer that has not begun."""
    said = [(("user", asked), ("assistant", answered[number])) for asked, answered in turns]
    return [{"role": role, "content": _as_html(text)} for turn in said for role, text in turn if text]


def _as_html(text: str) -> str:
    """Return HTML that shows a text as it is: Gradio's chat hands markup on even with `render_markdown=False`."""
    return escape(text).replace("\n", "<br>")


@contextmanager
def _told(file: str) -> Iterator[None]:
    """Show a UserError on the page, with the file called by its name instead of the folder that it was put into."""
    try:
        yield
    except UserError as error:
        message = escape(str(error).replace(file, Path(file).name))
        raise gr.Error(message, duration=None, print_exception=False) from error
