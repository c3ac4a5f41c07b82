"""From a state to the history that a call sees. Pure: nothing here changes a state.

A turn's snapshot is a slice of a list of records that neighbouring turns share, so that a snapshot costs the same
after ten turns and after ten thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import dspy

from dspy_session.turn import Record, Shape
from dspy_session.values import snapshot

Message = dict[str, Any]


def seed_records(history: dspy.History | None) -> tuple[Record, ...]:
    """The messages of a history as records."""
    if history is None:
        return ()
    return tuple(Record(message, {}) for message in history.messages)


class View:
    """Which fields of a record a message shows, and the seed messages that come before all turns.

    Args:
        seed: Messages from before the first turn.
        exclude: Field names that no message shows.
        only: The input names that a message shows; None for all of them.
    """

    __slots__ = ("_shown", "exclude", "only", "seed")

    def __init__(
        self,
        seed: tuple[Record, ...] = (),
        exclude: frozenset[str] = frozenset(),
        only: frozenset[str] | None = None,
    ) -> None:
        self.seed = seed
        self.exclude = exclude
        self.only = only
        self._shown: dict[Shape, tuple[str, ...]] = {}

    def shows(self, shape: Shape) -> tuple[str, ...]:
        """The names of the fields that a message of ``shape`` shows; ``shape.names`` itself when it shows all."""
        try:
            return self._shown[shape]
        except KeyError:
            pass
        only = shape.names if self.only is None else (*self.only, *shape.outputs)
        shown = tuple(name for name in shape.names if name in only and name not in self.exclude)
        self._shown[shape] = shape.names if shown == shape.names else shown
        return self._shown[shape]


def message_of(record: Record, names: tuple[str, ...]) -> Message:
    """The message that shows the fields ``names`` of a record, as a copy."""
    if record.plain and names is record.shape.names:
        return record.fields.copy()
    return {name: snapshot(record.fields[name]) for name in names}


def whole_message(record: Record) -> Message:
    """A message with every field of a record: what a seed message is."""
    return message_of(record, record.shape.names)


class Snapshot:
    """The history that one call sees: the end of the seed, then a slice of a list of records.

    The list may grow afterwards, but what stands in the slice never changes.
    """

    __slots__ = ("log", "seed_from", "start", "stop", "view")

    def __init__(self, view: View, seed_from: int, log: Sequence[Record], start: int, stop: int) -> None:
        self.view = view
        self.seed_from = seed_from
        self.log = log
        self.start = start
        self.stop = stop

    @classmethod
    def of(cls, history: dspy.History | None) -> Snapshot:
        """The snapshot of a history that was given from outside."""
        if history is None or not history.messages:
            return EMPTY
        return cls(View(seed_records(history)), 0, (), 0, 0)

    @classmethod
    def last(cls, window: int | None, view: View, log: Sequence[Record], start: int, stop: int) -> Snapshot:
        """The last ``window`` messages of a seed and the turns ``log[start:stop]`` after it; all of them if None."""
        if window is None or (surplus := len(view.seed) + stop - start - window) <= 0:
            return cls(view, 0, log, start, stop)
        seed_from = min(surplus, len(view.seed))
        return cls(view, seed_from, log, start + surplus - seed_from, stop)

    def __len__(self) -> int:
        return len(self.view.seed) - self.seed_from + self.stop - self.start

    def seed(self) -> tuple[Record, ...]:
        """The seed messages in it."""
        return self.view.seed[self.seed_from :]

    def records(self) -> Sequence[Record]:
        """The turns' records in it."""
        return self.log[self.start : self.stop]

    def shown(self) -> list[tuple[Record, tuple[str, ...]]]:
        """Every message as its record and the names of the fields that it shows."""
        shows = self.view.shows
        turns = [(record, shows(record.shape)) for record in self.records()]
        return [(record, record.shape.names) for record in self.seed()] + turns

    def messages(self) -> list[Message]:
        """New dicts each time; nothing in them is shared with a turn."""
        messages = [whole_message(record) for record in self.seed()]
        # A shape at a time, because without a window there are thousands of records.
        for shape, records in groupby(self.records(), attrgetter("shape")):
            names = self.view.shows(shape)
            whole = names is shape.names
            messages += [
                record.fields.copy() if whole and record.plain else message_of(record, names) for record in records
            ]
        return messages

    def history(self) -> dspy.History:
        """The history as DSPy knows it, new each time."""
        # Built without validation: pydantic would copy every message to check what is known to hold.
        return dspy.History.model_construct(messages=self.messages())


EMPTY = Snapshot(View(), 0, (), 0, 0)
"""No message at all."""
