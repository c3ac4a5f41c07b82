"""What ``export`` wrote, taken into a store: entry by entry, and as often as anybody likes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from dspy_session.conversation.entries import messages_in
from dspy_session.errors import ConfigurationError
from dspy_session.stores import Commit, Entry, Inbox, Settled, Store
from dspy_session.stores.sealing import is_sealed
from dspy_session_bots.tables import json_line

BATCH = 500
"""Entries that are written in one commit; so many are in memory at once, however long a conversation is."""
AT_ONCE = 16
"""Commits that a store is handed at once: SQLite writes those that wait together."""
_FORKED = "forked"

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

    @property
    def entry(self) -> Entry:
        """The entry, as a journal has it."""
        return Entry(self.kind, json_line(self.body), self.at, self.previous, self.about, self.author)


@dataclass(slots=True)
class Taken:
    """What came of it.

    Args:
        conversations: How many conversations are in the store now that were not, or not whole.
        entries: How many entries were written.
        there: How many conversations were there already.
        others: The conversations that were left as they are, for the store has others under their keys; with the
            number of the first entry that differs.
    """

    conversations: int = 0
    entries: int = 0
    there: int = 0
    others: dict[str, int] = field(default_factory=dict)


async def take_in(store: Store, inbox: Inbox, lines: Iterable[Line]) -> Taken:
    """Take conversations in, each behind what the store has of it already.

    Until the last entry of a conversation is written nothing of it is seen. Stopped at any moment, it may be begun
    anew. The messages that were answered are known from then on, and are not answered again.

    Args:
        store: Where to.
        inbox: The same.
        lines: The lines of an export, as ``read_lines`` gives them.

    Raises:
        ConfigurationError: A line is damaged; what stands before it is in.
        StoreError: The store cannot do its work.
    """
    taken = Taken()
    for key, those in groupby(lines, lambda line: line.key):
        await _take_one(store, inbox, key, those, taken)
    return taken


async def _take_one(store: Store, inbox: Inbox, key: str, lines: Iterator[Line], taken: Taken) -> None:
    journal = await store.read(key, 1)
    seen = _Seen()
    lines = map(seen.see, lines)
    differs = await _first_that_differs(store, key, lines)
    if differs is not None:
        for _ in lines:  # they may be damaged
            pass
        taken.others[key] = differs
        return
    length = journal.length
    while batch := list(islice(lines, BATCH)):
        marks = seen.marks if batch[-1].number + 1 == batch[-1].entries else journal.marks
        entries = [line.entry for line in batch]
        await store.commit(Commit(key=key, expected=length, entries=entries, marks=marks))
        length += len(batch)
    taken.entries += length - journal.length
    if length > journal.length:
        taken.conversations += 1
    else:
        taken.there += 1
    await _know(store, inbox, key, length, seen.messages)


@dataclass(slots=True)
class _Seen:
    """What the lines of a conversation say of it as a whole."""

    marks: dict[str, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def see(self, line: Line) -> Line:
        self.marks.update(dict.fromkeys(line.marks, line.number))
        if line.kind == _FORKED:  # what stands before was answered in another conversation
            self.messages.clear()
        self.messages += sorted(messages_in(line.entry))
        return line


async def _first_that_differs(store: Store, key: str, lines: Iterator[Line]) -> int | None:
    """The number of the first entry that the store has otherwise than the export; it is read as far as both go."""
    async for entry in store.entries(key):
        line = next(lines, None)
        if line is None:  # the conversation went on in the store
            return None
        if not _same(entry, line):
            return line.number
    return None


def _same(entry: Entry, line: Line) -> bool:
    written = line.entry
    if entry == written:
        return True
    try:
        return replace(entry, body=written.body) == written and json.loads(entry.body) == line.body
    except (ValueError, RecursionError):
        return False


async def _know(store: Store, inbox: Inbox, key: str, length: int, messages: list[str]) -> None:
    """Let messages be known as answered."""

    async def know(event_id: str) -> None:
        if not await inbox.knows(key, event_id):
            await store.commit(Commit(key=key, expected=length, settled=Settled(event_id)))

    left = iter(dict.fromkeys(messages))
    while some := list(islice(left, AT_ONCE)):
        await asyncio.gather(*map(know, some))


# --- reading ----------------------------------------------------------------------------------------------------------


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
