"""What a type checker must see of sinks. Read by mypy in `make check`, never run."""

from typing import Any, assert_type

from dspy_session.conversation.dispatch import Dispatcher
from dspy_session.conversation.protocols import DurableSink, Sink
from dspy_session.sinks import Callback, JsonLines
from dspy_session.stores.outgoing import Outbox
from dspy_session_webhook import Webhook, load_schema


async def aput(event: dict[str, Any]) -> None: ...


def put(event: dict[str, Any]) -> int:
    return len(event)


webhook = Webhook("https://example.com/", "whsec_", fields=["question"], redact={"email"}, events=["turn.scored"])
Webhook("https://example.com/", ["whsec_"], redact=lambda name, value: str(value), batch=10)
in_memory: Sink = webhook
sinks: list[DurableSink] = [webhook, JsonLines("turns.jsonl"), Callback(put, name="crm"), Callback(aput, name="log")]


def dispatch(outbox: Outbox) -> Dispatcher:
    return Dispatcher(outbox, sinks, poll=1.0)


assert_type(load_schema("batch"), dict[str, Any])
Callback(put)  # type: ignore[call-arg]
Callback(print, name=1)  # type: ignore[arg-type]
