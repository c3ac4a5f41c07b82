"""The webhook: told of what happens in conversations by a store, by a bot, or by a session itself."""

from __future__ import annotations

import hashlib
import random as random_numbers
import ssl
import threading
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

import aiohttp
import dspy

from dspy_session.codec import to_json
from dspy_session.conversation.clock import Clock, SystemClock
from dspy_session.conversation.envelope import Encode, Redact, Selection, delivery, seal, warn_of_omissions
from dspy_session.conversation.protocols import ConversationEvent, TurnEvent
from dspy_session.errors import ConfigurationError
from dspy_session.session import Session
from dspy_session.state import SessionState
from dspy_session.stores.outgoing import Batch, Delivery, Settlement
from dspy_session.turn import Turn
from dspy_session_webhook.address import Endpoint
from dspy_session_webhook.body import request
from dspy_session_webhook.deliver import READ_SECONDS
from dspy_session_webhook.outgoing import GRACE, Outgoing
from dspy_session_webhook.route import Route
from dspy_session_webhook.schedule import decide, settlement
from dspy_session_webhook.signing import parse_secrets

NameConversation = Callable[[Session, Turn], str]
"""Names the conversation that a session's turn belongs to."""


class Webhook:
    """Posts what happens in conversations to a URL, signed as Standard Webhooks 1.0.0.

    In order within a conversation, side by side over all, tried again for days. With a store that has an outbox, what
    is to be posted is written with the change itself and survives the process. It is also a hook for any session,
    ``sessionify(module, on_turn=Webhook(url, secret))``, whether that is called with ``await`` or without: then a turn
    only leaves its bytes here, a thread that starts with the first turn delivers them, and what waits is in memory and
    ends with the program, which stays a few seconds longer for it.

    Args:
        url: Where to post; ``https``, and an address on the public internet.
        secret: The signing key that the receiver knows, ``whsec_…``; several while keys are rotated.
        events: The types of events that are posted; all if None. A hook only ever has ``"conversation.turn"``.
        fields: The only inputs and outputs that are posted; None for all.
        redact: Names of fields whose values are replaced by ``"[redacted]"``, or a function that makes of a value what
            may be posted, ``(name, value) -> value``. A field for which that fails is left out.
        batch: How many messages of a conversation one request may hold. With more than 1, every request is of the type
            ``"batch"``, also when it holds one message.
        timeout: Seconds for one attempt.
        capacity: Bytes of turns that may wait in memory; what comes on top is logged and lost.
        concurrency: Attempts at once, each for another conversation.
        allow_loopback: Whether the URL may be on this machine, and ``http`` then.
        ssl_context: Whom to trust; the usual authorities if None.
        conversation: Names the conversation of a session's turn, ``(session, turn) -> str``. Without it a state is
            named after the first of its turns that came here; a bot's turns have names of their own.
        encode: Turns values into JSON; raises for those that it can't, which are left out.
        name: What a store knows the webhook by. Without it, it is made from the URL, so that what waits in the store
            is for that URL; give one when the URL will change, or when two webhooks have the same.
        clock: Tells the time.
        random: Spreads retries: returns numbers from 0 up to 1.

    Raises:
        ConfigurationError: The URL, the secret, a name or a number doesn't fit.
    """

    def __init__(
        self,
        url: str,
        secret: str | Iterable[str],
        *,
        events: Iterable[str] | None = None,
        fields: Iterable[str] | None = None,
        redact: Redact | Iterable[str] | None = None,
        batch: int = 1,
        timeout: float = 20.0,
        capacity: int = 64 * 2**20,
        concurrency: int = 8,
        allow_loopback: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        conversation: NameConversation | None = None,
        encode: Encode = to_json,
        name: str | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        numbers = {"batch": batch, "timeout": timeout, "capacity": capacity, "concurrency": concurrency}
        for option, number in numbers.items():
            if not number > 0:
                raise ConfigurationError(f"a webhook's {option} must be greater than 0, not {number!r}")
        endpoint = Endpoint.parse(url, allow_loopback=allow_loopback)
        self._selection = Selection.of(events=events, fields=fields, redact=redact, encode=encode)
        self._batch = batch
        self._name = name or _name(endpoint)
        self._name_conversation = conversation
        self._names: WeakKeyDictionary[SessionState, str] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._clock = clock if clock is not None else SystemClock()
        self._random = random
        self._route = Route(endpoint, parse_secrets(secret), timeout, concurrency, ssl_context)
        self._outgoing = Outgoing(self._route, capacity, self._clock, random)
        self._client: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Webhook({self._route.endpoint.origin!r}, waiting={self.waiting})"

    def __reduce__(self) -> str:
        raise TypeError("a Webhook holds a secret and what is under way, so it is not pickled: make a new one instead")

    # --- told by a session or by a bot, kept in memory ------------------------------------------------------------

    def __call__(self, session: Session, turn: Turn) -> None:
        """Take over a turn that ``session`` has recorded: an ``on_turn`` hook, with nothing to wait for.

        Args:
            session: The session that recorded the turn.
            turn: The turn.
        """
        self._take(
            TurnEvent(
                key=self._conversation(session, turn),
                turn=turn,
                author="",
                author_name="",
                model=getattr(dspy.settings.lm, "model", None) or "",
                occurred_at=turn.created_at or self._clock.now(),
            )
        )

    async def send(self, event: TurnEvent) -> None:
        """Take over a bot's turn and return at once.

        Args:
            event: The turn, committed.
        """
        self._take(event)

    @property
    def waiting(self) -> int:
        """Turns in memory that are not delivered yet."""
        return self._outgoing.waiting

    @property
    def parked(self) -> tuple[str, ...]:
        """Conversations in memory that stand still: one of their turns was refused to the end of the schedule."""
        return self._outgoing.parked

    def resume(self) -> None:
        """Start those conversations again, each from the turn that it stopped at."""
        self._outgoing.resume()

    def close(self, grace: float = GRACE) -> None:
        """Deliver what waits in memory, then stop; a turn that isn't due within ``grace`` is given up at once.

        Called by itself when the program ends.

        Args:
            grace: Seconds that this may take.
        """
        self._outgoing.close(grace)

    async def aclose(self, grace: float = GRACE) -> None:
        """``close`` without blocking the running event loop; lets go of the connections that ``deliver`` used, too.

        Args:
            grace: Seconds that this may take.
        """
        client, self._client = self._client, None
        try:
            await self._outgoing.aclose(grace)
        finally:
            if client is not None:
                await client.close()

    # --- told by a store ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What a store knows it by; holds no secret."""
        return self._name

    @property
    def batch(self) -> int:
        """How many deliveries one request may hold."""
        return self._batch

    @property
    def concurrency(self) -> int:
        """Requests at once, each for another conversation."""
        return self._route.concurrency

    @property
    def timeout(self) -> float:
        """Seconds that ``deliver`` takes at most: one attempt, and reading what was answered."""
        return self._route.timeout + READ_SECONDS

    def encode(self, event: ConversationEvent) -> Delivery | None:
        """What is to be posted of ``event``, None for nothing. The same event makes the same bytes."""
        return delivery(self._name, event, self._selection)

    async def aopen(self) -> None:
        """Make ready to ``deliver`` in the event loop that runs now."""
        if self._client is None:
            self._client = self._route.open_client()

    async def deliver(self, batch: Batch) -> Settlement:
        """Post a batch, once; what follows from the answer."""
        await self.aopen()
        assert self._client is not None  # aopen made it
        told = [(each.id, each.body) for each in batch.deliveries]
        posted = request(batch.key, told, batched=self._batch > 1)
        answer = await self._route.attempt(self._client, posted, self._clock.now())
        decision = decide(batch.attempt, answer, jitter=self._random(), now=self._clock.now())
        return settlement(decision, answer)

    def _conversation(self, session: Session, turn: Turn) -> str:
        if self._name_conversation is not None:
            return self._name_conversation(session, turn)
        with self._lock:
            return self._names.setdefault(session.state, turn.id)

    def _take(self, event: TurnEvent) -> None:
        envelope = seal(event, self._selection)
        if envelope is None:
            return
        self._outgoing.take(request(event.key, [(envelope.id, envelope.body)], batched=self._batch > 1))
        warn_of_omissions(f"webhook to {self._route.endpoint.origin}", envelope)


def _name(endpoint: Endpoint) -> str:
    """The origin tells people which webhook it is; the hash tells apart those whose secret paths or queries differ."""
    return f"webhook:{endpoint.origin}#{hashlib.sha256(str(endpoint.url).encode()).hexdigest()[:12]}"
