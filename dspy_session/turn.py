"""One exchange of a conversation, fixed but for its score."""

# ruff: noqa: A002, SLF001  # `id` is a turn's id; a turn makes turns: it sets what is private to them

from __future__ import annotations

import datetime
import os
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from dspy_session.feedback import Feedback
from dspy_session.values import all_atomic, snapshot

if TYPE_CHECKING:
    import dspy

    from dspy_session.history import Snapshot


_naming = threading.Lock()
_ID_BYTES = 10
"""Random ones: 80 bits, so that among a thousand million turns two are alike once in two million times."""


class Shape:
    """The field names of a record. Records of the same fields share one shape.

    Args:
        inputs: The names of the inputs.
        outputs: The names of the outputs; one of them may be an input's name too.
    """

    __slots__ = ("inputs", "names", "outputs")

    def __init__(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.names = tuple(dict.fromkeys((*inputs, *outputs)))


@lru_cache(maxsize=4096)
def _shape(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Shape:
    return Shape(inputs, outputs)


class Record:
    """The values of one message, held once and shared by every history that contains it; nobody outside sees it.

    ``fields`` is the message itself: a dict, since histories are lists of copies of it. ``plain`` is true when nothing
    in it can change. ``shadowed`` holds inputs that have the name of an output. ``rendered`` remembers how an adapter
    last rendered the message: ``(what it depended on, chat messages)``.
    """

    __slots__ = ("fields", "plain", "rendered", "shadowed", "shape")

    def __init__(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        self.shape = _shape(tuple(inputs), tuple(outputs))
        self.fields = {**inputs, **outputs}
        self.shadowed: dict[str, Any] | None = None
        if len(self.fields) < len(inputs) + len(outputs):
            self.shadowed = {name: snapshot(inputs[name]) for name in inputs if name in outputs}
        self.plain = self.shadowed is None and all_atomic(self.fields.values())
        if not self.plain:
            self.fields = {name: snapshot(value) for name, value in self.fields.items()}
        self.rendered: tuple[Any, Any] | None = None

    def inputs(self) -> dict[str, Any]:
        """The inputs, as copies."""
        fields = self.fields if self.shadowed is None else {**self.fields, **self.shadowed}
        return self._copies(fields, self.shape.inputs)

    def outputs(self) -> dict[str, Any]:
        """The outputs, as copies."""
        return self._copies(self.fields, self.shape.outputs)

    def _copies(self, fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        if self.plain:
            return {name: fields[name] for name in names}
        return {name: snapshot(fields[name]) for name in names}


class Besides(NamedTuple):
    """What few turns have.

    Args:
        stopped: Why the answer is not whole (``"stopped"``, ``"interrupted"``, ``"timeout"``); empty when it is.
        feedback: What was said of the turn and stands, oldest first.
    """

    stopped: str = ""
    feedback: tuple[Feedback, ...] = ()


_NOTHING = Besides()


class Turn:
    """One exchange: what went in, what came out, and the history that the call saw.

    ``inputs``, ``outputs`` and ``history_snapshot`` are copies, made each time they are read: changing one changes no
    turn. Only ``score`` can be assigned.

    Args:
        index: Position in the conversation, from 0. ``undo`` gives it free again.
        inputs: What the call was given, less the history.
        outputs: What it returned.
        history_snapshot: The history that the call saw; an empty one if None.
        score: What a metric or a person made of it; None until then.
        id: Durable identity, never used again; a new one if None.
        created_at: When the turn was recorded, UTC; None if unknown.
    """

    __slots__ = ("_besides", "_created", "_id", "_index", "_record", "_saw", "score")
    __hash__ = None  # type: ignore[assignment]  # a score can change, so a turn is no key; use turn.id

    def __init__(
        self,
        index: int,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        history_snapshot: dspy.History | Snapshot | None = None,
        score: float | None = None,
        *,
        id: str | None = None,
        created_at: datetime.datetime | None = None,
    ) -> None:
        from dspy_session.history import Snapshot

        self._index = index
        self._record = Record(inputs, outputs)
        self._saw = history_snapshot if isinstance(history_snapshot, Snapshot) else Snapshot.of(history_snapshot)
        self.score = score
        self._id = id or None
        self._created = None if created_at is None else created_at.timestamp()
        self._besides = _NOTHING

    @classmethod
    def of(
        cls,
        record: Record,
        index: int,
        saw: Snapshot,
        score: float | None = None,
        id: str | None = None,
        created: float | None = None,
        *,
        besides: Besides = _NOTHING,
    ) -> Turn:
        """The turn around a record that stands already. ``created`` is in seconds since 1970, UTC."""
        turn = cls.__new__(cls)
        turn._index, turn._record, turn._saw, turn.score = index, record, saw, score
        turn._id, turn._created, turn._besides = id, created, besides
        return turn

    @property
    def index(self) -> int:
        """Position in the conversation, from 0."""
        return self._index

    @property
    def id(self) -> str:
        """Durable identity: unique and never used again."""
        if self._id is None:  # made when somebody asks, which for most turns nobody does
            with _naming:
                self._id = self._id or os.urandom(_ID_BYTES).hex()
        return self._id

    @property
    def inputs(self) -> dict[str, Any]:
        """What the call was given, less the history."""
        return self._record.inputs()

    @property
    def outputs(self) -> dict[str, Any]:
        """What the call returned."""
        return self._record.outputs()

    @property
    def history_snapshot(self) -> dspy.History:
        """The history that the call saw, also after the window has moved on."""
        return self._saw.history()

    @property
    def created_at(self) -> datetime.datetime | None:
        """When the turn was recorded, UTC; None if unknown."""
        return None if self._created is None else datetime.datetime.fromtimestamp(self._created, datetime.UTC)

    @property
    def stopped(self) -> str:
        """Why the answer ends before its end (``"stopped"``, ``"interrupted"``, ``"timeout"``); empty when it is whole.

        Such a turn holds what people saw of the answer.
        """
        return self._besides.stopped

    @property
    def feedback(self) -> tuple[Feedback, ...]:
        """What was said of the turn and stands, by whom and when, and signals; oldest first.

        Only a conversation that is kept in a store has it.
        """
        return self._besides.feedback

    @property
    def besides(self) -> Besides:
        """What few turns have, for the package's own use."""
        return self._besides

    @property
    def record(self) -> Record:
        """The values behind this turn, for the package's own use."""
        return self._record

    @property
    def saw(self) -> Snapshot:
        """The compact form of ``history_snapshot``, for the package's own use."""
        return self._saw

    def at(self, index: int) -> Turn:
        """The same turn at another position: same identity, same values."""
        return Turn.of(self._record, index, self._saw, self.score, self.id, self._created, besides=self._besides)

    def copy(self) -> Turn:
        """The same turn with a score of its own."""
        return Turn.of(self._record, self._index, self._saw, self.score, self.id, self._created, besides=self._besides)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Turn):
            return NotImplemented
        return (self.index, self.inputs, self.outputs, self.score, self.history_snapshot) == (
            other.index,
            other.inputs,
            other.outputs,
            other.score,
            other.history_snapshot,
        )

    def __repr__(self) -> str:
        return (
            f"Turn(index={self.index}, inputs={self.inputs!r}, outputs={self.outputs!r}, "
            f"history_snapshot={self.history_snapshot!r}, score={self.score!r})"
        )

    def __copy__(self) -> Turn:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Turn:
        return self.copy()  # the values behind it never change, so copies may share them
