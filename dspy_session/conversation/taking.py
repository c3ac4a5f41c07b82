"""One turn of a conversation, from the request to its commit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dspy
from dspy.utils.usage_tracker import UsageTracker

from dspy_session.conversation.changing import Spans
from dspy_session.conversation.changing import event as change_event
from dspy_session.conversation.holds import Hold
from dspy_session.conversation.journal import Change, answered_by, as_written, call_change, instead_change, note, shared
from dspy_session.conversation.protocols import ConversationEvent, TurnEvent
from dspy_session.conversation.unbroken import unbroken
from dspy_session.errors import SessionError
from dspy_session.record import recorded_inputs, recorded_outputs
from dspy_session.session import Session
from dspy_session.state import Outcome
from dspy_session.stores import Settled
from dspy_session.turn import Besides, Record, Turn

if TYPE_CHECKING:
    from dspy_session.conversation.conversations import Conversations


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A turn to be taken.

    Args:
        key: The conversation.
        inputs: The agent's inputs.
        event_id: The platform's id of the message; the same id twice in a conversation runs once. Empty for none.
        author: The platform's id of who wrote it.
        author_name: The name that people see.
        user: Who wrote it, as ``forget_user`` knows them; ``author`` if empty.
        received: True when the message waits in the store's inbox.
        reply: Makes of the turn's outputs what is to be posted, as JSON text; None when nothing is. The turn is
            committed with it, and waits for it.
        instead_of: The id of the newest turn, when this one is to take its place; empty when it follows it.
        also: Ids of further messages in the inbox that are answered by it.
        answers: Ids of messages that were answered before and are answered by it again.
        with_users: Further users whose words are in it: it is forgotten with any of them.
        words: Where the words of each message stand in the input that holds them, for when one of them is changed.
        session: The agent that answers; that of the conversations if None.
        agent: What that one is called, for those who read the turns later.
        for_good: Whether the turn whose place it takes is deleted, rather than taken back.
    """

    key: str
    inputs: Mapping[str, Any]
    event_id: str = ""
    author: str = ""
    author_name: str = ""
    user: str = ""
    received: bool = False
    reply: Callable[[Mapping[str, Any], Turn | None], Awaitable[str]] | None = None
    instead_of: str = ""
    also: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    with_users: tuple[str, ...] = ()
    words: Spans = field(default_factory=dict)
    session: Session | None = None
    agent: str = ""
    for_good: bool = False


class TakenTurn:
    """A turn that holds its conversation; ``Conversations.turn`` gives one out.

    Raises:
        SessionError: It is to take the place of a turn that is not the newest any more.
    """

    def __init__(self, conversations: Conversations, request: TurnRequest, hold: Hold) -> None:
        self._conversations = conversations
        self._request = request
        self._hold = hold
        self._session = request.session or conversations.session
        self._usage = UsageTracker()
        self._began = 0.0
        self._written = False
        self._state = hold.known.state
        self._replaced: Turn | None = None
        if request.instead_of:
            self._state = hold.known.state.branch()
            self._replaced = self._state.pop()
            if self._replaced is None or self._replaced.id != request.instead_of:
                raise SessionError("another message was answered meanwhile: only the newest answer can be replaced")
        self.committed: Turn | None = None
        """The turn once it is committed; None before, and when the agent's session records nothing."""
        self.reply = ""
        """What is to be posted, once that is committed."""
        self.shown: tuple[str, ...] = ()
        """The platform's ids of the messages that show a part of it, to be written down with it."""
        self.noted: tuple[str, ...] = ()
        """Those that were written down with it, once it is committed."""

    @property
    def usage(self) -> dict[str, dict[str, Any]]:
        """Tokens so far, by model and kind, as DSPy's usage tracker counts them."""
        return {model: dict(counted) for model, counted in self._usage.get_total_tokens().items()}

    async def run(self) -> Any:
        """Run the turn: what the agent returns."""
        session = self._session
        self._began = time.monotonic()
        with dspy.context(usage_tracker=self._usage), session.use_state(self._state, commit=self._commit):
            result = await session.acall(**self._request.inputs)
        await self._settle_unrecorded(result)
        return result

    async def stream(self, field: str | None = None) -> AsyncGenerator[Any, None]:
        """Run the turn and show it while it is made: as ``Session.astream``."""
        session = self._session
        self._began = time.monotonic()
        async with contextlib.aclosing(session.astream(field, **self._request.inputs)) as items:
            # The state is bound while the stream starts, not while it is read: the reader runs in between.
            with dspy.context(usage_tracker=self._usage), session.use_state(self._state, commit=self._commit):
                item = await anext(items)
            yield item
            async for item in items:
                yield item
        await self._settle_unrecorded(item)

    async def stop(self, outputs: Mapping[str, Any], reason: str, *, also: Sequence[str] = ()) -> None:
        """Record the turn as far as people saw it; its run has ended, without a commit.

        Args:
            outputs: What they saw, by field.
            reason: Why there is no more: ``"stopped"``, ``"interrupted"``, ``"timeout"``.
            also: Ids of further messages in the inbox that are done with it, such as the wish to stop.
        """
        session, state = self._session, self._state
        known = session.engine.program.inputs
        record = Record(recorded_inputs(self._request.inputs, known), outputs)
        saw, now = session.engine.saw(state), time.time()
        turn = Turn.of(record, state.next_index, saw, None, None, now, besides=Besides(stopped=reason))
        outcome = Outcome((turn,), max_stored_turns=session.engine.options.max_stored_turns)
        self._request = replace(self._request, also=(*self._request.also, *also))
        await self._commit(outcome)
        if self._hold.restored is not None:
            state.apply(outcome)

    async def fail(self, body: Mapping[str, Any], reply: str = "") -> None:
        """Settle the message without a turn: it cannot be answered.

        Args:
            body: What happened, for the journal: JSON values.
            reply: What is to be posted, as JSON text.
        """
        async with self._hold.writing:
            known, at = self._hold.known, self._conversations.clock()
            change = note("failed", body, known, at, author=self._request.user or self._request.author)
            change = shared(change, known.length, self._request.with_users, at)
            settled = self._settled(reply)
            await self._conversations.write(self._hold, change, (), settled, also=self._request.also)
        self.reply = reply

    async def _commit(self, outcome: Outcome) -> None:
        """Write what the call changes; once this began it is finished, also when the call is cancelled meanwhile."""
        try:
            await unbroken(self._write(outcome))
        except asyncio.CancelledError:
            if self._written:  # the session that is cancelled here does not take the turn into its state any more
                self._hold.restored = None
            raise

    async def _write(self, outcome: Outcome) -> None:
        async with self._hold.writing:
            await self._write_now(outcome)

    async def _write_now(self, outcome: Outcome) -> None:
        conversations, request, hold = self._conversations, self._request, self._hold
        at = conversations.clock()
        turn = outcome.turns[-1] if outcome.turns else None
        told = self._told()
        author = request.user or request.author
        events: list[ConversationEvent] = []
        if self._replaced is None:
            change = call_change(outcome, hold.known, at, author=author, told=told)
        else:
            change = instead_change(outcome, hold.known, self._state, at, author=author, told=told)
            events.append(change_event(hold, "conversation.undone", at, turn_ids=[self._replaced.id]))
        if turn is not None:
            change = shared(change, change.marks["turn:"], request.with_users, at)
        change = answered_by(change, hold.known, request.agent, at)
        told_of_turn = None if turn is None else turn_event(request.key, as_written(turn, at), told, at)
        if told_of_turn is not None:
            events.append(told_of_turn)
        settled, reply = None, ""
        if request.event_id:
            outputs = {} if turn is None else turn.outputs
            reply = "" if request.reply is None else await request.reply(outputs, turn)
            settled = self._settled(reply)
        forgets = hold.known.numbers[-1:] if self._replaced is not None and request.for_good else []
        await conversations.write(
            hold, change, events, settled, also=request.also, cleared=outcome.cleared, forgets=forgets
        )
        if self._replaced is not None:
            hold.restored = None  # its state still holds the turn that was replaced
        self._written, self.reply = True, reply
        self.committed = turn
        if told_of_turn is not None:
            for sink in conversations.telling.listeners:
                await sink.send(told_of_turn)

    async def _settle_unrecorded(self, result: Any) -> None:
        """The agent's session recorded nothing: the message is answered all the same."""
        if self._written or not self._request.event_id:
            return
        of = self._request.reply
        reply = "" if of is None else await of(recorded_outputs(result), None)
        async with self._hold.writing:
            unchanged = Change((), self._hold.known.marks)
            settled = self._settled(reply)
            await self._conversations.write(self._hold, unchanged, (), settled, also=self._request.also)
        self.reply = reply

    def _settled(self, reply: str) -> Settled | None:
        if not self._request.event_id:
            return None
        self.noted = shown = self.shown
        return Settled(self._request.event_id, reply, self._request.received, shown)

    def _told(self) -> dict[str, Any]:
        request, conversations = self._request, self._conversations
        usage = self.usage
        model = next(iter(usage)) if len(usage) == 1 else model_of(self._session)
        told = {
            "author": request.author,
            "name": request.author_name,
            "event": request.event_id,
            "events": list(request.also),
            "again": list(request.answers),
            "words": dict(request.words),
            "model": model,
            "version": conversations.agent_version,
            "agent": request.agent,
            "usage": usage,
            "took": round(time.monotonic() - self._began, 3),
        }
        return {name: value for name, value in told.items() if value}


def turn_event(key: str, turn: Turn, told: Mapping[str, Any], at: float) -> TurnEvent:
    """What sinks are told of a turn; the same again from the journal.

    Args:
        key: The conversation.
        turn: The turn.
        told: What its entry holds besides the turn.
        at: When it was committed, in seconds since 1970, UTC.
    """
    return TurnEvent(
        key=key,
        turn=turn,
        author=told.get("author", ""),
        author_name=told.get("name", ""),
        model=told.get("model", ""),
        occurred_at=datetime.fromtimestamp(at, UTC),
        event_id=told.get("event", ""),
        agent_version=told.get("version", ""),
        agent=told.get("agent", ""),
        usage=told.get("usage", {}),
        seconds=told.get("took", 0.0),
    )


def model_of(session: Session) -> str:
    """The name of the model that the agent uses, as far as it is one."""
    models = {getattr(predictor.lm, "model", None) for predictor in session.predictors()} - {None}
    if len(models) == 1:
        return str(models.pop())
    return str(getattr(dspy.settings.lm, "model", "") or "")
