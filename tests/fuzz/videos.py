"""Videos: small files of many containers and codecs, damaged."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from fuzz.text import byte_edits, damage
from hypothesis import strategies as st

ENOUGH = {"read": 0.1, "refused": 0.1}
_KINDS = [
    ("mp4", "libx264", {"bf": "2"}, {}),
    ("mp4", "libx264", {"bf": "0", "g": "4"}, {"movflags": "faststart"}),
    ("mp4", "libx264", {"g": "5"}, {"movflags": "frag_keyframe+empty_moov"}),
    ("mp4", "mpeg4", {}, {}),
    ("mov", "libx264", {"g": "3"}, {}),
    ("mkv", "libx264", {"bf": "1"}, {}),
    ("webm", "libvpx", {}, {}),
    ("mkv", "mjpeg", {}, {}),
    ("avi", "mpeg4", {}, {}),
    ("avi", "libx264", {}, {}),
    ("ts", "mpeg2video", {}, {}),
    ("mpg", "mpeg2video", {}, {}),
    ("wmv", "wmv2", {}, {}),
    ("flv", "flv", {}, {}),
    ("gif", "gif", {}, {}),
]
_NAMES = rb"ftyp|moov|mvhd|trak|tkhd|edts|elst|mdhd|hdlr|stbl|stsd|avcC|stts|stss|ctts|stsc|stsz|stco|moof|tfhd|trun"
_NAMES += (
    rb"|mdat|RIFF|avih|strh|strf|movi|idx1|\x1a\x45\xdf\xa3|\x15\x49\xa9\x66|\x16\x54\xae\x6b|\x1f\x43\xb6\x75|\xa3"
)
_NAMES += rb"|\x1c\x53\xbb\x6b|\x00\x00\x01|\x47\x40|FLV|GIF8|\x30\x26\xb2\x75"
_PLACES = re.compile(_NAMES, re.DOTALL)
_SAMPLINGS = ("uniform", "reference", "one-fps", "segment-midpoint", "segment-centre", "segment-start",
              "interior-points", "fps")  # fmt: skip
Example = tuple[str, bytes, str, bool]


def examples(bases: dict[str, bytes]) -> st.SearchStrategy[Example]:
    """Name, content, sampling, and whether the content is given rather than the path."""
    places = {name: tuple(match.start() for match in _PLACES.finditer(content)) for name, content in bases.items()}

    @st.composite
    def build(draw: st.DrawFn) -> Example:
        name = draw(st.sampled_from(sorted(bases)))
        content = damage(bases[name], draw(byte_edits(4)), places[name])
        ending = draw(st.sampled_from([name] * 6 + ["video", "a.mp4", "b:c.mkv", "10%d.avi"]))
        return ending, content, draw(st.sampled_from(_SAMPLINGS)), draw(st.booleans())

    return build()


def show(example: Example) -> str:
    """The whole file, so that it can be made again."""
    name, content, sampling, given = example
    return f"{name}, {sampling}, {'content' if given else 'path'}: {len(content)} bytes {content.hex()}"


class Target:
    """Opening a file and reading frames of it, as training and evaluation do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def bases(self) -> dict[str, bytes]:
        """Whole files by name."""
        return {path.name: path.read_bytes() for path in map(self._write, range(len(_KINDS)))}

    def check(self, example: Example) -> str:
        """Read it; frames have the shape that is asked for."""
        import numpy as np

        from vlmkit.api.video import VideoInput
        from vlmkit.data.loader import VideoLoader
        from vlmkit_readers.spec import DecordSpec

        name, content, sampling, given = example
        path = self.folder / "damaged" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        if given:
            video = DecordSpec().build().open(content)
            frames = video.frames([0, video.num_frames - 1, video.num_frames // 2])
            assert frames.dtype == np.uint8
            assert frames.shape == (3, video.height, video.width, 3), frames.shape
            return "read"
        view = VideoInput.model_validate({"frames": 4, "size": 32, "multiple": 16, "sampling": sampling})
        fitted = VideoLoader(DecordSpec(), view, {"one": view}).load(path)["one"]
        assert fitted.pixels.shape[1:] == (32, 32, 3), fitted.pixels.shape
        assert 1 <= fitted.num_frames_present <= 4
        return "read"

    def _write(self, number: int) -> Path:
        import av
        import numpy as np

        ending, codec, options, muxer = _KINDS[number]
        path = self.folder / f"{number}-{codec}.{ending}"
        with av.open(str(path), "w", options=muxer) as container:
            stream: Any = container.add_stream(codec, rate=8, options=options)
            stream.width, stream.height = 48, 32
            stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
            for step in range(14):
                rows = np.arange(32)[:, None, None] * 5 + np.arange(48)[None, :, None] * 2
                picture = ((rows + step * 9) % 256).repeat(3, 2).astype(np.uint8)
                with contextlib.suppress(BlockingIOError):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        return path
