"""What README and docs/ say is run, line by line, with a stub model in the place of every provider's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest

from tests.docs.command import ROOT, commands, complaint
from tests.docs.page import blocks, run
from tests.stub_lm import StubModel

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]

SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-0-example",
    "SLACK_APP_TOKEN": "xapp-0-example",
    "SLACK_SIGNING_SECRET": "0" * 32,
    "DISCORD_TOKEN": "MTAwMDAw.example.token",
    "WEBHOOK_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}


class StubbedLM(dspy.LM):
    """What ``dspy.LM`` is on a page: the model has the name that the page gives it, and no provider is asked."""

    def __init__(self, model: str, **options: Any) -> None:
        if "engine" not in options:
            stub = StubModel(model=model)
            kept = {name: value for name, value in options.items() if name in ("temperature", "max_tokens")}
            options = {"engine": stub.engine, "async_engine": stub.async_engine, "cache": False, **kept}
        super().__init__(model, **options)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A reader's desk: an empty folder, a model, example tokens; DSPy's settings are put back afterwards."""
    monkeypatch.chdir(tmp_path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dspy, "LM", StubbedLM)
    before = dspy.settings.copy()
    dspy.configure(lm=StubbedLM("stub/stub"))
    yield tmp_path
    dspy.configure(**before)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_page_runs(path: Path, desk: Path) -> None:
    run(path)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_exist(path: Path) -> None:
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language in ("bash", "console", "sh", "shell"):
            for words in commands(block.code):
                assert not (wrong := complaint(words)), f"{path.name}:{block.line}: {' '.join(words)}: {wrong}"


def test_most_of_what_is_shown_is_run() -> None:
    shown = [block for path in PAGES for block in blocks(path.read_text(encoding="utf-8"))]
    python = [block for block in shown if block.language == "python"]
    not_run = [block for block in python if block.note == "not run"]
    assert len(not_run) <= len(python) / 4
