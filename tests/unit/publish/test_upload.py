"""The upload, to a small server on this machine that answers as the Hub does."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import huggingface_hub.constants
import pytest
import yaml

from vlmkit.cli import main
from vlmkit.errors import UserError
from vlmkit.publish.hub_folder import export_model
from vlmkit.publish.upload import push

TOKEN = "hf_standinstandinstandin"
LFS = "application/vnd.git-lfs+json"


class Hub(ThreadingHTTPServer):
    """The endpoints of the Hub that an upload needs, over repositories in memory."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.visibility: dict[str, str | None] = {}
        self.objects: dict[str, bytes] = {}
        self.writes = True
        """Whether the token may write."""
        self.authorizations: set[str | None] = set()


class Answers(BaseHTTPRequestHandler):
    """One request."""

    server: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def reply(self, content: Any, status: int = 200, code: str = "") -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", LFS if "lfs" in self.path else "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", f"no, {TOKEN}")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        name = self.path.removeprefix("/api/models/")
        if name not in self.server.repositories:
            return self.reply({}, 404, "RepoNotFound")
        return self.reply({"id": name, "private": self.server.visibility[name] == "private", "siblings": []})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.objects[hashlib.sha256(content).hexdigest()] = content
        self.reply({})

    def do_POST(self) -> None:
        hub, content = self.server, self.rfile.read(int(self.headers["Content-Length"]))
        if "/api/repos" in self.path or "/commit/" in self.path:
            hub.authorizations.add(self.headers["Authorization"])
        if self.path == "/api/validate-yaml":
            card = yaml.safe_load(json.loads(content)["content"].split("---\n")[1])
            wrong = card.get("license") == "mine"
            return self.reply('"license" must be one of [apache-2.0, mit]' if wrong else "{}", 400 if wrong else 200)
        if self.path == "/api/repos/create":
            if not hub.writes:
                return self.reply({}, 403, "Forbidden")
            said = json.loads(content)
            name = f"{said['organization']}/{said['name']}"
            if name in hub.repositories:
                return self.reply({"url": f"{hub.address}/{name}"}, 409)
            hub.repositories[name], hub.visibility[name] = {}, said.get("visibility")
            return self.reply({"url": f"{hub.address}/{name}"})
        if found := re.fullmatch(r"/api/models/(\S+)/preupload/main", self.path):
            files = [
                {"path": one["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular"}
                for one in json.loads(content)["files"]
            ]  # fmt: skip
            return self.reply({"files": files})
        if self.path.endswith("/info/lfs/objects/batch"):
            actions = {"upload": {"href": f"{hub.address}/storage"}}
            objects = [{**one, "authenticated": True, "actions": actions} for one in json.loads(content)["objects"]]
            return self.reply({"transfer": "basic", "objects": objects})
        if found := re.fullmatch(r"/api/models/(\S+)/commit/main", self.path):
            for line in map(json.loads, content.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    hub.repositories[found[1]][value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    hub.repositories[found[1]][value["path"]] = hub.objects[value["oid"]]
            url = f"{hub.address}/{found[1]}/commit/0123"
            return self.reply({"commitUrl": url, "commitOid": "0123", "success": True})
        return self.reply({}, 404)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running stand-in, to which huggingface_hub turns."""
    server = Hub()
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(run: Path, tmp_path: Path) -> Path:
    """An exported model."""
    return export_model(run, tmp_path / "out").folder


def test_everything_arrives(hub: Hub, folder: Path) -> None:
    assert push(folder, "org/tiny") == f"{hub.address}/org/tiny"
    files = {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    assert hub.repositories == {"org/tiny": files}
    assert hub.visibility == {"org/tiny": None}  # as the organization has it
    assert hub.authorizations == {f"Bearer {TOKEN}"}
    assert not any(TOKEN.encode() in content for content in files.values())
    hub.repositories["org/tiny"]["figure.png"] = b"theirs"
    push(folder, "org/tiny")  # a second time
    assert hub.repositories["org/tiny"] == {**files, "figure.png": b"theirs"}


def test_private(hub: Hub, folder: Path) -> None:
    push(folder, "org/tiny", private=True)
    assert hub.visibility == {"org/tiny": "private"}
    push(folder, "org/tiny", private=True)
    hub.visibility["org/tiny"] = "public"
    with pytest.raises(UserError, match="--private: the repository org/tiny is there, and public"):
        push(folder, "org/tiny", private=True)


def test_a_card_that_the_hub_refuses(hub: Hub, folder: Path) -> None:
    card = folder / "README.md"
    card.write_text(card.read_text().replace("library_name", "license: mine\nlibrary_name"))
    with pytest.raises(UserError, match=r"README\.md: the Hub refuses the model card: .license. must be one of"):
        push(folder, "org/tiny")
    assert hub.repositories == {}


def test_refusals(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.writes = False
    with pytest.raises(UserError, match=r"--push org/tiny: the Hub refuses \(403\)") as caught:
        push(folder, "org/tiny")
    assert TOKEN not in str(caught.value)
    with pytest.raises(UserError, match="--push: expected an id on the Hub, ORG/NAME, found 'tiny'"):
        push(folder, "tiny")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        push(folder, "org/tiny")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"the Hub cannot be reached: .* the folder is written"):
        push(folder, "org/tiny")


def test_the_command(
    hub: Hub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["vlmkit", "export", str(run), str(out), "--push", "org/tiny", "--private"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == f"pushed: {hub.address}/org/tiny"
    assert TOKEN not in said.out + said.err
    stored = hub.repositories["org/tiny"]
    assert {name: (out / name).read_bytes() for name in stored} == stored
    assert b"hf download org/tiny --local-dir tiny" in stored["README.md"]
