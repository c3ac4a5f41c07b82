"""Deliveries that are made once more: from journals, or of an example."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from dspy_session.conversation import ConversationKey, TurnEvent
from dspy_session.conversation.replaying import as_kept, events_of
from dspy_session.errors import ConfigurationError
from dspy_session.stores import Delivery, Store
from dspy_session.turn import Turn
from dspy_session_bots.config import Settings
from dspy_session_bots.extras import needs_extra
from dspy_session_bots.keeping import refuse_sealed
from dspy_session_bots.moments import lasting
from dspy_session_bots.serving import WEBHOOK_SECRET

with needs_extra("webhook", "dspy-bots webhooks"):
    from dspy_session_webhook import Webhook
    from dspy_session_webhook.address import Endpoint
    from dspy_session_webhook.body import Message
    from dspy_session_webhook.route import Route
    from dspy_session_webhook.schedule import Answer
    from dspy_session_webhook.signing import parse_secrets

EXAMPLE = ConversationKey("example", "", "webhooks-test")
SECONDS = 20.0
"""How long an endpoint may take to answer, as ``Webhook`` has it."""


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when.

    Args:
        since: In seconds since 1970, UTC.
        until: Likewise, not included.
    """

    since: float
    until: float

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in it."""
        return self.since <= moment.timestamp() < self.until


def webhook_to(url: str, keys: Sequence[str]) -> Webhook:
    """The webhook that ``run --webhook`` makes of a URL: what waits for one is delivered by the other.

    Raises:
        ConfigurationError: The URL or a key will not do.
    """
    return Webhook(url, keys, encode=as_kept, allow_loopback=True)


def keys_of(settings: Settings, given: str | None, command: str) -> list[str]:
    """The keys to sign with.

    Args:
        settings: What the environment says.
        given: What the command line says; several keys with spaces between them.
        command: The command, for the message.

    Raises:
        ConfigurationError: There is none.
    """
    found = given or (settings.webhook_secret.get_secret_value() if settings.webhook_secret is not None else "")
    if not found.split():
        raise ConfigurationError(f"{command} needs {WEBHOOK_SECRET}: set it in the environment or in .env")
    return found.split()


async def deliveries_of(store: Store, key: str, span: Span, webhook: Webhook) -> list[Delivery]:
    """The deliveries of a conversation, made again: the same ids, the same words, in order.

    Raises:
        SessionError: The conversation cannot be read.
    """
    entries = [entry async for entry in store.entries(key)]
    for entry in entries:
        refuse_sealed(key, entry)
    made = (webhook.encode(event) for event in events_of(key, entries) if span.holds(event.occurred_at))
    return [delivery for delivery in made if delivery is not None]


async def keys_in(store: Store, span: Span, key: str | None) -> AsyncIterator[str]:
    """The conversations in which something may have happened in a span.

    Raises:
        ConfigurationError: There is no such conversation.
    """
    infos = await store.list("" if key is None else key)
    if key is not None and all(info.key != key for info in infos):
        raise ConfigurationError(f"there is no conversation {key!r}")
    for info in infos:
        if info.updated_at >= span.since and key in (None, info.key):
            yield info.key


async def post_example(url: str, keys: Sequence[str]) -> tuple[bool, str]:
    """Post a signed turn that nobody took.

    Returns:
        Whether it was taken, and what came back, in words.

    Raises:
        ConfigurationError: The URL or a key will not do.
    """
    endpoint = Endpoint.parse(url, allow_loopback=True)
    route = Route(endpoint, parse_secrets(keys), SECONDS, 1, None)
    now = datetime.now(UTC)
    turn = Turn(0, {"message": "Does this arrive?"}, {"reply": "It does."}, id=secrets.token_hex(16), created_at=now)
    event = TurnEvent(str(EXAMPLE), turn, "nobody", "dspy-bots webhooks test", "", now)
    delivery = webhook_to(url, keys).encode(event)
    assert delivery is not None  # it is told of every turn
    began = monotonic()
    async with route.open_client() as client:
        answer = await route.attempt(client, Message(delivery.id, str(EXAMPLE), delivery.body), now)
    took = monotonic() - began
    after = lasting(took) if took >= 10 else f"{took:.2f} s"
    return _was_taken(answer), f"{endpoint.origin} {_in_words(answer)} ({after})"


def _was_taken(answer: Answer) -> bool:
    return answer.status is not None and 200 <= answer.status < 300


def _in_words(answer: Answer) -> str:
    status = answer.status
    if status is None:
        return f"did not answer: {answer.error}"
    if _was_taken(answer):
        return f"took it: HTTP {status}"
    if 300 <= status < 400:
        return f"redirects, which is never followed: HTTP {status}; give the URL that it leads to"
    if status in (401, 403):
        return f"refused it: HTTP {status}; is WEBHOOK_SECRET the key that it checks signatures with?"
    if status == 404:
        return "refused it: HTTP 404; is the path right?"
    if status == 410:
        return "wants nothing more: HTTP 410; a bot would stop posting there"
    return f"did not take it: HTTP {status}; a bot would try again"
