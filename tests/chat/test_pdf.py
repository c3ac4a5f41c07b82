"""PDFs that people send: their text, and one line where there is none to be had."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dspy_session_chat import Attachment
from dspy_session_chat.files import pdf as reading
from dspy_session_chat.files.attachments import FileLimits, Read, read_attachments
from dspy_session_chat.files.enclosed import in_words
from dspy_session_chat.files.pdf import Pages, pages_of
from tests.chat.pdfs import locked, packed, pdf

UNFOLDED = 80_000_000
"""Bytes: more than pypdf unfolds."""


class Shelf:
    """Has one file.

    Args:
        data: What is in it.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    @asynccontextmanager
    async def fetch(self, attachment: Attachment) -> AsyncIterator[AsyncIterator[bytes]]:
        yield self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        yield self._data


async def read(data: bytes, limits: FileLimits | None = None, readers: asyncio.Semaphore | None = None) -> Read:
    return await read_attachments([Attachment("bells.pdf")], Shelf(data), limits, readers=readers)


async def test_the_text_of_a_pdf_is_read_as_far_as_there_is_room() -> None:
    pages = pdf("Bells of bronze", "", "Bells of steel")
    whole, two, little = await asyncio.gather(
        read(pages), read(pages, FileLimits(pages=2)), read(pages, FileLimits(text_characters=10))
    )

    assert [file.text for file in (*whole.texts, *two.texts, *little.texts)] == [
        "Bells of bronze\n\nBells of steel",
        "Bells of bronze",
        "Bells of b",
    ]
    assert whole.left_out == ()
    assert two.left_out == ("Of bells.pdf, the first 2 of 3 pages were read.",)
    assert little.left_out == ("Of bells.pdf, the first 10 of 15 characters were read.",)
    assert in_words(two, ())[0].startswith("--- Attached file bells.pdf, the first 2 of 3 pages ---\nBells of bronze\n")


async def test_a_pdf_without_text_that_can_be_read_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "GRACE_SECONDS", 600.0)
    page = pdf("words")
    files = (locked(page, "secret"), page[:60], pdf(""), packed(UNFOLDED))
    *lines, bomb = [found.left_out for found in await asyncio.gather(*map(read, files))]

    assert lines == [
        ("bells.pdf was not read: it is locked with a password.",),
        ("bells.pdf was not read: the PDF is damaged.",),
        ("bells.pdf was not read: there is no text in it, only pictures of pages, maybe.",),
    ]
    assert len(bomb) == 1
    assert len(files[-1]) < 200_000 < UNFOLDED
    assert await pages_of(pdf("one", "two"), pages=9, characters=9, seconds=0.0) == Pages("one", 1, 2)


async def test_a_pdf_waits_while_as_many_are_read_as_may_be_at_once() -> None:
    readers = asyncio.Semaphore(1)
    async with readers:
        waited = await read(pdf("words"), FileLimits(seconds=0.5), readers)
    assert waited.left_out == ("bells.pdf was not read: too many PDFs are being read at the moment.",)
    for _ in range(2):  # and gives its place back
        assert [file.text for file in (await read(pdf("words"), readers=readers)).texts] == ["words"]


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("import time; time.sleep(600)", "it took too long to read"),
        ("raise MemoryError", "the PDF is damaged, or too intricate to be read"),
        ("print('[1]')", "the PDF is damaged, or too intricate to be read"),
        (None, "PDFs cannot be read at the moment"),
    ],
)
async def test_a_reader_that_does_not_come_to_an_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, problem: str
) -> None:
    if program is None:
        monkeypatch.setattr("sys.executable", str(tmp_path / "nowhere"))
    else:
        (tmp_path / "reader.py").write_text(program)
        monkeypatch.setattr(reading, "_READER", tmp_path / "reader.py")
        if "sleep" in program:
            monkeypatch.setattr(reading, "GRACE_SECONDS", 0.0)

    assert await pages_of(pdf("words"), pages=9, characters=9, seconds=0.0) == Pages(problem=problem)


async def test_the_reader_is_told_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "secret")
    (tmp_path / "reader.py").write_text("import json, os; print(json.dumps({'text': ' '.join(os.environ)}))")
    monkeypatch.setattr(reading, "_READER", tmp_path / "reader.py")

    names = (await pages_of(b"", pages=9, characters=9)).text.split()

    assert "PATH" in names
    assert "DISCORD_TOKEN" not in names


async def test_without_pypdf_that_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert (await read(pdf("words"))).left_out == ("bells.pdf was not read: PDFs cannot be read here.",)
    assert "pip install pypdf" in caplog.text
