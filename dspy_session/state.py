"""The memory of one conversation, apart from any session: make one a user, keep it where you like."""

# ruff: noqa: SLF001  # a state makes states: it sets what is private to them

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import dspy

from dspy_session.history import Snapshot, View, seed_records, whole_message
from dspy_session.locks import TurnLock
from dspy_session.turn import Record, Turn

SeenThrough: TypeAlias = "tuple[object, object, View]"
"""A view on turns and what it depends on, an ``Options`` and a ``Program``; for the package's own use."""


class Outcome(NamedTuple):
    """Everything that one successful call changes in a state; applying it to the same state gives the same result.

    Args:
        turns: The turns to append, in order: those of calls from inside the turn, then the turn itself.
        cleared: The turns that stood before are gone.
        new_seed: Replace the seed history by ``seed``.
        seed: The new seed history.
        l2_memory: The new long-term memory; None to keep it.
        nodes: What changes in the children's states, by dotted path.
        max_stored_turns: How many turns are kept; None for all.
    """

    turns: tuple[Turn, ...] = ()
    cleared: bool = False
    new_seed: bool = False
    seed: dspy.History | None = None
    l2_memory: str | None = None
    nodes: Mapping[str, Outcome] = MappingProxyType({})
    max_stored_turns: int | None = None

    @property
    def empty(self) -> bool:
        """True when nothing changes."""
        changes = (self.turns, self.cleared, self.new_seed, self.l2_memory is not None)
        return not any(changes) and all(node.empty for node in self.nodes.values())

    def then(self, later: Outcome) -> Outcome:
        """What this and ``later``, one after the other, change together."""
        nodes = {**self.nodes, **later.nodes}
        for path in self.nodes.keys() & later.nodes.keys():
            nodes[path] = self.nodes[path].then(later.nodes[path])
        return Outcome(
            turns=later.turns if later.cleared else (*self.turns, *later.turns),
            cleared=self.cleared or later.cleared,
            new_seed=self.new_seed or later.new_seed,
            seed=later.seed if later.new_seed else self.seed,
            l2_memory=self.l2_memory if later.l2_memory is None else later.l2_memory,
            nodes=nodes,
            max_stored_turns=self.max_stored_turns if later.max_stored_turns is None else later.max_stored_turns,
        )


class SessionState:
    """What a conversation remembers: its turns, what came before them, and each child's own state.

    ``len(state)`` is the number of turns.

    Args:
        turns: Turns to start with.
        initial_history: Seed history: messages that come before every turn.
        l2_memory: Long-term memory, a text that consolidators write.
        node_states: States of the children, by dotted path.
    """

    def __init__(
        self,
        turns: Iterable[Turn] = (),
        initial_history: dspy.History | None = None,
        l2_memory: str = "",
        node_states: Mapping[str, SessionState] | None = None,
    ) -> None:
        self.l2_memory = l2_memory
        self.node_states: dict[str, SessionState] = dict(node_states or {})
        self.lock = TurnLock()
        self.seen_through: SeenThrough | None = None
        self._guard = threading.Lock()
        self.seed: tuple[Record, ...] | None = None if initial_history is None else seed_records(initial_history)
        """The seed messages as records, for the package's own use; None if there is no seed."""
        self._turns = list(turns)
        self._log: list[Record] = [turn.record for turn in self._turns]
        self._head = len(self._log)
        self._first_index = 0

    @property
    def turns(self) -> list[Turn]:
        """The turns that are kept, oldest first; a new list each time."""
        return list(self._turns)

    @property
    def initial_history(self) -> dspy.History | None:
        """The seed history, a copy; None if there is none."""
        if self.seed is None:
            return None
        return dspy.History.model_construct(messages=[whole_message(record) for record in self.seed])

    @initial_history.setter
    def initial_history(self, history: dspy.History | None) -> None:
        self.seed = None if history is None else seed_records(history)

    @property
    def next_index(self) -> int:
        """The index of the turn that comes next."""
        return self._turns[-1].index + 1 if self._turns else self._first_index

    @next_index.setter
    def next_index(self, index: int) -> None:
        if not self._turns:
            self._first_index = index

    def __len__(self) -> int:
        return len(self._turns)

    def __bool__(self) -> bool:
        return True  # a conversation without turns is a conversation

    def __iter__(self) -> Iterator[Turn]:
        return iter(list(self._turns))

    def __repr__(self) -> str:
        return f"SessionState(turns={len(self)}, nodes={sorted(self.node_states)})"

    def saw(self, window: int | None, view: View) -> Snapshot:
        """The history that a call sees now, under ``view`` and cut to its last ``window`` messages."""
        with self._guard:
            # Not up to the end of the log, which after an undo or a fork goes on with turns that are not ours.
            return Snapshot.last(window, view, self._log, self._head - len(self._turns), self._head)

    def append(self, turn: Turn, max_stored_turns: int | None = None) -> Turn:
        """Add a turn; drop the oldest beyond ``max_stored_turns``.

        Returns:
            The turn as it stands: at the next position, where another call has taken its own meanwhile.
        """
        with self._guard:
            if turn.index < (next_index := self.next_index):
                turn = turn.at(next_index)
            # After an undo or a fork the log goes on with turns that are not ours; after much trimming it is mostly
            # past: see to it that it ends with this state's own and holds little else.
            if self._head != len(self._log) or self._head > 2 * len(self._turns) + 64:
                self._log = self._log[self._head - len(self._turns) : self._head]
                self._head = len(self._log)
            self._turns.append(turn)
            self._log.append(turn.record)
            self._head += 1
            if max_stored_turns is not None and (surplus := len(self._turns) - max_stored_turns) > 0:
                self._first_index = self._turns[surplus - 1].index + 1
                del self._turns[:surplus]
            return turn

    def pop(self) -> Turn | None:
        """Remove and return the newest turn; None if there is none."""
        with self._guard:
            if not self._turns:
                return None
            turn = self._turns.pop()
            self._head -= 1
            if not self._turns:
                self._first_index = turn.index
            return turn

    def clear(self) -> None:
        """Remove every turn; the seed history and the long-term memory stay."""
        with self._guard:
            self._turns = []
            self._log = []
            self._head = 0
            self._first_index = 0

    def reset(self) -> None:
        """Remove every turn, of the children too."""
        self.clear()
        for node in self.node_states.values():
            node.reset()

    def apply(self, outcome: Outcome) -> tuple[Turn, ...]:
        """Make the changes of one call, all at once.

        Returns:
            The new turns as they stand.
        """
        if outcome.new_seed:
            self.initial_history = outcome.seed
        if outcome.cleared:
            self.clear()
        turns = tuple([self.append(turn, outcome.max_stored_turns) for turn in outcome.turns])
        if outcome.l2_memory is not None:
            self.l2_memory = outcome.l2_memory
        for path, node in outcome.nodes.items():
            if not node.empty:
                self.node_states.setdefault(path, SessionState()).apply(node)
        return turns

    def restore(self, before: SessionState) -> None:
        """Become what ``before``, a branch of this state, is."""
        with self._guard:
            self.seed = before.seed
            self._turns = before._turns
            self._log, self._head, self._first_index = before._log, before._head, before._first_index
            self.l2_memory = before.l2_memory
            nodes = self.node_states
            self.node_states = {path: nodes.get(path, node) for path, node in before.node_states.items()}
        for path, node in self.node_states.items():
            if node is not before.node_states[path]:  # whoever holds a child's state goes on holding it
                node.restore(before.node_states[path])

    def fork(self) -> SessionState:
        """An independent state that starts from here."""
        twin = self.branch()
        twin._turns = [turn.copy() for turn in twin._turns]
        twin.node_states = {path: node.fork() for path, node in twin.node_states.items()}
        return twin

    def branch(self) -> SessionState:
        """A fork that holds the very same turns, scores included: for the time of one call."""
        with self._guard:
            twin = SessionState.__new__(SessionState)
            twin.l2_memory = self.l2_memory
            twin.node_states = {path: node.branch() for path, node in self.node_states.items()}
            twin.lock = TurnLock()
            twin.seen_through = self.seen_through
            twin._guard = self._guard  # the two share a log: only one at a time may find that it ends with its own
            twin.seed = self.seed
            twin._turns = list(self._turns)
            twin._log, twin._head = self._log, self._head  # shared until one of the two goes its own way
            twin._first_index = self._first_index
            return twin

    def to_dict(self) -> dict[str, Any]:
        """This state as JSON values, read back by ``from_dict``.

        Raises:
            UnsupportedValueError: A value cannot be written and read back equal; the message names its field.
        """
        from dspy_session.files import state_to_dict

        return state_to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SessionState:
        """The state that ``to_dict`` wrote.

        Raises:
            ValueError: The version is unknown, or the data is damaged.
        """
        from dspy_session.files import state_from_dict

        return state_from_dict(data)

    def save(self, path: str | PathLike[str]) -> None:
        """Write this state to a JSON file, whole or not at all."""
        from dspy_session.files import write_json

        write_json(path, self.to_dict())

    @classmethod
    def load_from(cls, path: str | PathLike[str]) -> SessionState:
        """Read a state from a JSON file.

        Raises:
            StateFileError: The file is damaged; the message names it and what is wrong.
        """
        from dspy_session.files import read_json, state_from_dict

        return state_from_dict(read_json(path), source=str(path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SessionState):
            return NotImplemented
        return (self._turns, self.initial_history, self.l2_memory, self.node_states) == (
            other._turns,
            other.initial_history,
            other.l2_memory,
            other.node_states,
        )

    __hash__ = object.__hash__

    def __copy__(self) -> SessionState:
        return self.fork()

    def __deepcopy__(self, memo: dict[int, Any]) -> SessionState:
        return self.fork()
