"""Batches as a store gives them out."""

from __future__ import annotations

from dspy_session.stores.outgoing import Batch
from tests.events import KEY, make_event


def batch_of(sink, *events, attempt=1, key=KEY):
    return Batch(sink.name, key, 1, attempt, [made for event in events if (made := sink.encode(event))])


def numbered(sink, *numbers, attempt=1):
    return batch_of(sink, *(make_event(number) for number in numbers), attempt=attempt)
