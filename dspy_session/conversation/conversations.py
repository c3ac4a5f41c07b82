"""Many conversations over one session: one turn at a time in each, in order of arrival, kept in a store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self

import dspy

from dspy_session.conversation import journal, restoring
from dspy_session.conversation.changing import Changing, event
from dspy_session.conversation.deleting import brought_about
from dspy_session.conversation.holds import LEASE_SECONDS, Hold, Holds
from dspy_session.conversation.journal import Change
from dspy_session.conversation.key import ConversationKey
from dspy_session.conversation.patience import commit_patiently
from dspy_session.conversation.protocols import ChangeEvent, ConversationEvent, DurableSink, Sink
from dspy_session.conversation.reading import restored
from dspy_session.conversation.taking import TakenTurn, TurnRequest
from dspy_session.conversation.telling import Telling
from dspy_session.conversation.window import window_of
from dspy_session.errors import ConfigurationError, SessionError, StaleJournalError
from dspy_session.feedback import Signal
from dspy_session.session import Session
from dspy_session.state import SessionState
from dspy_session.stores import (
    Commit,
    ConversationInfo,
    Entry,
    Forget,
    Inbox,
    SealingKey,
    Settled,
    Store,
    store_from_url,
)
from dspy_session.stores.marking import refuse_without_keys
from dspy_session.turn import Turn

logger = logging.getLogger(__name__)

Key = str | ConversationKey


class Conversations:
    """Every conversation of one agent.

    Turns of one conversation run one after the other, in order of arrival; different ones run side by side. A
    conversation is read from the store when it is needed, no further back than the agent's window, and let go of when
    it has been idle. Nothing that happened is overwritten: what was taken back, scored or edited stays in the store,
    until it is forgotten or its message deleted.

    Args:
        session: The agent; a plain module becomes a session.
        store: A store, or its URL: ``memory://``, ``sqlite:///chat.db``, ``postgresql://…``.
        keys: Keys to encrypt what is said with, for a store that is given by its URL: ``"id:base64"`` as
            ``SealingKey.generate().reveal()`` makes one. The first one encrypts, all of them decrypt.
        sinks: Told of each committed turn; a ``DurableSink`` of every change, whatever happens to the process.
        agent_version: Which version of the agent this is, for those who read the turns later.
        max_loaded: How many conversations stay in memory while nobody uses them.
        idle: Seconds after which an unused one is let go of.
        lease_seconds: How long a process that dies keeps others from its conversations, where several share a store.
        clock: Seconds since 1970, UTC; for tests.
    """

    def __init__(
        self,
        session: dspy.Module,
        store: str | Store = "memory://",
        *,
        keys: str | SealingKey | Sequence[str | SealingKey] | None = None,
        sinks: Sequence[Sink | DurableSink] = (),
        agent_version: str = "",
        max_loaded: int = 1000,
        idle: float = 600.0,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.session = session if isinstance(session, Session) else Session(session)
        if keys is not None and not isinstance(store, str):
            raise ConfigurationError("keys go with a store's URL: wrap a store of your own in SealedStore(store, keys)")
        self.store: Store = store_from_url(store, keys) if isinstance(store, str) else store
        self.agent_version = agent_version
        self.clock = clock
        self.telling = Telling(self.store, sinks)
        self.holds = Holds(
            self.store,
            seed=lambda: self.session.initial_history,
            window=lambda: window_of(self.session),
            max_loaded=max_loaded,
            idle=idle,
            lease_seconds=lease_seconds,
            clock=clock,
        )
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
            ConfigurationError: It is encrypted and its keys were not given, or the other way round.
        """
        if self._open:
            return
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._open:
                return
            await self.store.open()
            try:
                await refuse_without_keys(self.store)
            except BaseException:
                await self.store.aclose()
                raise
            await self.telling.open()
            self._open = True

    async def aclose(self, grace: float = 5.0) -> None:
        """Close the store, after what is due was delivered for at most ``grace`` seconds.

        Sinks that are no durable ones belong to whoever made them.
        """
        await self.telling.aclose(grace)
        await self.holds.aclose()
        await self.store.aclose()
        self._open = False

    # --- turns --------------------------------------------------------------------------------------------------------

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
        await self.open()
        async with self.holds.hold(request.key) as hold:
            if request.event_id and not request.received and await self._knows(hold.key, request.event_id):
                yield None
                return
            yield await self.taken(hold, request)

    async def taken(self, hold: Hold, request: TurnRequest) -> TakenTurn:
        """A turn for whoever holds its conversation already.

        Raises:
            SessionError: It is to take the place of a turn that is not the newest any more.
        """
        session = request.session or self.session
        if request.instead_of or session is not self.session:
            window = window_of(session)
            depth = hold.known.length if window is None else window + 1  # a history may end one turn earlier
            await self.holds.ready(hold, depth)
        state = hold.known.state
        if not hold.known.length and state.initial_history == self.session.initial_history:
            state.initial_history = session.initial_history
        return TakenTurn(self, request, hold)

    # --- states -------------------------------------------------------------------------------------------------------

    async def state(self, key: Key) -> SessionState:
        """All that a conversation remembers: a copy that nothing else changes.

        While a turn runs in it, here, what stood before that turn: nobody who looks has to wait for a model.
        """
        await self.open()
        if self.holds.is_busy(str(key)):
            return (await self.holds.read(str(key))).state
        async with self.holds.hold(str(key)) as hold:
            known = hold.known
            if known.beyond is not None:
                known = await restored(self.store, str(key))
            return known.state.fork()

    async def past_turns(self, key: Key) -> list[Turn]:
        """Every turn that was ever recorded, also those that were taken back, each with the history that it saw."""
        await self.open()
        entries = [entry async for entry in self.store.entries(str(key))]
        return restoring.past_turns(entries, f"conversation {str(key)!r}")

    async def reset(self, key: Key) -> None:
        """Start a conversation again; what was said before is no longer remembered."""
        await self.open()
        async with self.holds.hold(str(key)) as hold:
            await Changing(self, hold).reset()

    async def undo(self, key: Key, steps: int = 1) -> list[Turn]:
        """Take the newest turns back and return them, newest first."""
        if steps < 0:
            raise ValueError(f"steps must not be negative; got {steps}")
        await self.open()
        async with self.holds.hold(str(key), depth=steps) as hold:
            return await Changing(self, hold).undo(steps)

    async def score(
        self, key: Key, turn_id: str, score: float | None, *, by: str = "", text: str = "", source: str = ""
    ) -> None:
        """Say what a turn is worth; what was said of it before stays in the store.

        Each of those who say something has one say, the last; the turn's score is the mean of them.

        Args:
            key: The conversation.
            turn_id: The turn.
            score: What it is worth; None takes back what they said, or with nobody named what everybody said.
            by: Who says so: the platform's id of a user, or the name of a metric.
            text: Their words about it.
            source: How it was said: ``"reaction"``, ``"button"``, ``"metric"``.

        Raises:
            SessionError: The conversation has no such turn.
        """
        await self.open()
        async with self.holds.hold(str(key)) as hold:
            await Changing(self, hold).score(turn_id, score, by=by, text=text, source=source)

    async def signal(self, key: Key, turn_id: str, signal: Signal, *, by: str = "") -> None:
        """Keep what somebody did with a turn instead of scoring it.

        Args:
            key: The conversation.
            turn_id: The turn.
            signal: What they did.
            by: Who: the platform's id of a user.

        Raises:
            SessionError: The conversation has no such turn.
        """
        await self.open()
        async with self.holds.hold(str(key)) as hold:
            await Changing(self, hold).signal(turn_id, signal, by=by)

    async def edit(
        self,
        key: Key,
        turn_id: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what a turn says from now on; what turns after it saw stays as it was.

        Args:
            key: The conversation.
            turn_id: The turn.
            inputs: Its new inputs; None to keep them.
            outputs: Its new outputs; None to keep them.

        Raises:
            SessionError: The conversation has no such turn.
        """
        await self.open()
        async with self.holds.hold(str(key)) as hold:
            await Changing(self, hold).edit(turn_id, inputs, outputs)

    async def fork(self, key: Key, new_key: Key) -> None:
        """Let a new conversation start from where another one is.

        Raises:
            SessionError: The new conversation exists already.
        """
        await self.open()
        async with self.holds.hold(str(key)) as source:
            await self.fork_held(source, new_key)

    async def fork_held(self, source: Hold, new_key: Key) -> None:
        """Let a new conversation start from where one is that is held already.

        Raises:
            SessionError: The new conversation exists already.
        """
        if source.key == str(new_key):
            raise SessionError(f"the conversation {source.key!r} cannot be forked into itself")
        entries = [entry async for entry in self.store.entries(source.key)]
        if not entries:
            return
        async with self.holds.hold(str(new_key)) as hold:
            if hold.known.length:
                raise StaleJournalError(f"the conversation {str(new_key)!r} exists already")
            at = self.clock()
            hold.known.state.initial_history = None  # it begins as the other one did
            forked = journal.note("forked", {"from": source.key}, hold.known, at).entries
            told = event(hold, "conversation.forked", at, from_key=source.key)
            await self.write(hold, Change((*entries, *forked), source.known.marks), [told])
            hold.restored = None

    async def list(self, prefix: str = "") -> Sequence[ConversationInfo]:
        """The conversations whose keys begin with ``prefix``, the one with the newest entry first."""
        await self.open()
        return await self.store.list(prefix)

    # --- forgetting ---------------------------------------------------------------------------------------------------

    async def forget(self, key: Key) -> None:
        """Delete a conversation for good, from every table; a turn under way in it leaves nothing either."""
        await self.open()
        at = self.clock()
        told = ChangeEvent(
            "conversation.deleted", str(key), f"conversation.deleted:{key}:{at}", datetime.fromtimestamp(at, UTC)
        )
        await self.store.forget(Forget(key=str(key), deliveries=self.telling.deliveries(told)))
        self.holds.forget(str(key))
        self.telling.wake()

    async def forget_message(self, key: Key, event_id: str) -> bool:
        """Delete what a message brought about in a conversation; False when there is nothing of it.

        A turn that answered other messages too stays, unless it was taken back or has failed.
        """
        await self.open()
        going, _ = await brought_about(self.store, str(key), event_id)
        if not going or not await self.store.forget(Forget(key=str(key), numbers=going)):
            return False
        self.holds.forget(str(key))
        return True

    async def forget_user(self, user: str) -> int:
        """Delete what a user wrote and what it brought about, in every conversation; how many those were.

        Raises:
            ValueError: ``user`` is empty: that is what stands where nobody is known.
        """
        if not user:
            raise ValueError("user must not be empty")
        await self.open()
        changed = await self.store.forget(Forget(author=user))
        self.holds.forget()
        return changed

    async def forget_before(self, at: float) -> int:
        """Delete what was written before ``at``, in seconds since 1970, UTC; how many conversations that changed."""
        await self.open()
        changed = await self.store.forget(Forget(before=at))
        self.holds.forget()
        return changed

    # --- for the turns and the runtime --------------------------------------------------------------------------------

    def changing(self, hold: Hold, settled: Settled | None = None, also: Sequence[str] = ()) -> Changing:
        """A conversation that is held, to be changed, with the message that is answered by the change."""
        return Changing(self, hold, settled, tuple(also))

    async def write(
        self,
        hold: Hold,
        change: Change,
        events: Sequence[ConversationEvent] = (),
        settled: Settled | None = None,
        *,
        also: Sequence[str] = (),
        cleared: bool = False,
        forgets: Sequence[int] = (),
        rewrites: Mapping[int, Entry] = MappingProxyType({}),
    ) -> None:
        """Write a change of a conversation that is held, with what sinks are to be told of it.

        Raises:
            StaleJournalError: Somebody else wrote meanwhile; nothing was written.
            StoreError: The store cannot write.
        """
        change = journal.seeded(change, hold.known, self.clock())
        commit = Commit(
            key=hold.key,
            expected=hold.known.length,
            entries=change.entries,
            marks=change.marks,
            lease=hold.lease,
            settled=settled,
            also=also,
            deliveries=[delivery for event in events for delivery in self.telling.deliveries(event)],
            forgets=forgets,
            rewrites=rewrites,
        )
        await commit_patiently(self.store, commit, lambda: self.holds.is_ours(hold))
        hold.known.grow(change.entries, change.marks, cleared=cleared)
        if commit.deliveries:
            self.telling.wake()

    async def _knows(self, key: str, event_id: str) -> bool:
        return isinstance(self.store, Inbox) and await self.store.knows(key, event_id)
