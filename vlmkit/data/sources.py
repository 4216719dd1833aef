"""Videos and pictures as users give them: paths, URLs, bytes, pictures of Pillow, arrays and tensors.

A picture is a video of one frame. Shape letters: T frames, H W pixels.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from vlmkit.errors import DataError, UnreadableVideo, UserError, shown
from vlmkit.files import expand_path, is_file
from vlmkit.guard import error_text, is_machine_error

if TYPE_CHECKING:
    from torch import Tensor

    from vlmkit.data.fit import FittedVideo

__all__ = ["VideoSource", "as_frames", "is_frame", "local_file", "still_image"]

Pixels = npt.NDArray[np.uint8]
VideoSource: TypeAlias = "str | Path | bytes | Image.Image | Sequence[Any] | Pixels | Tensor | FittedVideo"
"""A file by its path, its URL (`file://`, `data:`, `http(s)://`) or its content; a picture; or the frames of a video: a
sequence of pictures, a (T, H, W, 3) or (H, W, 3) uint8 array, a (T, 3, H, W) or (3, H, W) uint8 tensor, RGB."""

_STILL = ("BMP", "JPEG", "PNG", "WEBP")
_ANIMATED = ("PNG", "WEBP")
"""Formats of which some files are animations. Of a camera's JPEG with several pictures, the first counts."""
_MOST_BYTES = 1 << 30
"""The most that is taken from a URL, or as content."""
_SECONDS = 60.0
"""The longest that fetching from a URL may take."""
_REMEDY = "correct the URL, or save the video to a file and give its path"
_LONGEST_SUFFIX = 8
_LONGEST_SCHEME = 32


@contextmanager
def local_file(source: str | Path | bytes) -> Iterator[Path]:
    """The file on this machine that a source is; where there was none, a temporary one for as long as the block runs.

    Args:
        source: a path, a `file://`, `data:` (base64) or `http(s)://` URL, or the file's content; where it is no file,
            at most 1 GiB, and from a URL within a minute.

    Raises:
        DataError: where a URL is of another kind, or cannot be fetched within these limits.
        UnreadableVideo: what the block raises of a temporary file is raised with the source's name.
    """
    scheme = _scheme(source) if isinstance(source, str) else ""
    if not isinstance(source, bytes) and scheme in ("", "file"):
        yield _path_of(str(source)) if scheme else expand_path(source)
        return
    name = "the bytes that are given" if isinstance(source, bytes) else shown(source)
    with NamedTemporaryFile(prefix="vlmkit-", suffix=_suffix(str(source)) if scheme.startswith("http") else "") as file:
        if scheme in ("http", "https"):
            _fetch(str(source), name, file)
        elif scheme in ("", "data"):
            content = source if isinstance(source, bytes) else _data(str(source), name)
            if len(content) > _MOST_BYTES:
                raise _too_large(name)
            file.write(content)
        else:
            raise DataError(f"{name}: expected a path or a URL of file, data, http or https; save it to a file")
        file.flush()
        try:
            yield Path(file.name)
        except UnreadableVideo as error:
            raise UnreadableVideo(str(error).replace(file.name, name)) from error


def still_image(path: Path) -> Pixels | None:
    """Return (H, W, 3) RGB of a JPEG, PNG, WebP or BMP, turned as its EXIF data say; None where the file is none.

    An animation is none. An UnreadableVideo where the picture is damaged or too large.
    """
    if not is_file(path):
        return None
    try:
        with Image.open(path, formats=_STILL) as image:
            if image.format in _ANIMATED and getattr(image, "is_animated", False):
                return None
            return _upright(image)
    except UnidentifiedImageError:
        return None
    except Exception as error:  # Pillow raises many kinds for what is wrong with a file
        if is_machine_error(error):
            raise
        raise UnreadableVideo(f"{path}: the picture cannot be decoded: {error_text(error)}") from error


def as_frames(source: Any) -> Pixels:
    """Return (T, H, W, 3) RGB of frames that are no file of a video: a picture, several, an array or a tensor.

    Arrays end, tensors begin with the channels, or the other way round where only that fits. Among several pictures may
    be paths, URLs and contents of picture files. A UserError where these are no frames, or differ in size.
    """
    if isinstance(source, Image.Image):
        return _upright(source)[None]
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        frames = [_frame(each) for each in source]
        sizes = sorted({frame.shape[:2] for frame in frames})
        if len(sizes) != 1:
            found = f"frames of {len(sizes)} sizes (height, width): {shown(sizes)}" if sizes else "no frames"
            raise UserError(f"expected the frames of a video, all of one size; found {found}")
        return np.stack(frames)
    frames_THWC = _pixels(source)
    return frames_THWC if frames_THWC.ndim == 4 else frames_THWC[None]


def is_frame(value: Any) -> bool:
    """Tell whether this is one picture: of Pillow, or an array or tensor with three dimensions."""
    return isinstance(value, Image.Image) or getattr(value, "ndim", None) == 3


def _frame(value: Any) -> Pixels:
    if isinstance(value, str | Path | bytes):
        with local_file(value) as path:
            pixels = still_image(path)
            if pixels is None:
                raise UnreadableVideo(f"{path}: expected a frame, a JPEG, PNG, WebP or BMP file; found none")
            return pixels
    if not is_frame(value):
        raise UserError(
            f"expected a frame: a picture, or an array or tensor with three dimensions; found {_kind(value)}"
        )
    return _upright(value) if isinstance(value, Image.Image) else _pixels(value)


def _upright(image: Image.Image) -> Pixels:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits of gray, which Pillow would cut off at 255
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return np.asarray(upright.convert("RGB"))


def _pixels(value: Any) -> Pixels:
    """Return (T, H, W, 3) or (H, W, 3) of an array or tensor."""
    is_tensor = hasattr(value, "detach")
    shape = tuple(getattr(value, "shape", ()))
    last, first = len(shape) in (3, 4) and shape[-1] == 3, len(shape) in (3, 4) and shape[-3] == 3
    if str(getattr(value, "dtype", "")).removeprefix("torch.") != "uint8" or not (last or first) or 0 in shape:
        raise UserError(
            "expected RGB frames: uint8 of the shape (T, H, W, 3) or (H, W, 3), of a tensor (T, 3, H, W) or "
            f"(3, H, W); found {_kind(value)}"
        )
    array: Pixels = value.detach().cpu().numpy() if is_tensor else np.asarray(value)
    return np.moveaxis(array, -3, -1) if first and (is_tensor or not last) else array


def _kind(value: Any) -> str:
    """Return dtype and shape of an array, or the value's type."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')} of the shape {tuple(value.shape)}"
    return f"a value of type {type(value).__name__}"


def _scheme(source: str) -> str:
    """Return the scheme of a URL, lower case; empty for a path, which may hold a colon too."""
    scheme, colon, rest = source[:_LONGEST_SCHEME].partition(":")
    is_url = scheme.isalnum() and (rest.startswith("//") or (colon and scheme.lower() in ("data", "file")))
    return scheme.lower() if is_url else ""


def _path_of(url: str) -> Path:
    """Return the path of a `file://` URL."""
    parts = _split(url)
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{shown(url)}: expected a file on this machine, as in file:///folder/a.mp4")
    return Path(unquote(parts.path))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise DataError(f"{shown(url)}: this is no URL: {error}; {_REMEDY}") from None


def _suffix(url: str) -> str:
    """Return the ending of a URL's file name, which some decoders look at."""
    suffix = Path(_split(url).path).suffix
    return suffix if len(suffix) <= _LONGEST_SUFFIX and suffix[1:].isalnum() else ""


def _data(url: str, name: str) -> bytes:
    """Return the content of a `data:` URL."""
    head, comma, text = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise DataError(f"{name}: expected data:TYPE;base64,CONTENT, as in data:video/mp4;base64,AAAA")
    if len(text) // 4 * 3 - 2 > _MOST_BYTES:
        raise _too_large(name)
    try:
        return base64.b64decode(unquote(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(
            f"{name}: the content of this data: URL is no base64: {error}; encode the whole file anew"
        ) from None


def _too_large(name: str) -> DataError:
    return DataError(
        f"{name}: expected at most {_MOST_BYTES:,} bytes, found more; shorten the video or make it smaller"
    )


def _fetch(url: str, name: str, file: IO[bytes]) -> None:
    """Write what lies behind a URL into a file."""
    import httpx
    from anyio import fail_after
    from anyio.from_thread import start_blocking_portal

    async def fetch() -> None:
        received = 0
        with fail_after(_SECONDS):
            async with (
                httpx.AsyncClient(follow_redirects=True, timeout=None) as client,  # noqa: S113 -- one for all of it
                client.stream("GET", url) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise DataError(
                        f"{name}: the server answers {response.status_code} {response.reason_phrase}; {_REMEDY}"
                    )
                async for chunk in response.aiter_bytes():
                    received += len(chunk)
                    if received > _MOST_BYTES:
                        raise _too_large(name)
                    file.write(chunk)

    try:
        with start_blocking_portal() as portal:  # a notebook has an event loop of its own in this thread
            portal.call(fetch)
    except TimeoutError:
        raise DataError(f"{name}: it was not here within {_SECONDS:g} s; {_REMEDY}") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise DataError(f"{name}: it cannot be fetched: {error_text(error)}; {_REMEDY}") from None
