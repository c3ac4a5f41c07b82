"""What ``export`` wrote, read again line by line; what is damaged or missing is told with its line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from dspy_session.conversation.entries import messages_in
from dspy_session.errors import ConfigurationError
from dspy_session.stores import Entry
from dspy_session.stores.sealing import is_sealed
from dspy_session_bots.tables import json_line

Number = Annotated[int, Field(ge=0)]


class Line(BaseModel):
    """One line of an export; what ``export`` adds for readers is left out.

    Args:
        key: The conversation.
        number: Which of its entries it is.
        entries: How many entries the conversation had then.
        kind: As in ``Entry``, like those that follow.
        at: When it was written.
        author: Whose words are in it.
        about: The entry that it says something of.
        previous: The entry before it in its chain.
        marks: The names of the marks that are set on it.
        body: What it holds; None where ``export`` could not read that.
        text: What stood there instead.
    """

    # An error must not repeat what people said.
    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    key: Annotated[str, Field(min_length=1)]
    number: Number
    entries: Number
    kind: str
    at: FiniteFloat
    author: str
    about: Number | None
    previous: Number | None
    marks: list[str]
    body: dict[str, Any] | None
    text: str = ""

    @cached_property
    def entry(self) -> Entry:
        """The entry, as a journal has it."""
        return Entry(self.kind, json_line(self.body), self.at, self.previous, self.about, self.author)

    @cached_property
    def messages(self) -> list[str]:
        """The ids of the messages that were answered with it."""
        return sorted(messages_in(self.entry))


@contextmanager
def opened(path: Path | None) -> Iterator[tuple[BinaryIO, int | None]]:
    """A file to read, and how many lines it has; stdin for None. Of what can be read but once nobody knows that.

    Raises:
        ConfigurationError: It cannot be read.
    """
    if path is None:
        yield sys.stdin.buffer, None
        return
    try:
        with path.open("rb") as file:
            count = None
            if file.seekable():
                count = sum(1 for _ in file)
                file.seek(0)
            yield file, count
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None


def read_lines(file: Iterable[bytes], name: str, told: Callable[[], None]) -> Iterator[Line]:
    """The lines of an export, each seen to belong where it stands.

    Args:
        file: The lines as they were written.
        name: What the file is called, for messages.
        told: Told of each line that is done with.

    Raises:
        ConfigurationError: One is damaged or missing, with its number.
    """
    before: Line | None = None
    place = 0
    for place, raw in enumerate(file, 1):
        line = _parse(raw, f"{name}, line {place}")
        if before is not None and before.key != line.key:
            _see_that_it_is_whole(before, f"{name}, line {place - 1}")
            before = None
        _see_that_it_follows(before, line, f"{name}, line {place}")
        yield line
        told()
        before = line
    if before is not None:
        _see_that_it_is_whole(before, f"{name}, line {place}")


def _parse(raw: bytes, where: str) -> Line:
    try:
        values = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, Mapping):
        raise ConfigurationError(
            f"{where}: this is no line that dspy-bots conversations export wrote, or half of one: export again"
        )
    try:
        line = Line.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        named = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{where}: {named} does not fit ({first['msg'].lower()}): export again") from None
    if line.body is None:
        if is_sealed(line.text):
            raise ConfigurationError(
                f"{where}: it is encrypted: export again with STORE_KEYS set to the keys of the store that it is from"
            )
        raise ConfigurationError(
            f"{where}: the entry was damaged before it was exported: leave out all lines of {line.key!r}"
        )
    try:
        known = all(isinstance(each, str) for each in line.messages)
    except (AttributeError, TypeError):
        known = False
    if not known:
        raise ConfigurationError(f"{where}: body does not say which message was answered: export again")
    return line


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN, which no export has


def _see_that_it_follows(before: Line | None, line: Line, where: str) -> None:
    number, entries = (0, line.entries) if before is None else (before.number + 1, before.entries)
    if line.number != number or line.entries != entries:
        raise ConfigurationError(
            f"{where}: entry {line.number} of {line.entries} of {line.key!r} stands where entry {number} of {entries} "
            "should: lines are missing or doubled, export again"
        )
    if any(each is not None and each >= number for each in (line.previous, line.about)) or number >= entries:
        raise ConfigurationError(f"{where}: entry {number} of {line.key!r} points at none before it: export again")


def _see_that_it_is_whole(last: Line, where: str) -> None:
    if last.number + 1 < last.entries:
        raise ConfigurationError(
            f"{where}: {last.key!r} ends after {last.number + 1} of {last.entries} entries: the export was cut off, "
            "export again"
        )
