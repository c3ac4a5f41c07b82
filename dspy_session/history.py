"""From a state to the history that a call sees. Pure: nothing here changes a state.

A turn's snapshot is a slice of a list of records that neighbouring turns share, so that a snapshot costs the same
after ten turns and after ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

    __slots__ = ("_chosen", "exclude", "only", "seed")

    def __init__(
        self,
        seed: tuple[Record, ...] = (),
        exclude: frozenset[str] = frozenset(),
        only: frozenset[str] | None = None,
    ) -> None:
        self.seed = seed
        self.exclude = exclude
        self.only = only
        self._chosen: dict[Shape, tuple[int, ...] | None] = {}

    def shows(self, shape: Shape) -> tuple[int, ...] | None:
        """The positions of the fields that a message of ``shape`` shows; None for all."""
        try:
            return self._chosen[shape]
        except KeyError:
            pass
        chosen = tuple(
            position
            for position, name in enumerate(shape.names)
            if name not in self.exclude and (position >= shape.inputs or self.only is None or name in self.only)
        )
        answer = None if len(chosen) == len(shape.names) else chosen
        self._chosen[shape] = answer
        return answer

    def message(self, record: Record) -> Message:
        """The message that stands for a turn."""
        chosen = self.shows(record.shape)
        if chosen is None:
            pairs: Iterable[tuple[str, Any]] = zip(record.shape.names, record.values, strict=True)
        else:
            pairs = [(record.shape.names[position], record.values[position]) for position in chosen]
        if record.plain:
            return dict(pairs)
        return {name: snapshot(value) for name, value in pairs}


_WHOLE = View()


def whole_message(record: Record) -> Message:
    """A message with every field of a record: what a seed message is."""
    return _WHOLE.message(record)


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
    def last(cls, window: int | None, view: View, log: Sequence[Record], turns: int) -> Snapshot:
        """The last ``window`` messages of a seed and the last ``turns`` records of ``log``; all of them if None."""
        stop = len(log)
        surplus = 0 if window is None else max(0, len(view.seed) + turns - window)
        seed_from = min(surplus, len(view.seed))
        return cls(view, seed_from, log, stop - turns + (surplus - seed_from), stop)

    def __len__(self) -> int:
        return len(self.view.seed) - self.seed_from + self.stop - self.start

    def seed(self) -> tuple[Record, ...]:
        """The seed messages in it."""
        return self.view.seed[self.seed_from :]

    def records(self) -> Sequence[Record]:
        """The turns' records in it."""
        return self.log[self.start : self.stop]

    def messages(self) -> list[Message]:
        """New dicts each time; nothing in them is shared with a turn."""
        message = self.view.message
        messages = [message(record) for record in self.records()]
        if self.seed_from < len(self.view.seed):
            return [whole_message(record) for record in self.seed()] + messages
        return messages

    def history(self) -> dspy.History:
        """The history as DSPy knows it, new each time."""
        # Built without validation: pydantic would copy every message to check what is known to hold.
        return dspy.History.model_construct(messages=self.messages())


EMPTY = Snapshot(_WHOLE, 0, (), 0, 0)
"""No message at all."""
