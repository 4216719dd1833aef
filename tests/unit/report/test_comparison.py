"""The comparison page as a browser gets it: whole, self-contained, and with nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vlmkit.errors import RunError, UserError
from vlmkit.report import write_comparison

from .conftest import second_run

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)> & \"quotes\" {{ 7 * 7 }}"


def render(run_folder: Path, second: Path | None = None) -> str:
    file = run_folder.parent / "comparison.html"
    return write_comparison([run_folder, second or second_run(run_folder)], file).read_text(encoding="utf-8")


def test_all_sections_are_there(run_folder: Path) -> None:
    page = render(run_folder)
    assert re.findall(r'<section id="(\w+)"', page) == ["scores", "size", "types", "training", "cost", "samples"]
    for told in ("64.7%", "A paper, Table 1", "4 min", "12.5 s", "103,424", "Language loss, stage align"):
        assert told in page, told


def test_only_the_pages_own_script_may_run_and_nothing_is_loaded(run_folder: Path) -> None:
    page = render(run_folder)
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert [bool(kind) for kind, _ in scripts] == [True, False], "data, then the script"
    digest = base64.b64encode(hashlib.sha256(scripts[1][1].encode()).digest()).decode()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert not re.search(r"url\((?!#)", page)
    assert not re.search(r"<[^>]* on\w+=", page.partition('id="data"')[0])


def test_whatever_a_run_says_is_text(run_folder: Path) -> None:
    second = second_run(run_folder)
    log = second / "eval/shapes/predictions.jsonl"
    rows = [{**json.loads(line), "prediction": HOSTILE, "type": HOSTILE} for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = second / "spec.yaml"
    kept = spec.read_text().partition("# checksum")[0]
    spec.write_text(kept.replace("name: tiny", f"name: {json.dumps(HOSTILE)}"))
    page = render(run_folder, second)
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img" not in page.partition("<script")[0]
    assert "alert(" in page


def test_the_same_runs_give_the_same_page(run_folder: Path) -> None:
    second = second_run(run_folder)
    assert render(run_folder, second) == render(run_folder, second)


def test_one_run_is_no_comparison(run_folder: Path) -> None:
    with pytest.raises(RunError, match="at least two runs to compare, found 1"):
        write_comparison([run_folder], run_folder / "comparison.html")


def test_a_place_that_cannot_be_written_is_told(run_folder: Path) -> None:
    second = second_run(run_folder)
    assert write_comparison([run_folder, second], run_folder.parent / "new" / "page.html").is_file()
    with pytest.raises(UserError, match="the page cannot be written"):
        write_comparison([run_folder, second], run_folder / "spec.yaml" / "page.html")


def test_it_costs_no_torch(run_folder: Path) -> None:
    second = second_run(run_folder)
    code = (
        "import sys, pathlib, vlmkit.report as r; a, b, c = map(pathlib.Path, sys.argv[1:]); "
        "r.write_comparison([a, b], c); sys.exit('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, str(run_folder), str(second), str(run_folder.parent / "c.html")]
    assert subprocess.run(words, check=False).returncode == 0
