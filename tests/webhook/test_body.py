from __future__ import annotations

import json

import jsonschema
import pytest

from dspy_session.conversation.envelope import TYPES, Selection, seal
from dspy_session.errors import ConfigurationError
from dspy_session_webhook import load_schema
from dspy_session_webhook.body import request
from tests.events import KEY, make_change, make_event

BATCH = jsonschema.Draft202012Validator(load_schema("batch"), format_checker=jsonschema.FormatChecker())


def told(*events):
    return [(envelope.id, envelope.body) for event in events if (envelope := seal(event, Selection()))]


THREE = told(make_event(0), make_event(1), make_change())


def test_one_message_is_posted_as_it_is():
    (message,) = told(make_event())
    posted = request(KEY, [message], batched=False)
    assert (posted.id, posted.lane, posted.body) == (message[0], KEY, message[1])
    assert "answer" not in repr(posted)


def test_a_batch_holds_each_message_with_its_id_in_order():
    posted = request(KEY, THREE, batched=True)
    body = json.loads(posted.body)
    BATCH.validate(body)
    assert list(body) == ["type", "timestamp", "data"]
    assert (body["type"], body["timestamp"]) == ("batch", "2026-03-01T12:00:00.000000Z")
    assert body["data"]["messages"] == [{"id": each, **json.loads(text)} for each, text in THREE]
    for message in body["data"]["messages"]:
        jsonschema.Draft202012Validator(load_schema(message["type"])).validate(message)


def test_a_batch_of_one_is_a_batch():
    body = json.loads(request(KEY, THREE[:1], batched=True).body)
    BATCH.validate(body)
    assert len(body["data"]["messages"]) == 1


def test_the_same_batch_has_the_same_id_and_bytes_and_no_other_has():
    assert request(KEY, THREE, batched=True) == request(KEY, list(THREE), batched=True)
    parts = [THREE, THREE[:2], THREE[1:], THREE[:1], THREE[::2], THREE[::-1]]
    ids = [request(KEY, part, batched=True).id for part in parts]
    assert len(set(ids)) == len(parts)
    assert all(each.startswith("batch_") and each.isascii() and "." not in each for each in ids)


def test_every_type_has_a_schema():
    for kind in (*TYPES, "batch"):
        jsonschema.Draft202012Validator.check_schema(load_schema(kind))
    with pytest.raises(ConfigurationError, match="there is no event 'bunch'"):
        load_schema("bunch")
