"""Changes of a conversation that is held already: taken back, started anew, scored, edited, noted.

``Conversations`` holds the conversation for its callers and asks this; who works on a message holds it for that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from dspy_session.conversation import journal
from dspy_session.conversation.deleting import brought_about, inside
from dspy_session.conversation.entries import messages_in
from dspy_session.conversation.holds import Hold
from dspy_session.conversation.protocols import Change as ChangeType
from dspy_session.conversation.protocols import ChangeEvent
from dspy_session.conversation.reading import restored
from dspy_session.conversation.restoring import Restored
from dspy_session.errors import SessionError
from dspy_session.feedback import Signal
from dspy_session.stores import SHARED, Entry, Settled
from dspy_session.turn import Turn

if TYPE_CHECKING:
    from dspy_session.conversation.conversations import Conversations


Spans: TypeAlias = Mapping[str, Sequence[int]]
"""Where words stand in a text, by the id of the message that they are of: the first character, and the one after."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a turn besides what it says.

    Args:
        messages: The ids of the messages that it answered, sorted.
        users: Whose words it answered, as ``forget_user`` knows them; the first is its author, empty when unknown.
        words: Where the words of each message stand in its inputs; nothing where that is not known.
    """

    messages: tuple[str, ...]
    users: tuple[str, ...]
    words: Spans


@dataclass(frozen=True, slots=True)
class Changing:
    """A conversation that is held, to be changed.

    After a change that is no turn it is read anew when somebody needs it.

    Args:
        conversations: Where it is kept.
        hold: The conversation.
        settled: The message that is answered by the change; None for none.
        also: Ids of further messages in the inbox that are done with it.
    """

    conversations: Conversations
    hold: Hold
    settled: Settled | None = None
    also: tuple[str, ...] = ()

    async def reset(self) -> None:
        """Start it again."""
        at = self.conversations.clock()
        change = journal.reset_change(self.hold.known, at)
        await self._write(change, event(self.hold, "conversation.reset", at))

    async def undo(self, steps: int, *, forgets: Sequence[int] = ()) -> list[Turn]:
        """Take the newest turns back, all of which were read, and return them, newest first.

        Args:
            steps: How many.
            forgets: The numbers of entries that are deleted with that for good.
        """
        removed = list(reversed(self.hold.known.state.turns))[:steps]
        if removed:
            at = self.conversations.clock()
            ids = [turn.id for turn in removed]
            change = journal.undo_change(self.hold.known, len(removed), at)
            await self._write(change, event(self.hold, "conversation.undone", at, turn_ids=ids), forgets=forgets)
        return removed

    async def delete(self, message_id: str) -> None:
        """Delete for good what stands of a message that has no answer, and the newest turn if it has answered that."""
        known = self.hold.known
        going, entries = await brought_about(self.conversations.store, self.hold.key, message_id)
        newest = known.numbers[-1] if known.numbers else None
        if newest is not None and message_id in messages_in(entries[newest]):
            await self.undo(1, forgets=sorted({*going, newest, *inside(entries, newest)}))
            return
        if not going:
            await self.settle()
            return
        change = journal.note("deleted", {}, known, self.conversations.clock())
        await self._write(change, forgets=going)

    async def score(self, turn_id: str, score: float | None, *, by: str, text: str, source: str) -> None:
        """Say what a turn is worth."""
        number, _ = await self.find(turn_id)
        at = self.conversations.clock()
        body = journal.score_note(score, by, text, source)
        change = journal.note("score", body, self.hold.known, at, about=number, author=by)
        await self._write(change, event(self.hold, "turn.scored", at, turn_id=turn_id, **body))

    async def signal(self, turn_id: str, signal: Signal, *, by: str) -> None:
        """Keep what somebody did with a turn instead of scoring it."""
        number, _ = await self.find(turn_id)
        body = journal.signal_note(signal, by)
        change = journal.note("signal", body, self.hold.known, self.conversations.clock(), about=number, author=by)
        await self._write(change)

    async def edit(
        self,
        turn_id: str,
        inputs: Mapping[str, Any] | None,
        outputs: Mapping[str, Any] | None,
        words: Spans | None = None,
        *,
        deleted: str = "",
    ) -> None:
        """Change what a turn says from now on.

        Args:
            turn_id: The turn.
            inputs: Its inputs; as they are if None.
            outputs: Its outputs, likewise.
            words: Where each message's words stand in these inputs, as far as it is known.
            deleted: The id of a message whose words are in these inputs no more: nothing keeps what was said before.
        """
        number, turn = await self.find(turn_id)
        if words is None and inputs is None:
            words = (await self.told_of(turn_id)).words
        at = self.conversations.clock()
        edited = journal.edited(turn, inputs, outputs)
        body = journal.edit_note(edited)
        if words:
            body["words"] = words
        if deleted:
            body["deleted"] = True  # what the turn said before is not there any more to be compared
        change = journal.note("edit", body, self.hold.known, at, about=number)
        told = event(self.hold, "turn.edited", at, turn_id=turn_id, inputs=edited.inputs, outputs=edited.outputs)
        if not deleted:
            await self._write(change, told)
            return
        going, entries = await brought_about(self.conversations.store, self.hold.key, deleted)
        before = (each for each, entry in entries.items() if entry.about == number and entry.kind == "edit")
        forgets = {*going, *before, *inside(entries, number)} - {number}
        rewrites = {number: journal.rewritten(entries[number], edited, words)}
        await self._write(change, told, forgets=sorted(forgets), rewrites=rewrites)

    async def set_aside(self) -> None:
        """Note that people talk to one another now; the next turn takes that back."""
        if not self.is_aside:
            known = self.hold.known
            entry = journal.note("aside", {}, known, self.conversations.clock()).entries
            await self._write(journal.Change(entry, {**known.marks, journal.ASIDE: known.length}))

    @property
    def is_aside(self) -> bool:
        """True while people talk to one another."""
        return journal.ASIDE in self.hold.known.marks

    async def settle(self) -> None:
        """Settle the message without changing anything."""
        await self._write(journal.Change((), self.hold.known.marks))

    async def find(self, turn_id: str) -> tuple[int, Turn]:
        """A turn that stands, and the number of its entry.

        Raises:
            SessionError: There is none.
        """
        known = self.hold.known
        for everywhere in (False, True):
            if everywhere:
                if known.beyond is None:
                    break
                known = await restored(self.conversations.store, self.hold.key)
            for number, turn in zip(known.numbers, known.state.turns, strict=True):
                if turn.id == turn_id:
                    return number, turn
        raise SessionError(f"the conversation {self.hold.key!r} has no turn {turn_id!r}, or it was taken back")

    async def turn_of(self, event_id: str) -> Turn | None:
        """The turn that answered a message and stands; None when there is none. Mostly it is one of the newest."""
        known, store = self.hold.known, self.conversations.store
        entries = (await store.read(self.hold.key, len(known.numbers) or 1)).entries
        found = _answered(event_id, known, entries)
        if found is None and known.beyond is not None:
            known = await restored(store, self.hold.key)
            found = _answered(event_id, known, (await store.read(self.hold.key)).entries)
        return found

    async def told_of(self, turn_id: str) -> Told:
        """What is known of a turn besides what it says.

        Raises:
            SessionError: There is no such turn.
        """
        wanted, _ = await self.find(turn_id)
        store, depth = self.conversations.store, len(self.hold.known.numbers) or 1
        entries = (await store.read(self.hold.key, depth)).entries
        if wanted not in entries:
            entries = (await store.read(self.hold.key)).entries
        own, others = entries[wanted], []
        words: Spans = json.loads(own.body).get("told", {}).get("words", {})
        for _, entry in sorted(entries.items()):
            if entry.about == wanted and entry.kind == SHARED:
                others.append(entry.author)
            elif entry.about == wanted and entry.kind == "edit":
                words = json.loads(entry.body).get("words", {})
        return Told(tuple(sorted(messages_in(own))), (own.author, *others), words)

    async def _write(
        self,
        change: journal.Change,
        *events: ChangeEvent,
        forgets: Sequence[int] = (),
        rewrites: Mapping[int, Entry] = MappingProxyType({}),
    ) -> None:
        await self.conversations.write(
            self.hold, change, events, self.settled, also=self.also, forgets=forgets, rewrites=rewrites
        )
        if change.entries:
            self.hold.restored = None


def event(hold: Hold, kind: ChangeType, at: float, **details: Any) -> ChangeEvent:
    """What is told of a change that begins at the end of a journal."""
    # The journal's length names the change: no other change of the conversation ever has it.
    identity = f"{kind}:{hold.key}:{hold.known.length}"
    return ChangeEvent(kind, hold.key, identity, datetime.fromtimestamp(at, UTC), details)


def _answered(event_id: str, known: Restored, entries: Mapping[int, Entry]) -> Turn | None:
    """The newest turn that answered a message, as far as its entry was read."""
    for number, turn in zip(reversed(known.numbers), reversed(known.state.turns), strict=True):
        if number in entries and event_id in messages_in(entries[number]):
            return turn
    return None
