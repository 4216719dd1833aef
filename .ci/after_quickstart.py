"""What a user does after the first success, with the installed commands alone: ask, chat, serve, demo, export, verify.

    python .ci/after_quickstart.py                  # a tiny model is trained first, in seconds
    python .ci/after_quickstart.py runs/quickstart  # with the quickstart's own

Each step is done as a person would, and its answers are compared. Pictures of the demo page are kept beside the run.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

QUESTIONS = ("What colour is the shape?", "Which way does it move?")
VLMKIT = [sys.executable, "-m", "vlmkit"]
TINY = {
    "training.stages.language.steps": 30,
    "training.stages.align.steps": 1,
    "training.stages.together.steps": 10,
    "training.stages.language.data": [{"type": "moving-shapes", "clips": 40, "text_only": True}],
    "training.stages.align.data": [{"type": "moving-shapes", "clips": 40}],
    "training.stages.together.data": [{"type": "moving-shapes", "clips": 40}],
    "evaluation.benchmarks": [{"name": "moving-shapes", "dataset": {"clips": 40}, "limit": 24}],
}
SECONDS = 180


def main() -> None:
    """Take every step, and end with an error at the first that does not do what it should."""
    with tempfile.TemporaryDirectory(prefix="vlmkit-") as folder:
        place = Path(folder)
        run = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else train(place)
        clip = draw_clip(place)
        answers = ask(run, clip)
        chat(run, clip, answers)
        serve(run, clip, answers)
        demo(run, clip, answers)
        verify(export(run, place))


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    print(f"{name} …", flush=True)
    begin = time.monotonic()
    yield
    print(f"{name}: done in {time.monotonic() - begin:.1f} s", flush=True)


def vlmkit(*words: str | Path, stdin: str | None = None, code: int = 0) -> str:
    """Return what a command prints. An error where it ends with another code."""
    done = subprocess.run(
        [*VLMKIT, *map(str, words)], input=stdin, capture_output=True, text=True, timeout=20 * SECONDS, check=False
    )
    if done.returncode != code:
        sys.exit(f"vlmkit {' '.join(map(str, words))}: ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def train(place: Path) -> Path:
    """The quickstart with a few steps."""
    with step("a tiny quickstart"):
        changes = [word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}")]
        vlmkit("run", "specs/quickstart.yaml", "--output", place / "runs", *changes)
    return place / "runs" / "quickstart"


def draw_clip(place: Path) -> Path:
    """A clip that no training has seen."""
    from vlmkit.registry import validate_slot

    dataset = validate_slot("dataset", {"type": "moving-shapes", "split": "val", "clips": 6, "root": str(place)})
    dataset.prepare()
    return sorted(dataset.video_root().glob("*.mp4"))[0]


def ask(run: Path, clip: Path) -> list[str]:
    """Two questions at once, as JSON."""
    with step("ask"):
        lines = vlmkit("ask", run, clip, *QUESTIONS, "--json", "--max-new-tokens", "12").splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["question"] for answer in answers] == list(QUESTIONS), answers
    assert len(answers[0]["times"]) == answers[0]["frames"], answers
    return [answer["answer"] for answer in answers]


def chat(run: Path, clip: Path, answers: list[str]) -> None:
    """A script of turns: a question, the frames, another conversation about the same video, the end."""
    with step("chat"):
        turns = [QUESTIONS[0], "/frames", f"/video {clip}", QUESTIONS[1], "/quit"]
        said = vlmkit("chat", run, clip, "--max-new-tokens", "12", stdin="\n".join(turns) + "\n")
    for answer in answers:
        assert answer in said, (answers, said)


def serve(run: Path, clip: Path, answers: list[str]) -> None:
    """The server, asked by OpenAI's client: whole and streamed; it ends on SIGTERM."""
    from openai import OpenAI

    with step("serve"), process("serve", run, "--port", "0") as (server, line):
        client = OpenAI(base_url=line.rsplit(" at ", 1)[1].strip(), api_key="none", max_retries=0, timeout=SECONDS)
        uri = f"data:video/mp4;base64,{base64.b64encode(clip.read_bytes()).decode()}"
        video = {"type": "video_url", "video_url": {"url": uri}}
        model = client.models.list().data[0].id
        for question, answer in zip(QUESTIONS, answers, strict=True):
            content = [video, {"type": "text", "text": question}]
            asked = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 12}
            whole = client.chat.completions.create(**asked).choices[0].message.content
            pieces = client.chat.completions.create(**asked, stream=True)
            streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
            assert whole == streamed == answer, (whole, streamed, answer)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, server.returncode


def demo(run: Path, clip: Path, answers: list[str]) -> None:
    """The page in Chromium: a video is dropped, a question asked, the answer compared."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("demo: skipped, there is no chromium on this machine", flush=True)
        return
    from playwright.sync_api import expect, sync_playwright

    with step("demo"), process("demo", run, "--max-new-tokens", "12") as (page, line):
        with sync_playwright() as driver:
            options = ["--headless", "--no-sandbox", "--disable-gpu"]
            browser = driver.chromium.launch(executable_path=chromium, args=options)
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(line.split()[1])
            tab.locator("#file input[type=file]").set_input_files(clip)
            tab.locator("#question textarea").fill(QUESTIONS[0])
            tab.locator("#question textarea").press("Enter")
            expect(tab.locator("#numbers-0")).to_contain_text("· answer", timeout=SECONDS * 1000)
            said = tab.locator("#chat-0 .bot.message").last.inner_text()
            assert " ".join(said.split()) == " ".join(answers[0].split()), (said, answers)
            tab.screenshot(path=run.parent / "demo.png")
            browser.close()
        page.send_signal(signal.SIGTERM)
        assert page.wait(60) == 0, page.returncode
    print(f"demo: see {run.parent / 'demo.png'}", flush=True)


def export(run: Path, place: Path) -> Path:
    """A folder for the Hub with its card and a capsule; the model in it answers as before."""
    with step("export"):
        vlmkit("export", run, place / "published", "--capsule")
    card = (place / "published" / "README.md").read_text(encoding="utf-8")
    assert "95% interval" in card, card
    assert str(place) not in card, card
    return place / "published"


def verify(folder: Path) -> None:
    """The capsule holds with another number of threads; a changed weight is noticed."""
    with step("verify"):
        os.environ["OMP_NUM_THREADS"] = "1"
        found = json.loads(vlmkit("verify", folder, "--json"))
        assert found["questions"], found
        weights = folder / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 64
        weights.write_bytes(content)
        vlmkit("verify", folder, code=2)


@contextmanager
def process(*words: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that goes on, and the first line that it prints, which has an address."""
    running = subprocess.Popen([*VLMKIT, *map(str, words)], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert "http://" in line, line
        yield running, line
    finally:
        running.kill()
        running.wait()


if __name__ == "__main__":
    main()
