"""`vlmkit ask`: questions about a video of one's own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmkit.api.trained_model import model_folder
from vlmkit.cli.ask_options import (
    End,
    FrameCount,
    MaxNewTokens,
    Model,
    Sampling,
    Seed,
    Start,
    System,
    Temperature,
    ending,
    frame_rule,
    local_video,
    look,
    note,
    say,
    short_name,
    tolerate_any_text,
    whole_line,
)
from vlmkit.errors import UserError
from vlmkit.formatting import one_line

if TYPE_CHECKING:
    from vlmkit.chat.chat_model import ChatModel, ChatRequest, Reply

__all__ = ["ask_questions"]

_TOGETHER = 8
"""Questions that are answered in one batch where no terminal shows each answer as it comes."""


def ask_questions(
    model: Model,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A video or picture: a file, or the URL of one.")],
    questions: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUESTION", help="One or more; `-` reads them from stdin, one in a line."),
    ] = None,
    max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = None,
    system: System = "",
    sampling: Sampling = None,
    frames: FrameCount = None,
    start: Start = 0.0,
    end: End = None,
    save_frames: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the frames that the model saw as a picture (.png, .jpg, .webp)."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object for each question, one in a line, with frames and times.")
    ] = False,
) -> None:
    """Ask a model about a video, which is decoded once for all questions.

    Each question is a conversation of its own; `vlmkit chat` has turns. The answers are the output, everything else
    there is to say goes to stderr.
    """
    tolerate_any_text()
    rule = frame_rule(sampling, frames, start, end)
    asked = _questions(questions)
    model_folder(model)  # what is not there should be said before torch loads
    from vlmkit.chat.chat_model import ChatModel, ChatRequest
    from vlmkit.chat.conversation import ChatTurns
    from vlmkit.chat.strip import check_picture_name, frame_times, save_strip

    if save_frames is not None:
        check_picture_name(save_frames)
    with local_video(video) as file:
        chat = ChatModel.open(model)
        fitted = look(chat, file, rule)
    name = short_name(video)
    if not as_json:
        note(f"{name}: {frame_times(fitted)}")
    if save_frames is not None:
        note(f"written: {save_strip(fitted, save_frames)}")
    options = ChatRequest((), None, max_new_tokens, temperature, seed=seed)
    conversation = ChatTurns(options, chat.encode(fitted), whole_line(system))
    requests = [conversation.request(question, chat) for question in asked]
    seen = {"video": name, "frames": fitted.num_frames_present, "times": fitted.seconds, "model": chat.name}
    video_tokens = chat.processor.aligner.layout(fitted.shape).tokens
    for question, reply, seconds in _answered(chat, asked, requests, as_json):
        if as_json:
            tokens = {"prompt": reply.prompt_tokens, "video": video_tokens, "answer": reply.completion_tokens}
            row = {
                "question": question, "answer": reply.text, "finish_reason": reply.finish_reason, **seen,
                "tokens": tokens, "seconds": round(seconds, 3),
            }  # fmt: skip
            print(json.dumps(row, ensure_ascii=False), flush=True)
        elif said := ending(reply, max_new_tokens):
            note(said if len(asked) == 1 else f"{one_line(question)}: {said}")


def _questions(given: Sequence[str] | None) -> list[str]:
    """Return the questions on the command line and, in the place of `-`, those that stdin has.

    A UserError where there is none, or one is no text.
    """
    if not given and sys.stdin.isatty():
        raise UserError(
            'there is no question: expected one or more behind the video, e.g. "What happens?", or `-` to read them '
            "from stdin; `vlmkit chat` talks about a video in turns"
        )
    found: list[str] = []
    for text in given or ["-"]:
        found += [line for line in map(str.strip, sys.stdin) if line] if text == "-" else [text.strip()]
    if not found or not all(found):
        where = f"question {found.index('') + 1} is empty" if found else "stdin has no question"
        raise UserError(f'{where}: expected a question, e.g. "What happens?"')
    return [whole_line(question) for question in found]


def _answered(
    chat: ChatModel, questions: Sequence[str], requests: Sequence[ChatRequest], as_json: bool
) -> Iterator[tuple[str, Reply, float]]:
    """Print the answers, or leave that to whoever makes JSON of them; yield each with its question and the seconds that
    it took, those of its whole batch where it was not alone."""
    stream = sys.stdout.isatty() and not as_json
    size = 1 if stream else _TOGETHER
    for start in range(0, len(requests), size):
        part = range(start, min(start + size, len(requests)))
        if stream and len(questions) > 1:
            print(f"> {questions[start]}")
        began = time.monotonic()
        replies = chat.reply([requests[number] for number in part], say if stream else None)
        seconds = time.monotonic() - began
        for number, reply in zip(part, replies, strict=True):
            if stream:
                print()
            elif not as_json:
                print(reply.text if len(questions) == 1 else f"> {questions[number]}\n{reply.text}", flush=True)
            yield questions[number], reply, seconds
