"""Paths and private addresses are taken out, other text stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmkit.errors import RunError
from vlmkit.publish.portable import hub_id, portable, portable_json, portable_text, refuse_private


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/data/alice/valley.json", "LOCAL/valley.json"),
        ("/data/alice/clips", "LOCAL"),
        ("/models/vicuna-7b-v1.5", "LOCAL"),
        ("~/clips", "LOCAL"),
        ("../alice/valley.jsonl", "LOCAL/valley.jsonl"),
        ("file:///home/alice/a.mp4", "LOCAL/a.mp4"),
        ("C:\\Users\\alice\\valley.json", "LOCAL/valley.json"),
        ("/home/alice/.cache/huggingface/hub/models--lmsys--vicuna-7b-v1.5/snapshots/0123", "lmsys/vicuna-7b-v1.5"),
        ("lmsys/vicuna-7b-v1.5", "lmsys/vicuna-7b-v1.5"),
        ("valley.json", "valley.json"),
        ("/no_think", "/no_think"),
        ("<video>\n{question} /home/is where the heart is", "<video>\n{question} /home/is where the heart is"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("http://127.0.0.1:8000/v1", "http://LOCAL"),
        ("http://gpu-7:8000/v1", "http://LOCAL"),
        ("https://alice:secret@models.example.org/v1", "https://LOCAL"),
    ],
)
def test_values(value: str, expected: str) -> None:
    assert portable({"a": [value, 3, None]}) == {"a": [expected, 3, None]}


def test_text() -> None:
    said = "openai 1: m at gpu-7:8000/v1, then 10.0.0.3/v1 and models.corp (vlmkit 0.1.0), gpt-4o at api.openai.com/v1"
    assert portable_text(said) == (
        "openai 1: m at LOCAL, then LOCAL and LOCAL (vlmkit 0.1.0), gpt-4o at api.openai.com/v1"
    )


def test_ids_of_the_hub() -> None:
    assert hub_id("org/name") == "org/name"
    assert hub_id("/x/models--org--name/snapshots/1") == "org/name"
    assert [hub_id(one) for one in ("name", "/a/b", "a/b/c", "LOCAL/a.json")] == [None] * 4


def test_a_json_file_without_paths_keeps_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"b":1,\n "a": "org/name"}')
    portable_json(file)
    assert file.read_text() == '{"b":1,\n "a": "org/name"}'
    file.write_text('{"b": {"path": "/data/alice/m"}}')
    portable_json(file)
    assert json.loads(file.read_text()) == {"b": {"path": "LOCAL"}}


def test_private_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    monkeypatch.setenv("HOME", "/home/alice")
    file = tmp_path / "README.md"
    for text, what in (
        ("at hf_secretsecret", "your token of the Hub"),
        ("in /home/alice/x", "a path of this machine"),
        ("in /data/run", "a path of this machine"),
    ):
        file.write_text(f"fine\n{text}\n")
        with pytest.raises(RunError, match=f"README.md, line 2: {what} would be published") as caught:
            refuse_private(tmp_path, [file], [Path("/data/run")])
        assert "secret" not in str(caught.value)
    file.write_text("in /home/bob and /data")
    refuse_private(tmp_path, [file], [Path("/data/run")])
