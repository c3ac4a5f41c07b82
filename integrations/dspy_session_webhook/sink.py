"""The webhook: takes turns over at once, delivers them from a thread of its own."""

from __future__ import annotations

import atexit
import logging
import random as random_numbers
import ssl
import threading
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

import dspy

from dspy_session.codec import to_json
from dspy_session.conversation.protocols import TurnEvent
from dspy_session.errors import ConfigurationError
from dspy_session.session import Session
from dspy_session.state import SessionState
from dspy_session.turn import Turn
from dspy_session_webhook.address import Endpoint
from dspy_session_webhook.background import LoopThread
from dspy_session_webhook.body import Encode, turn_message
from dspy_session_webhook.clock import Clock, SystemClock
from dspy_session_webhook.courier import Courier, Route
from dspy_session_webhook.lanes import Lanes
from dspy_session_webhook.signing import parse_secrets

logger = logging.getLogger(__name__)

_CANCEL_SECONDS = 1.0
"""How long closing waits for what it has cancelled."""

NameConversation = Callable[[Session, Turn], str]
"""Names the conversation that a session's turn belongs to."""


class Webhook:
    """Posts each turn to a URL, signed as Standard Webhooks 1.0.0.

    A sink for a bot, ``Bot(…, sinks=[Webhook(url, secret)])``, and a hook for any session,
    ``sessionify(module, on_turn=Webhook(url, secret))``, whether it is called with ``await`` or without. Either way
    a turn only leaves its bytes here. A thread that starts with the first turn delivers them: in order within a
    conversation, side by side over all, tried again for days. What waits is in memory and ends with the program,
    which stays a few seconds longer for it.

    Args:
        url: Where to post; ``https``, and an address on the public internet.
        secret: The signing key that the receiver knows, ``whsec_…``; several while keys are rotated.
        timeout: Seconds for one attempt.
        capacity: Bytes of turns that may wait; what comes on top is logged and lost.
        concurrency: Attempts at once, each for another conversation.
        allow_loopback: Whether the URL may be on this machine, and ``http`` then.
        ssl_context: Whom to trust; the usual authorities if None.
        conversation: Names the conversation of a session's turn, ``(session, turn) -> str``. Without it a state is
            named after the first of its turns that came here; a bot's turns have names of their own.
        encode: Turns values into JSON; raises ``UnsupportedValueError`` for those that it can't.
        clock: Tells the time.
        random: Spreads retries: returns numbers from 0 up to 1.

    Raises:
        ConfigurationError: The URL, the secret or a number doesn't fit.
    """

    def __init__(
        self,
        url: str,
        secret: str | Iterable[str],
        *,
        timeout: float = 20.0,
        capacity: int = 64 * 2**20,
        concurrency: int = 8,
        allow_loopback: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        conversation: NameConversation | None = None,
        encode: Encode = to_json,
        clock: Clock | None = None,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        for name, number in (("timeout", timeout), ("capacity", capacity), ("concurrency", concurrency)):
            if not number > 0:
                raise ConfigurationError(f"a webhook's {name} must be greater than 0, not {number!r}")
        self._endpoint = Endpoint.parse(url, allow_loopback=allow_loopback)
        self._name_conversation = conversation
        self._names: WeakKeyDictionary[SessionState, str] = WeakKeyDictionary()
        self._encode = encode
        self._clock = clock if clock is not None else SystemClock()
        self._lanes = Lanes(capacity)
        route = Route(self._endpoint, parse_secrets(secret), timeout, concurrency, ssl_context)
        self._courier = Courier(self._lanes, route, self._clock, random)
        self._thread: LoopThread | None = None
        self._closed = False
        self._lost = 0
        self._lock = threading.Lock()

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
        """Turns that are not delivered yet."""
        return self._lanes.waiting

    @property
    def parked(self) -> tuple[str, ...]:
        """Conversations that stand still because one of their turns was refused to the end of the schedule."""
        return self._lanes.parked

    def resume(self) -> None:
        """Start parked conversations again, each from the turn that it stopped at."""
        with self._lock:
            self._lanes.resume(self._clock.monotonic())
            if self._thread is not None:
                self._thread.call(self._courier.wake)

    def close(self, grace: float = 5.0) -> None:
        """Deliver what is waiting, then stop; a turn that isn't due within ``grace`` is given up at once.

        Called by itself when the program ends.

        Args:
            grace: Seconds that this may take.
        """
        thread = self._begin_closing(grace)
        if thread is not None and not thread.join(grace):
            thread.cancel()
            thread.join(_CANCEL_SECONDS)
        self._end_closing()

    async def aclose(self, grace: float = 5.0) -> None:
        """``close`` without blocking the running event loop.

        Args:
            grace: Seconds that this may take.
        """
        thread = self._begin_closing(grace)
        if thread is not None and not await thread.ajoin(grace):
            thread.cancel()
            await thread.ajoin(_CANCEL_SECONDS)
        self._end_closing()

    def __repr__(self) -> str:
        return f"Webhook({self._endpoint.origin!r}, waiting={self.waiting})"

    def __reduce__(self) -> str:
        raise TypeError("a Webhook holds a secret and what is under way, so it is not pickled: make a new one instead")

    def _conversation(self, session: Session, turn: Turn) -> str:
        if self._name_conversation is not None:
            return self._name_conversation(session, turn)
        with self._lock:
            return self._names.setdefault(session.state, turn.id)

    def _take(self, event: TurnEvent) -> None:
        message = turn_message(event, self._encode)
        with self._lock:
            refused = "it is closed" if self._closed else self._lanes.put(message, self._clock.monotonic())
            if not refused:
                self._start_or_wake()
            else:
                self._lost += 1
                logger.warning(
                    "webhook to %s: turn %s dropped, %s; %d dropped so far",
                    *(self._endpoint.origin, message.id, refused, self._lost),
                )
        if message.omitted:
            logger.warning(
                "webhook to %s: turn %s goes without %s, which JSON cannot hold",
                *(self._endpoint.origin, message.id, ", ".join(message.omitted)),
            )

    def _start_or_wake(self) -> None:
        if self._thread is not None:
            self._thread.call(self._courier.wake)
            return
        self._thread = LoopThread(f"webhook to {self._endpoint.origin}", self._courier.run())
        atexit.register(self.close)

    def _begin_closing(self, grace: float) -> LoopThread | None:
        with self._lock:
            if not self._closed and self._thread is not None:
                self._thread.call(self._courier.finish, grace)
            self._closed = True
            return self._thread

    def _end_closing(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        atexit.unregister(self.close)
        if self.waiting:
            logger.warning("webhook to %s: closed with %d turns undelivered", self._endpoint.origin, self.waiting)
