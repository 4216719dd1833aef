"""What the commands say of specs, plugins and components that are not as they should be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from vlmkit.cli import app
from vlmkit.cli.installed import list_components
from vlmkit.errors import PluginError
from vlmkit.registry import registry


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VLMKIT_PLUGINS", "pooling, stabb")
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.mark.usefixtures("chosen")
@pytest.mark.parametrize("words", [["plugins"], ["components"], ["check", "specs/quickstart.yaml"]])
def test_a_chosen_plugin_that_is_missing_is_said_by_every_command(words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, PluginError)
    assert str(result.exception).startswith("VLMKIT_PLUGINS: no plugin 'stabb' is installed; did you mean 'stab'?")
    assert str(result.exception).count("stabb") == 1
    assert result.output == ""


def test_descriptions_are_whole_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    list_components("downsampler")
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in capsys.readouterr().out.splitlines()[1:]}
    assert lines["lsd"].startswith("[stab, vlmkit ")
    assert lines["lsd"].endswith(": the mean of each 2x2 window of patches reads the four patches by attention.")
    assert lines["adaptive-pool"].endswith("] The mean of a target number of bins, whatever the number of patches "
                                           "(PLLaVA, arXiv:2404.16994).")  # fmt: skip
    assert "avg-pool" in lines
    with pytest.raises(PluginError, match="there is no kind"):
        list_components("downsamplers")
