"""What commands show: tables for people, lines of JSON for programs, and a bar while they wait."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from dspy_session_bots.console import harmless

ENDLESS = 10_000
"""Columns of what is no terminal: nothing is folded there, so that it can be searched line by line."""

NARROWEST = 20
"""Columns of a key at least: a number of Discord's has 19 digits, and a colon follows."""


def screen(*, of_errors: bool = False) -> Console:
    """Where people look: stdout, or stderr for what is no result. Text is shown as it is, never as markup."""
    stream = sys.stderr if of_errors else sys.stdout
    if stream.isatty():
        return Console(file=stream, markup=False, highlight=False, emoji=False)
    return Console(file=_Stripped(stream), width=ENDLESS, markup=False, highlight=False, emoji=False)


class _Stripped(io.StringIO):
    """Hands on what is written, without the white space that fills lines up."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(re.sub(r" +$", "", text, flags=re.MULTILINE))

    def flush(self) -> None:
        self._stream.flush()


def table(*columns: str, right: Sequence[str] = (), folded: Sequence[str] = ()) -> Table:
    """An empty table.

    Args:
        columns: The names of its columns.
        right: Those that hold numbers.
        folded: Those that are narrowed where there is little room.
    """
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in columns:
        narrow = name in folded
        made.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=not narrow)
    return made


def broken(key: str, width: int) -> str:
    """A conversation's key, in lines of at most ``width`` characters: between its parts, and within one if need be."""
    lines, line = [], ""
    for part in harmless(key).replace(":", ":\0").split("\0"):
        if line and len(line) + len(part) > width:
            lines.append(line)
            line = ""
        line += part
        while len(line) > width:
            lines.append(line[:width])
            line = line[width:]
    return "\n".join([*lines, line] if line or not lines else lines)


def count(number: int, noun: str, plural: str = "") -> str:
    """``"1 turn"``, ``"1,200 turns"``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def json_line(values: Any) -> str:
    """Values on one line, without its end."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate: JSON can write it, UTF-8 cannot
        return json.dumps(values, separators=(",", ":"))
    return text


def print_json(values: Any) -> None:
    """Say something to a program."""
    typer.echo(json_line(values))


class Bar:
    """How far something is."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self) -> None:
        """One more is done."""
        self._progress.advance(self._task)


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Bar]:
    """A bar on stderr while the block runs, where that is a terminal; it is gone afterwards.

    Args:
        what: What is done.
        total: How many there are to do; None where nobody knows.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = screen(of_errors=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(what, total=total))
