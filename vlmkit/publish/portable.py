"""Published files say nothing of the machine that wrote them: its paths and private addresses are taken out.

`LOCAL` stands for a folder, `LOCAL/valley.json` for a file. A folder of huggingface_hub's cache becomes the id that it
holds. Text that is no path, e.g. a prompt, stays as it is.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from vlmkit.errors import RunError
from vlmkit.files import write_atomic

__all__ = ["LOCAL", "hub_id", "portable", "portable_json", "portable_text", "refuse_private"]

LOCAL = "LOCAL"
"""Stands for a path or an address of one machine."""

_CACHED = re.compile(r"models--([\w.-]+?)--([\w.-]+?)(?:/snapshots/[^/]*)?/?$")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_PATH = re.compile(r"(?:/|~|\.\.?/|file://|[A-Za-z]:[\\/])[^\n]*")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}")
_HOST = re.compile(r"(?<![\w.-])(?:https?://)?(?:[^\s/@]+@)?([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:\d+)?(?:/[^\s,;)]*)?")
_SECRET = 12
"""Characters of a token; shorter ones are made up, and would be found anywhere."""
_PRIVATE_ENDS = ("localhost", ".local", ".lan", ".internal", ".intranet", ".corp", ".home")


def portable(value: Any) -> Any:
    """Return data, e.g. of a spec or a config.json, without the paths and private addresses of this machine."""
    if isinstance(value, Mapping):
        return {key: portable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [portable(entry) for entry in value]
    return _portable_value(value) if isinstance(value, str) else value


def _portable_value(value: str) -> str:
    if "://" in value and not value.startswith("file://"):
        return portable_text(value)
    if not _is_path(value):
        return value
    if cached := hub_id(value):
        return cached
    name = PurePosixPath(value.replace("\\", "/")).name
    return f"{LOCAL}/{name}" if _SUFFIX.fullmatch(PurePosixPath(name).suffix) else LOCAL


def _is_path(value: str) -> bool:
    """Return whether a whole value is a path that means something on one machine only."""
    if _PATH.fullmatch(value) is None:
        return False
    return value.count("/") > 1 or not value.startswith("/") or Path(value).exists()


def hub_id(value: str) -> str | None:
    """Return the id of a model on the Hub that a spec names by it, or by its folder in huggingface_hub's cache."""
    if cached := _CACHED.search(value):
        return f"{cached[1]}/{cached[2]}"
    return value if _HUB_ID.fullmatch(value) and not value.startswith(f"{LOCAL}/") else None


def portable_text(text: str) -> str:
    """Return text with `LOCAL` in the place of addresses that only mean something within one network, and of those that
    bear a name and a password."""
    return _HOST.sub(lambda found: _without_host(found[0]) if _is_private(found) else found[0], text)


def _without_host(address: str) -> str:
    scheme, separator, _ = address.partition("://")
    return f"{scheme}://{LOCAL}" if separator else LOCAL  # with its scheme it stays an address


def _is_private(found: re.Match[str]) -> bool:
    host, port = found[1].strip("[]").lower(), found[2]
    whole = found[0]
    if "://" in whole and urlsplit(whole).username is not None:
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        pass
    if host.endswith(_PRIVATE_ENDS):
        return True
    return "." not in host and ("://" in whole or (port is not None and not host.isdigit()))


def portable_json(file: Path) -> None:
    """Make the content of a JSON file portable; it keeps every byte where there is nothing to take out."""
    content = json.loads(file.read_text(encoding="utf-8"))
    if (changed := portable(content)) != content:
        write_atomic(file, json.dumps(changed, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def refuse_private(folder: Path, files: Iterable[Path], places: Iterable[Path]) -> None:
    """Raise a RunError where text that is to be published still names one of these folders, the home folder, or holds
    the token of the Hub."""
    from huggingface_hub import get_token

    secrets = {f"{place}": "a path of this machine" for place in (*places, Path.home()) if len(place.parts) > 2}
    if (token := get_token()) and len(token) >= _SECRET:
        secrets[token] = "your token of the Hub"
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        for secret, what in secrets.items():
            if secret in text:
                line = text[: text.index(secret)].count("\n") + 1
                raise RunError(
                    f"{file.relative_to(folder)}, line {line}: {what} would be published; take it out of the run's "
                    "spec or of the model's files, and export again"
                )
