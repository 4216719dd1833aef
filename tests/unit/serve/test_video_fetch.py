"""URLs that clients name are fetched from public addresses alone, redirects included."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from vlmkit.serve import video_fetch
from vlmkit.serve.api_errors import ApiError
from vlmkit.serve.limits import Admission, ServerLimits
from vlmkit.serve.video_fetch import fetch_public, is_public


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
     "2002:7f00:1::", "2001:0:53aa:64c:0:0:80ff:fffe"],
)  # fmt: skip
def test_addresses_of_this_machine_and_its_networks_are_not(address: str) -> None:
    assert not is_public(address)


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def log_request(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.hosts.append(self.headers["Host"])
        status, headers, content = self.server.pages[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def website(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server on this machine under the name public.test, whose address counts as public; private.test's does not."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hosts, server.url = [], f"http://public.test:{server.server_port}"
    private = f"http://private.test:{server.server_port}"
    server.pages = {
        "/a.mp4": (200, {}, b"content"),
        "/gone.mp4": (404, {}, b""),
        "/moved.mp4": (302, {"Location": "/a.mp4"}, b""),
        "/inward.mp4": (307, {"Location": f"{private}/a.mp4"}, b""),
        "/file.mp4": (301, {"Location": "file:///etc/passwd"}, b""),
        "/circle.mp4": (302, {"Location": "/circle.mp4"}, b""),
    }

    def lookup(host: str, port: int, *_: object, **__: object) -> list[Any]:
        address = {"public.test": "127.0.0.1", "private.test": "127.0.0.2"}[host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(video_fetch, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setenv("HTTP_PROXY", "http://private.test:1")
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(website: Any) -> Callable[..., bytes]:
    def call(path: str, most: int = 100) -> bytes:
        async def work() -> bytes:
            with Admission(ServerLimits()).holding() as held:
                return await fetch_public(website.url + path, "here", most, held)

        return asyncio.run(work())

    return call


def test_a_video_is_fetched_from_the_address_that_was_checked(website: Any, fetch: Callable[..., bytes]) -> None:
    assert fetch("/a.mp4") == fetch("/moved.mp4") == b"content"
    assert set(website.hosts) == {website.url.removeprefix("http://")}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/gone.mp4", "its server answers 404"),
        ("/inward.mp4", "'private.test' is no public host"),
        ("/file.mp4", "expected a URL of http or https"),
        ("/circle.mp4", "redirected more than 5 times"),
    ],
)
def test_what_leads_elsewhere_is_refused(fetch: Callable[..., bytes], path: str, said: str) -> None:
    with pytest.raises(ApiError, match=said) as found:
        fetch(path)
    assert (found.value.status, found.value.param, found.value.code) == (400, "here", "video_not_fetched")


def test_what_is_too_large_is_refused(fetch: Callable[..., bytes]) -> None:
    with pytest.raises(ApiError, match="at most 6 bytes") as found:
        fetch("/a.mp4", most=6)
    assert found.value.status == 413
