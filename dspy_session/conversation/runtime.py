"""The way of a message from the inbox to its posted answer, whatever happens to the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

from dspy_session.conversation.changing import Changing
from dspy_session.conversation.conversations import Conversations
from dspy_session.conversation.holds import Hold
from dspy_session.conversation.taking import TakenTurn, TurnRequest
from dspy_session.errors import ConfigurationError, StaleJournalError, StoreError
from dspy_session.stores import Arrival, Inbox, Leases, Posting, Settled, Work
from dspy_session.stores.sealing import is_sealed

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often the inbox is looked at for what another process left behind."""
_PAUSE = 0.2
"""Seconds between two looks at least: most news is of messages that are being worked on already."""
LONGEST_PAUSE = 60.0
"""Seconds at most before a job is tried again that could not be done: each pause is twice the one before, from 1 on."""
_AT_ONCE = 1000
"""Conversations that one look finds at most."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to be done in a conversation that is held for it.

    Args:
        conversations: Where the conversation is kept.
        inbox: Where its messages wait.
        hold: The conversation.
        work: What is to be done.
        news: Set when something comes in this conversation meanwhile, as far as this process hears of it.
        follows: True when something else was done in the conversation just before.
        step_aside: To be called before it waits for people, who take long: another conversation gets its place.
    """

    conversations: Conversations
    inbox: Inbox
    hold: Hold
    work: Work
    news: asyncio.Event
    follows: bool = False
    step_aside: Callable[[], None] = lambda: None

    async def turn(self, request: TurnRequest) -> TakenTurn:
        """The turn that answers the message.

        Raises:
            SessionError: It is to take the place of a turn that is not the newest any more.
        """
        return await self.conversations.taken(self.hold, request)

    async def changing(self, settled: Settled | None = None, *, also: Sequence[str] = ()) -> Changing:
        """The conversation, to be changed, with the message that is answered by that and others that are done too."""
        await self.conversations.holds.ready(self.hold)
        return self.conversations.changing(self.hold, settled, also)

    async def pending(self) -> Sequence[Arrival]:
        """What has come in this conversation and is not answered, this message among it, by the time it was sent."""
        return await self.inbox.pending(self.hold.key)

    async def is_open(self) -> bool:
        """True while the message that was taken up is not answered."""
        return not await self.inbox.knows(self.hold.key, self.work.arrival.event_id)

    async def is_ours(self) -> bool:
        """True when no other process has taken the conversation over: to be asked before each post."""
        return await self.conversations.holds.is_ours(self.hold)

    async def posted(self, posting: Posting) -> None:
        """An answer is posted, or a part of it.

        Raises:
            StaleJournalError: Another process has taken the conversation over.
        """
        assert self.hold.lease is not None
        await self.inbox.posted(self.hold.lease, posting)


class TryLaterError(Exception):
    """What a job needs cannot be reached at the moment."""


class _Place:
    """One of the places for jobs, taken in a block as long as nobody gives it back."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._taken = False

    async def __aenter__(self) -> Self:
        await self.take()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.give_back()

    async def take(self) -> None:
        if not self._taken:
            await self._places.acquire()
            self._taken = True

    def give_back(self) -> None:
        if self._taken:
            self._taken = False
            self._places.release()


class Runtime:
    """Works through an inbox: each message once, in order in each conversation, several conversations side by side.

    A message is kept before ``receive`` returns. From then on it is this runtime's to work on, or that of another one
    over the same store if this process dies.

    Args:
        conversations: The conversations.
        handle: Does a job. It settles the message, or posts what is to be posted; raises ``TryLaterError`` when that
            cannot be done now.
        handles: Whether a conversation, by its key, is one for ``handle``.
        concurrency: How many jobs run at once.
        poll: Seconds after which the inbox is looked at whatever happens.

    Raises:
        ConfigurationError: The store keeps no inbox.
    """

    def __init__(
        self,
        conversations: Conversations,
        handle: Callable[[Job], Awaitable[None]],
        *,
        handles: Callable[[str], bool] = lambda key: True,
        concurrency: int = 256,
        poll: float = POLL_SECONDS,
    ) -> None:
        store = conversations.store
        if not (isinstance(store, Inbox) and isinstance(store, Leases)):
            raise ConfigurationError(
                f"{type(store).__name__} keeps no messages that wait: a bot needs a store with an inbox and leases, "
                "such as sqlite:///bot.db or postgresql://…"
            )
        self._conversations = conversations
        self._inbox: Inbox = store
        self._handle = handle
        self._handles = handles
        self._places = asyncio.Semaphore(concurrency)
        self._beginning = asyncio.Lock()
        self._poll = poll
        self._looking: asyncio.Task[None] | None = None
        self._working: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._news: dict[str, asyncio.Event] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._stopping = False

    async def receive(self, arrival: Arrival) -> bool:
        """Keep a message; once this returns, it is answered whatever happens. False when it was known already.

        Raises:
            StoreError: It could not be kept.
        """
        is_new = await self._inbox.receive(arrival)
        if is_new:
            self._start(arrival.key)
        return is_new

    def start(self) -> None:
        """Begin to work, also on what was left behind before."""
        self._stopping = False
        self._looking = asyncio.create_task(self._look(), name="inbox")

    async def drain(self, grace: float) -> None:
        """Take nothing new up, finish what is under way, and hand back what is not done after ``grace`` seconds."""
        self._stopping = True
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None
        if self._working:
            _, unfinished = await asyncio.wait(self._working.values(), timeout=grace)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    @property
    def under_way(self) -> int:
        """In how many conversations something is being done."""
        return len(self._working)

    def hand_back(self) -> None:
        """End what is under way now; it is done anew later. For while it drains, which is over then."""
        for task in self._working.values():
            task.cancel()

    # ------------------------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Find what nobody works on: messages from before a restart, and those of processes that died."""
        while True:
            try:
                for key in await self._inbox.waiting(_AT_ONCE):
                    self._start(key)
                await self._inbox.changed(self._poll)
            except StoreError as error:
                logger.warning("The inbox cannot be read, next try in %.0f s: %s", self._poll, error)
                await asyncio.sleep(self._poll)
            except Exception:  # whatever it is, what was left behind must be found
                logger.exception("The inbox cannot be read, next try in %.0f s", self._poll)
                await asyncio.sleep(self._poll)
            await asyncio.sleep(_PAUSE)

    def _start(self, key: str) -> None:
        if self._stopping or key in self._later or not self._handles(key):
            return
        if key in self._working:
            self._again.add(key)
            self._news[key].set()
            return
        self._news[key] = asyncio.Event()
        task = asyncio.create_task(self._work(key), name=f"conversation {key}")
        self._working[key] = task
        task.add_done_callback(lambda _: self._ended(key))

    def _ended(self, key: str) -> None:
        del self._working[key], self._news[key]
        if key in self._again:  # a message came while the last look at the inbox was over already
            self._again.discard(key)
            self._start(key)

    async def _work(self, key: str) -> None:
        """Do what there is to do in a conversation, unless another process is at it."""
        try:
            async with _Place(self._places) as place, self._conversations.holds.try_hold(key) as hold:
                if hold is None or hold.lease is None:
                    return
                self._again.discard(key)
                follows = False
                while not self._stopping:
                    await place.take()
                    async with self._beginning:  # one in each round of the loop: what comes in must not wait for many
                        await asyncio.sleep(0)
                    work = await self._inbox.take(hold.lease)
                    if work is None:
                        return
                    await self._conversations.holds.ready(hold)
                    news = self._news[key]
                    job = Job(self._conversations, self._inbox, hold, work, news, follows, place.give_back)
                    if not await self._do(job):
                        return
                    follows = True
        except StaleJournalError:
            logger.info("%s is worked on by another process now", key)
        except StoreError as error:
            logger.warning("%s has to wait: %s", key, error)
            self._start_later(key, self._poll)
        except Exception:
            logger.exception("%s has to wait", key)
            self._start_later(key, self._poll)

    async def _do(self, job: Job) -> bool:
        """Do one job; False when the conversation is to be left alone for now."""
        if is_sealed(job.work.arrival.payload) or is_sealed(job.work.reply):
            raise StoreError("its messages are encrypted: give the store's keys (keys=…)")
        try:
            await self._handle(job)
        except TryLaterError as error:
            pause = min(LONGEST_PAUSE, 2.0 ** (job.work.attempts - 1))
            logger.warning("%s, next try in %.0f s: %s", job.hold.key, pause, error)
            self._start_later(job.hold.key, pause)
            return False
        except StaleJournalError:
            # Somebody wrote meanwhile: who lost the conversation ends here, who still has it reads it anew.
            if not await job.is_ours():
                self._conversations.holds.lose(job.hold)
                return False
            await self._conversations.holds.read_again(job.hold)
        return True

    def _start_later(self, key: str, seconds: float) -> None:
        if self._stopping:
            return

        def now() -> None:
            del self._later[key]
            self._start(key)

        with contextlib.suppress(KeyError):
            self._later.pop(key).cancel()
        self._later[key] = asyncio.get_running_loop().call_later(seconds, now)
