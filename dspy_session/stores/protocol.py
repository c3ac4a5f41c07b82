"""What a store is: it keeps journals and leases, arrivals and deliveries, and never looks into what they hold.

A conversation is a journal. Its entries are only ever added, and stay unless somebody's words are to be deleted; each
may point at an entry before it, and marks name the entries from which the conversation as it stands now is reached. So
what was taken back is still there, and reading the newest twenty turns costs the same in a journal of a hundred
thousand.

``Store`` is all that ``Conversations`` needs. What else a bot needs so that no message is lost are protocols of their
own: ``Leases``, ``Inbox`` in ``incoming``, ``Outbox`` in ``outgoing``. A third party's store passes the suites in
``dspy_session.testing``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from dspy_session.stores.outgoing import Delivery

# --- journals ---------------------------------------------------------------------------------------------------------


SHARED = "shared"
"""The kind of an entry that names an author besides the one of the entry that it is about, whose words are in that too:
``Forget`` of them deletes both."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a conversation's journal.

    Args:
        kind: What it is (``"turn"``, ``"undo"``, …).
        body: What it holds, as JSON text.
        at: When it was written, in seconds since 1970, UTC.
        previous: The number of the entry that comes before it in the same chain; None for the first.
        about: The number of the entry that it says something of (a score); it is read whenever that one is.
        author: The platform's id of the user whose words are in it; empty for none.
    """

    kind: str
    body: str
    at: float
    previous: int | None = None
    about: int | None = None
    author: str = ""


@dataclass(frozen=True, slots=True)
class Journal:
    """A conversation as far as it was read.

    Args:
        length: How many entries it has; the next one gets this number.
        marks: Names of the entries where chains end, the newest entry of each.
        entries: By number, what was read.
    """

    length: int = 0
    marks: Mapping[str, int] = field(default_factory=dict)
    entries: Mapping[int, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change a conversation, until it ends or is taken over.

    Args:
        key: The conversation.
        owner: Who holds it.
        fence: Rises each time that somebody takes the conversation over; whoever has an older one changes nothing.
        length: How many entries the journal had when the lease was taken, so that its holder knows whether what it
            remembers still holds; None where nobody else can have written meanwhile.
    """

    key: str
    owner: str
    fence: int
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of the message that brought a commit about.

    Args:
        event_id: The platform's id of the message.
        reply: What is to be posted, as JSON text; empty when there is nothing to post, and the message is done.
        received: True when it came through the inbox. It must still be waiting there, or nothing is written.
        shown: The platform's ids of messages that show a part of the reply already; empty to leave them as they are
            known.
    """

    event_id: str
    reply: str = ""
    received: bool = False
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Everything that one change of a conversation writes, at once or not at all.

    Args:
        key: The conversation.
        expected: The length of its journal as the writer knows it.
        entries: What is added.
        marks: All marks from now on; of no account without entries.
        lease: The writer's right to do so; None for a writer that takes its chance with ``expected`` alone. One that
            has run out and that nobody took may be refused, until it is renewed.
        settled: The message that is answered by this.
        also: Ids of further messages in the inbox that are done with it. All of them must still be waiting there, or
            nothing is written.
        deliveries: What sinks are to be told.
        forgets: The numbers of entries from before that go with it, as by ``Forget``, but that the journal gets no
            further entry and the lease stands; of no account without entries.
        rewrites: Entries from before that say something else from now on, by number: only their bodies change. What
            sinks were still to be told of them goes. Likewise.
    """

    key: str
    expected: int
    entries: Sequence[Entry] = ()
    marks: Mapping[str, int] = field(default_factory=dict)
    lease: Lease | None = None
    settled: Settled | None = None
    also: Sequence[str] = ()
    deliveries: Sequence[Delivery] = ()
    forgets: Sequence[int] = ()
    rewrites: Mapping[int, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConversationInfo:
    """A conversation as a listing shows it.

    Args:
        key: Its key.
        entries: The length of its journal.
        created_at: When it began, in seconds since 1970, UTC.
        updated_at: When its last entry was written, likewise.
    """

    key: str
    entries: int
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """What is to be deleted for good, in every table.

    Args:
        key: A conversation; all of it, unless ``numbers`` says otherwise.
        numbers: The entries of ``key`` that are to go; the conversation stays.
        author: A user's id, beginning with the platform (``slack:T1:U1``): what they wrote and what it brought about,
            everywhere.
        before: What was written before this time, in seconds since 1970, UTC: conversations that have not changed
            since, whole unless messages wait in them; of the others the entries that no mark names; and messages that
            are done with. A conversation that somebody works on is left as it is.

        deliveries: What sinks are to be told of it, for the lanes of ``key``, which begin anew with them.

    An entry that has to go while its journal stays keeps its number, ``previous`` and ``at`` and nothing else: its kind
    is ``"forgotten"``, its body ``{}``. Entries about it go the same way, deliveries that were committed with any of
    them, or that were added to the conversation's lanes outside of a commit, go altogether, and the journal gets one
    more such entry at its end, so that whoever remembers the conversation notices. The id of a message stays known
    while its conversation does.
    """

    key: str | None = None
    numbers: Sequence[int] = ()
    author: str | None = None
    before: float | None = None
    deliveries: Sequence[Delivery] = ()


class Store(Protocol):
    """Keeps journals. What was committed stands, in order, whatever happens to the process.

    Atomic: a commit is written whole or not at all, and durable once it returns. Ordered: the entries of a journal are
    numbered from 0 without gaps, in the order of their commits. Owned: a commit under a lease that was taken over
    meanwhile, or that expects another length, changes nothing. Damage: an entry that cannot be read raises
    ``StoreError`` for its conversation alone, never a part of it.

    Verbs may be called from many tasks at once; a cancelled caller leaves nothing half done. Each raises
    ``StoreError``, in one line that says how to mend it, when the store cannot do its work.
    """

    async def open(self, *, serving: bool = True) -> None:
        """Make ready: bring the tables up to this version. Called once before everything else.

        Args:
            serving: True for who runs turns; False for tools beside it, which a store for one process lets in as well.

        Raises:
            StoreError: The store cannot be used, was written by a newer version, or serves another process already.
        """
        ...

    async def read(self, key: str, depth: int | None = None) -> Journal:
        """A conversation: its marks, what they lead to, and what is said of that.

        Args:
            key: The conversation; empty when nobody wrote to it.
            depth: How many entries of each chain, the newest; None for all.
        """
        ...

    async def commit(self, commit: Commit) -> None:
        """Write a change, durably.

        Raises:
            StaleJournalError: The journal has another length, its message is settled already, or the lease is no
                longer the writer's; nothing was written.
            StoreBusyError: It cannot be written at the moment; nothing was written.
            StoreError: Whatever else; whether it was written is not known.
        """
        ...

    def entries(self, key: str) -> AsyncIterator[Entry]:
        """Every entry of a conversation, oldest first, also those that no mark leads to."""
        ...

    async def list(self, prefix: str = "") -> Sequence[ConversationInfo]:
        """The conversations whose keys begin with ``prefix``, the one with the newest entry first."""
        ...

    async def forget(self, forget: Forget) -> int:
        """Delete for good; how many conversations that changed. Leases on them are taken over."""
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of everything. May be called twice."""
        ...


# --- who may write ----------------------------------------------------------------------------------------------------


@runtime_checkable
class Leases(Protocol):
    """Sees to it that one process at a time works on a conversation. Time is the store's own, never the caller's."""

    async def acquire(self, key: str, owner: str, seconds: float) -> Lease | None:
        """Take a conversation for ``seconds``; None while somebody else has it."""
        ...

    async def renew(self, leases: Sequence[Lease], seconds: float) -> Sequence[Lease]:
        """Keep leases for ``seconds`` from now; those that are still held."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give a conversation free; nothing happens when it is no longer ours."""
        ...
