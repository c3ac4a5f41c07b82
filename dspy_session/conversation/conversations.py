"""Many conversations over one session: one turn at a time in each, in order of arrival, kept in a store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import dspy

from dspy_session.conversation import journal
from dspy_session.conversation.key import ConversationKey
from dspy_session.conversation.protocols import Sink, TurnEvent
from dspy_session.errors import SessionError
from dspy_session.locks import TurnLock
from dspy_session.session import Session
from dspy_session.state import Outcome, SessionState
from dspy_session.stores import ConversationInfo, Entry, Store, store_from_url
from dspy_session.turn import Turn

Key = str | ConversationKey


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A turn to be taken.

    Args:
        key: The conversation.
        inputs: The agent's inputs.
        event_id: The platform's id of the message; the same id twice in a conversation runs once. Empty for none.
        author: The platform's id of who wrote it.
        author_name: The name that people see.
    """

    key: str
    inputs: Mapping[str, Any]
    event_id: str = ""
    author: str = ""
    author_name: str = ""


@dataclass(slots=True)
class _Held:
    """A conversation in memory."""

    lock: TurnLock = field(default_factory=TurnLock)
    users: int = 0
    state: SessionState | None = None
    entries: int = 0
    last_used: float = 0.0


class Conversations:
    """Every conversation of one agent.

    Turns of one conversation run one after the other, in order of arrival; different ones run side by side. A
    conversation is read from the store when it is needed and let go of when it has been idle.

    Args:
        session: The agent; a plain module becomes a session.
        store: A store, or its URL: ``memory://``, ``sqlite:///chat.db``.
        sinks: Told of each committed turn.
        max_loaded: How many conversations stay in memory while nobody uses them.
        idle: Seconds after which an unused one is let go of.
        clock: Seconds since 1970, UTC; for tests.
    """

    def __init__(
        self,
        session: dspy.Module,
        store: str | Store = "memory://",
        *,
        sinks: Sequence[Sink] = (),
        max_loaded: int = 1000,
        idle: float = 600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.session = session if isinstance(session, Session) else Session(session)
        self.store: Store = store_from_url(store) if isinstance(store, str) else store
        self.sinks = tuple(sinks)
        self._max_loaded = max_loaded
        self._idle = idle
        self.clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._opening: asyncio.Lock | None = None
        self._open = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Open the store; the first call of anything else does it too.

        Raises:
            StoreError: The store cannot be opened.
        """
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if not self._open:
                await self.store.open()
                self._open = True

    async def aclose(self) -> None:
        """Close the store; sinks belong to whoever made them."""
        self._held.clear()
        await self.store.aclose()

    # --- turns ----------------------------------------------------------------------------------------------------

    async def acall(self, key: Key, /, **inputs: Any) -> Any:
        """One turn in a conversation: what the agent returns."""
        async with self.turn(TurnRequest(str(key), inputs)) as turn:
            assert turn is not None  # only an event that ran before gives None
            return await turn.run()

    async def astream(self, key: Key, /, field: str | None = None, **inputs: Any) -> AsyncGenerator[Any, None]:
        """One turn, shown while it is made: as ``Session.astream``."""
        async with self.turn(TurnRequest(str(key), inputs)) as turn:
            assert turn is not None
            async with contextlib.aclosing(turn.stream(field)) as items:
                async for item in items:
                    yield item

    @contextlib.asynccontextmanager
    async def turn(self, request: TurnRequest) -> AsyncIterator[TakenTurn | None]:
        """Hold a conversation for one turn: nobody else's turn in it starts before the block ends.

        Whoever enters first goes first, so a caller must not wait for anything else between a message's arrival and
        this block.

        Yields:
            The turn, to be run once; None when its event ran before.
        """
        async with self._holding(request.key) as held:
            if request.event_id and await self.store.has_event(request.key, request.event_id):
                yield None
                return
            assert held.state is not None
            yield TakenTurn(self, request, held, held.state)

    # --- states ---------------------------------------------------------------------------------------------------

    async def state(self, key: Key) -> SessionState:
        """What a conversation remembers: a copy that nothing else changes."""
        async with self._holding(str(key)) as held:
            assert held.state is not None
            return held.state.fork()

    async def reset(self, key: Key) -> None:
        """Start a conversation again; what was said before is no longer remembered."""
        async with self._holding(str(key)) as held:
            await self._write(str(key), held, journal.reset_entry(self.clock()))

    async def undo(self, key: Key, steps: int = 1) -> list[Turn]:
        """Take the newest turns back and return them, newest first."""
        if steps < 0:
            raise ValueError(f"steps must not be negative; got {steps}")
        async with self._holding(str(key)) as held:
            assert held.state is not None
            removed = list(reversed(held.state.turns))[:steps]
            if removed:
                await self._write(str(key), held, journal.undo_entry(len(removed), self.clock()))
            return removed

    async def fork(self, key: Key, new_key: Key) -> None:
        """Let a new conversation start from where another one is.

        Raises:
            SessionError: The new conversation exists already.
        """
        if str(key) == str(new_key):
            raise SessionError(f"the conversation {str(key)!r} cannot be forked into itself")
        async with self._holding(str(key)):
            await self.store.copy(str(key), str(new_key))
            known = self._held.get(str(new_key))
            if known is not None:
                known.state = None

    async def list(self) -> Sequence[ConversationInfo]:
        """Every conversation, the one with the newest turn first."""
        await self.open()
        return await self.store.list()

    @contextlib.asynccontextmanager
    async def _holding(self, key: str) -> AsyncIterator[_Held]:
        """Hold a conversation: in memory, and nobody else's until the block ends."""
        held = self._held.setdefault(key, _Held())
        held.users += 1
        try:
            async with held.lock.ahold():
                await self.open()
                if held.state is None:
                    entries = await self.store.read(key)
                    held.state = journal.replay(entries, f"conversation {key!r}")
                    held.entries = len(entries)
                    if not entries:
                        held.state.initial_history = self.session.initial_history
                try:
                    yield held
                except BaseException:
                    held.state = None  # whether the store has the last entry is not known here: read it again
                    raise
        finally:
            held.users -= 1
            held.last_used = self.clock()
            self._held.move_to_end(key)
            self._let_go()

    def _let_go(self) -> None:
        """Drop what is idle, and the longest idle beyond what may stay."""
        now = self.clock()
        surplus = len(self._held) - self._max_loaded
        for key, held in list(self._held.items()):
            if surplus <= 0 and now - held.last_used < self._idle:
                break
            if held.users == 0:
                del self._held[key]
                surplus -= 1

    async def _write(self, key: str, held: _Held, entry: Entry) -> None:
        assert held.state is not None
        await self.store.append(key, entry, held.entries)
        held.entries += 1
        journal.apply_entry(held.state, entry)


class TakenTurn:
    """A turn that holds its conversation; ``Conversations.turn`` gives one out."""

    def __init__(self, conversations: Conversations, request: TurnRequest, held: _Held, state: SessionState) -> None:
        self._conversations = conversations
        self._request = request
        self._held = held
        self._state = state
        self.committed: Turn | None = None
        """The turn once it is committed; None before, and when the agent's session records nothing."""

    async def run(self) -> Any:
        """Run the turn: what the agent returns."""
        session = self._conversations.session
        with session.use_state(self._state, commit=self._commit):
            return await session.acall(**self._request.inputs)

    async def stream(self, field: str | None = None) -> AsyncGenerator[Any, None]:
        """Run the turn and show it while it is made: as ``Session.astream``."""
        session = self._conversations.session
        async with contextlib.aclosing(session.astream(field, **self._request.inputs)) as items:
            # The state is bound while the stream starts, not while it is read: the reader runs in between.
            with session.use_state(self._state, commit=self._commit):
                item = await anext(items)
            yield item
            async for item in items:
                yield item

    async def _commit(self, outcome: Outcome) -> None:
        """Write what the call changes; once this began it is finished, also when the call is cancelled meanwhile."""
        writing = asyncio.ensure_future(self._write(outcome))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            raise

    async def _write(self, outcome: Outcome) -> None:
        conversations, request, held = self._conversations, self._request, self._held
        if held.entries == 0 and not outcome.new_seed and self._state.seed is not None:
            outcome = outcome._replace(new_seed=True, seed=self._state.initial_history)
        at = conversations.clock()
        entry = journal.call_entry(outcome, self._state, request.event_id, at)
        await conversations.store.append(request.key, entry, held.entries)
        held.entries += 1
        self.committed = outcome.turns[-1] if outcome.turns else None
        if self.committed is None:
            return
        event = TurnEvent(
            key=request.key,
            turn=self.committed,
            author=request.author,
            author_name=request.author_name,
            model=_model(conversations.session),
            occurred_at=datetime.fromtimestamp(at, UTC),
        )
        for sink in conversations.sinks:
            await sink.send(event)


def _model(session: Session) -> str:
    """The name of the model that the agent uses, as far as it is one."""
    models = {getattr(predictor.lm, "model", None) for predictor in session.predictors()} - {None}
    if len(models) == 1:
        return str(models.pop())
    return str(getattr(dspy.settings.lm, "model", "") or "")
