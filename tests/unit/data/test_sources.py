"""Videos and pictures as users give them: which file or frames they are, and what is refused."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vlmkit.data import local_file, sources, still_image
from vlmkit.data.sources import as_frames
from vlmkit.errors import DataError, UnreadableVideo, UserError

CONTENT = b"the content of a file"


def picture(width: int = 6, height: int = 4) -> Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 2] = 255
    return Image.fromarray(pixels)


def written(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/gone":
            self.send_error(404)
            return
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/clip.mp4")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(CONTENT)
            while self.path == "/slow":
                time.sleep(0.05)
                self.wfile.write(b".")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (tmp_path / "a b.mp4", str(tmp_path / "a b.mp4"), "~/a b.mp4", f"file://{tmp_path}/a%20b.mp4",
                   f"file://localhost{tmp_path}/a%20b.mp4", f"file:{tmp_path}/a%20b.mp4"):  # fmt: skip
        with local_file(source) as path:
            assert path == tmp_path / "a b.mp4"
    with local_file("clip:1.mp4") as path:
        assert path == Path("clip:1.mp4")


def test_content_is_a_file_for_a_while(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_MOST_BYTES", len(CONTENT))
    text = base64.b64encode(CONTENT).decode()
    for source in (CONTENT, f"data:video/mp4;base64,{text}", f"data:;base64,{text}", f"{url}/clip.mp4",
                   f"{url}/elsewhere"):  # fmt: skip
        with local_file(source) as path:
            assert path.read_bytes() == CONTENT
            assert (path.suffix == ".mp4") == (source == f"{url}/clip.mp4")
        assert not path.exists()


def test_a_url_within_an_event_loop(url: str) -> None:
    import asyncio

    async def read() -> bytes:
        with local_file(f"{url}/clip.mp4") as path:
            return path.read_bytes()

    assert asyncio.run(read()) == CONTENT


@pytest.mark.parametrize(
    ("source", "limits", "said"),
    [
        ("URL/gone", {}, r"127.0.0.1:\d+/gone.*the server answers 404"),
        ("URL/clip.mp4", {"_MOST_BYTES": 20}, "expected at most 20 bytes, found more"),
        ("URL/slow", {"_SECONDS": 0.2}, "not here within 0.2 s"),
        ("http://127.0.0.1:1/a.mp4", {}, "cannot be fetched: ConnectError"),
        ("http://[a/b.mp4", {}, "this is no URL"),
        ("s3://bucket/a.mp4", {}, "expected a path or a URL of file, data, http or https"),
        ("file://server/a.mp4", {}, "expected a file on this machine"),
        ("data:video/mp4,abc", {}, "expected data:TYPE;base64,CONTENT"),
        ("data:video/mp4;base64", {}, "expected data:TYPE;base64,CONTENT"),
        ("data:video/mp4;base64,%", {}, "no base64"),
        ("data:video/mp4;base64," + "AAAA" * 10, {"_MOST_BYTES": 20}, "expected at most 20 bytes"),
        (CONTENT, {"_MOST_BYTES": 20}, "expected at most 20 bytes"),
    ],
)
def test_what_is_not_fetched(
    source: Any, limits: dict[str, float], said: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(sources, name, value)
    source = source.replace("URL", url) if isinstance(source, str) else source
    with pytest.raises(DataError, match=said), local_file(source):
        pass


def test_a_message_names_the_source() -> None:
    with (
        pytest.raises(UnreadableVideo, match=r"^'data:;base64,AAAA': no frames$"),
        local_file("data:;base64,AAAA") as path,
    ):
        raise UnreadableVideo(f"{path}: no frames")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "JPEG"])
def test_a_picture(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(written(picture(), kind, **({"lossless": True} if kind == "WEBP" else {})))
    found = still_image(tmp_path / "a")
    assert found is not None
    assert found.shape == (4, 6, 3)
    if kind != "JPEG":
        np.testing.assert_array_equal(found, np.asarray(picture()))


def test_a_picture_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    (tmp_path / "a.png").write_bytes(written(picture(), "PNG", exif=exif))
    found = still_image(tmp_path / "a.png")
    assert found is not None
    np.testing.assert_array_equal(found, np.rot90(np.asarray(picture()), -1))


def test_a_picture_of_16_bits(tmp_path: Path) -> None:
    gray = np.linspace(0, 65535, 24, dtype=np.uint16).reshape(4, 6)
    Image.fromarray(gray).save(tmp_path / "a.png")
    found = still_image(tmp_path / "a.png")
    assert found is not None
    np.testing.assert_array_equal(found, np.stack([gray // 256] * 3, -1))


def test_what_is_no_picture(tmp_path: Path) -> None:
    frames = [picture(), picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    for name, content in {
        "text": CONTENT,
        "gif": written(frames[0], "GIF"),
        "moving.png": written(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "moving.webp": written(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert still_image(tmp_path / name) is None
    assert still_image(tmp_path) is still_image(tmp_path / "missing") is None


def test_a_damaged_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(written(Image.effect_noise((40, 40), 50), "PNG")[:500])
    with pytest.raises(UnreadableVideo, match=r"a.png: the picture cannot be decoded: OSError"):
        still_image(tmp_path / "a.png")


def test_a_huge_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(written(picture(), "PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UnreadableVideo, match="DecompressionBombError"):
        still_image(tmp_path / "a.png")


def test_frames(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(written(picture(), "PNG"))
    one = np.asarray(picture())
    first = torch.from_numpy(np.moveaxis(one, -1, 0).copy())
    for source in (
        picture(),
        [picture()],
        one,
        [one],
        one[None],
        first,
        [first],
        first[None],
        first.numpy(),
        torch.from_numpy(one.copy()),
        [tmp_path / "a.png"],
        [str(tmp_path / "a.png")],
        [(tmp_path / "a.png").read_bytes()],
    ):
        np.testing.assert_array_equal(as_frames(source), one[None])
    mixed = as_frames((picture(), one, first, picture().convert("RGBA")))
    np.testing.assert_array_equal(mixed, np.stack([one] * 4))


def test_three_frames_of_three_rows_stay_as_they_are() -> None:
    cube = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    np.testing.assert_array_equal(as_frames(cube)[0], cube)
    np.testing.assert_array_equal(as_frames(torch.from_numpy(cube))[0], np.moveaxis(cube, 0, -1))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ([], "found no frames"),
        ([picture(), picture(8)], r"found frames of 2 sizes \(height, width\): \[\(4, 6\), \(4, 8\)\]"),
        ([picture(), 5], "expected a frame: .*; found a value of type int"),
        ([np.zeros((2, 4, 6, 3), np.uint8)], r"expected a frame: .*; found uint8 of the shape \(2, 4, 6, 3\)"),
        (np.zeros((4, 6, 3), np.float32), r"expected RGB frames: .*; found float32 of the shape \(4, 6, 3\)"),
        (torch.zeros(2, 3, 4, 6, dtype=torch.bfloat16), "found bfloat16 of the shape"),
        (np.zeros((4, 6), np.uint8), r"found uint8 of the shape \(4, 6\)"),
        (np.zeros((0, 4, 6, 3), np.uint8), r"found uint8 of the shape \(0, 4, 6, 3\)"),
        (5, "found a value of type int"),
    ],
)
def test_what_are_no_frames(source: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        as_frames(source)


def test_a_frame_that_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(CONTENT)
    with pytest.raises(UnreadableVideo, match=r"a\.png: expected a frame, a JPEG"):
        as_frames([tmp_path / "a.png"])
