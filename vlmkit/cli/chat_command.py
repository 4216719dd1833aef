"""`vlmkit chat`: a conversation about videos, in turns, from a terminal or a script."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from vlmkit.api.trained_model import model_folder
from vlmkit.cli.ask_options import (
    FrameCount,
    FrameRule,
    MaxNewTokens,
    Model,
    Sampling,
    Seed,
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
from vlmkit.errors import UserError, did_you_mean, shortened, shown
from vlmkit.files import expand_path, is_file
from vlmkit.formatting import columns, large, plural

if TYPE_CHECKING:
    from vlmkit.chat.chat_model import ChatModel, ChatRequest
    from vlmkit.data import FittedVideo

__all__ = ["chat_in_turns"]


def chat_in_turns(
    model: Model,
    video: Annotated[
        str | None,
        typer.Argument(metavar="VIDEO", help="A video or picture: a file, or the URL of one."),
    ] = None,
    max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = None,
    system: System = "",
    sampling: Sampling = None,
    frames: FrameCount = None,
) -> None:
    """Talk with a model about a video, in turns. `/help` lists the commands; each line of a pipe is a turn too."""
    tolerate_any_text()
    rule = frame_rule(sampling, frames)
    model_folder(model)  # what is not there should be said before torch loads
    from vlmkit.chat.chat_model import ChatModel, ChatRequest

    with ExitStack() as stack:
        file = None if video is None else stack.enter_context(local_video(video))
        chat = ChatModel.open(model)
        talk = _Talk(chat, ChatRequest((), None, max_new_tokens, temperature, seed=seed), rule, whole_line(system))
        talk.greet()
        if file is not None:
            talk.take_video(file, str(video))
    for line in talk.lines():
        talk.hear(line)


class _Command(NamedTuple):
    argument: str
    help: str
    do: Callable[[str], None]


class _Talk:
    """A conversation and the commands in it."""

    def __init__(self, chat: ChatModel, options: ChatRequest, rule: FrameRule, system: str) -> None:
        from vlmkit.chat.conversation import ChatTurns

        self.chat, self.rule = chat, rule
        self.conversation = ChatTurns(options, system=system)
        self.interactive = sys.stdin.isatty()
        self.names: list[str] = []
        self.video: FittedVideo | None = None
        self.ended = False
        self.commands = {
            "video": _Command("PATH", "another video or picture, and a new conversation about it", self._video),
            "add": _Command("PATH", "one more video or picture, shown with the next question", self._add),
            "frames": _Command(
                "[FILE]", "which frames of the last video the model saw; or write them as a picture", self._frames
            ),
            "reset": _Command("", "a new conversation about the same videos", self._reset),
            "system": _Command("[WORDS]", "a new conversation with these words of the system", self._system),
            "help": _Command("", "this list", self._help),
            "quit": _Command("", "the end, as Ctrl-D", self._quit),
        }

    def greet(self) -> None:
        """Say who it is, and prepare the terminal, where there is one."""
        if self.interactive:
            with suppress(ImportError):
                import readline  # noqa: F401 -- `input` then edits lines and remembers them
            parameters = large(sum(value.numel() for value in self.chat.model.parameters()))
            note(f"{self.chat.name}: {parameters} parameters on {self.chat.model.device}; /help lists the commands")

    def lines(self) -> Iterator[str]:
        """Yield what is typed, or what a pipe holds, line by line."""
        prompt = "> " if self.interactive and sys.stdout.isatty() else ""
        while not self.ended:
            try:
                yield input(prompt)
            except EOFError:
                break
            except KeyboardInterrupt:
                if not self.interactive:
                    raise
                print()  # the line is dropped
        if prompt and not self.ended:
            print()

    def hear(self, line: str) -> None:
        """Answer a question or do what a command says. What is wrong with it is said, and the conversation goes on."""
        try:
            if line.startswith("/"):
                self._obey(whole_line(line).strip())
            elif line.strip():
                self._answer(whole_line(line).strip())
        except UserError as error:
            print(f"vlmkit: {error}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            if not self.interactive:
                raise
            print()
            note("stopped")

    def take_video(self, file: Path, name: str) -> None:
        """Begin a conversation about a video. A UserError where it cannot be read; then nothing has changed."""
        from vlmkit.chat.strip import frame_times

        fitted = look(self.chat, file, self.rule)
        self.conversation.video = self.chat.encode(fitted)
        self.names, self.video = [short_name(name)], fitted
        self.conversation.reset()
        note(f"{self.names[-1]}: {frame_times(fitted)}")

    def add_video(self, file: Path, name: str) -> None:
        """Show one more video with the next question. A UserError where it cannot be read; then nothing has changed."""
        from vlmkit.chat.strip import frame_times

        fitted = look(self.chat, file, self.rule)
        self.conversation.show(self.chat.encode(fitted))
        self.names.append(short_name(name))
        self.video = fitted
        note(f"{self.names[-1]}: {frame_times(fitted)}, with the next question")

    def _answer(self, question: str) -> None:
        forgotten = self.conversation.forgotten
        request = self.conversation.request(question, self.chat)
        if dropped := self.conversation.forgotten - forgotten:
            note(f"{plural(dropped, 'turn')} forgotten, the oldest: the model has no positions for more")
        with _until_interrupted(self.interactive) as is_interrupted:
            [reply] = self.chat.reply([request], say, lambda _: is_interrupted())
        print(flush=True)
        self.conversation.add(question, reply)
        if said := ending(reply, self.conversation.options.max_new_tokens):
            note(said)

    def _obey(self, line: str) -> None:
        name, _, argument = line[1:].partition(" ")
        command = self.commands.get(name)
        if command is None:
            known = ", ".join(f"/{each}" for each in self.commands)
            raise UserError(f"/{shortened(name)}: no command; {did_you_mean(name, self.commands)}there are {known}")
        if argument and not command.argument:
            raise UserError(f"/{name}: expected nothing behind it, found {shown(argument.strip())}")
        command.do(argument.strip())

    def _video(self, argument: str) -> None:
        self._open("video", argument, self.take_video)

    def _add(self, argument: str) -> None:
        self._open("add", argument, self.add_video)

    def _open(self, command: str, argument: str, see: Callable[[Path, str], None]) -> None:
        if not argument:
            raise UserError(f"/{command}: expected a path behind it, e.g. /{command} clip.mp4")
        name = _unquoted(argument)
        try:
            with local_video(name) as file:
                see(file, name)
        except UserError as error:
            about = f"about {' and '.join(self.names)}" if self.names else "without a video"
            raise UserError(f"{error}; the conversation goes on {about}") from None

    def _frames(self, argument: str) -> None:
        from rich.console import Console

        from vlmkit.chat.strip import frame_times, print_strip, save_strip

        if self.video is None:
            raise UserError("/frames: there is no video yet; /video PATH begins a conversation about one")
        if argument:
            print(f"written: {save_strip(self.video, _unquoted(argument))}", flush=True)
            return
        print_strip(self.video, Console())
        print(f"{self.names[-1]}: {frame_times(self.video)}", flush=True)

    def _reset(self, argument: str) -> None:
        self.conversation.reset()
        note("a new conversation")

    def _system(self, argument: str) -> None:
        self.conversation.reset()
        self.conversation.system = argument
        note("a new conversation" + (", with these words before it" if argument else ", without words of the system"))

    def _help(self, argument: str) -> None:
        rows = [(f"/{name} {one.argument}".strip(), one.help) for name, one in self.commands.items()]
        print(columns(rows))
        print("Everything else is a question. Ctrl-C stops an answer, Ctrl-D ends.", flush=True)

    def _quit(self, argument: str) -> None:
        self.ended = True


def _unquoted(path: str) -> str:
    """Return a path as it is, or as a shell would read it where only that is there: terminals quote what is dropped."""
    if is_file(expand_path(path)):
        return path
    with suppress(ValueError):
        parts = shlex.split(path)
        return parts[0] if len(parts) == 1 else path
    return path


@contextmanager
def _until_interrupted(wanted: bool) -> Iterator[Callable[[], bool]]:
    """While the block runs Ctrl-C does not end it but is told by the function; a second one does."""
    pressed: list[int] = []

    def press(*_: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(1)

    before = signal.signal(signal.SIGINT, press) if wanted else None
    try:
        yield lambda: bool(pressed)
    finally:
        if wanted:
            signal.signal(signal.SIGINT, before)
