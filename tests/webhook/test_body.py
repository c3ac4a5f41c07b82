from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import dspy
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.codec import from_json, to_json
from dspy_session.turn import Turn
from dspy_session_webhook.body import load_schema, message_id, turn_message
from tests.webhook.events import KEY, NOON, make_event, make_turn

VALIDATOR = jsonschema.Draft202012Validator(load_schema(), format_checker=jsonschema.FormatChecker())

texts = st.text(alphabet=st.characters(exclude_categories=()), max_size=20)  # lone surrogates too
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), texts, st.binary(), st.dates()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3) | st.tuples(inner),
    max_leaves=8,
)


def payload(event):
    body = json.loads(turn_message(event, to_json).body)
    VALIDATOR.validate(body)
    return body


def test_the_schema_is_a_schema():
    VALIDATOR.check_schema(load_schema())


def test_the_whole_body_in_its_order():
    turn = Turn(3, {"question": "Wie geht's?"}, {"answer": "gut"}, score=0.5, id="abc", created_at=NOON)
    body = payload(make_event(turn=turn))
    assert list(body) == ["type", "timestamp", "data"]
    assert body == {
        "type": "conversation.turn",
        "timestamp": "2026-03-01T12:00:00.000000Z",
        "data": {
            "version": 1,
            "conversation": {
                "key": KEY,
                "platform": "slack",
                "workspace": "T1",
                "channel": "C1",
                "thread": "1700000000.000100",
            },
            "turn_id": "abc",
            "index": 3,
            "author": {"id": "U1", "name": "Ada"},
            "inputs": {"question": "Wie geht's?"},
            "outputs": {"answer": "gut"},
            "omitted": [],
            "score": 0.5,
            "model": "stub/model",
            "created_at": "2026-03-01T12:00:00.000000Z",
        },
    }
    assert list(body["data"]) == load_schema()["properties"]["data"]["required"]


def test_the_same_event_makes_the_same_bytes():
    first, second = (turn_message(make_event(turn=make_turn(1, tags={"b", "a", "c"})), to_json) for _ in range(2))
    assert first == second
    assert b": " not in first.body


def test_the_message_knows_its_lane_and_keeps_its_id():
    message = turn_message(make_event(turn=make_turn(turn_id="abc")), to_json)
    assert (message.id, message.lane) == ("turn_abc", KEY)
    assert "answer" not in repr(message)


@given(st.text(min_size=1), st.text(min_size=1))
def test_ids_are_safe_in_a_header_and_never_clash(one, other):
    assert message_id(one).isascii()
    assert message_id(one).isprintable()
    assert "." not in message_id(one)
    assert (message_id(one) == message_id(other)) == (one == other)


def test_a_lone_surrogate_comes_through():
    event = make_event(turn=make_turn(turn_id="\ud800", torn="half \ud83d of a smile"))
    assert message_id("\ud800") == "turn_%ED%A0%80"
    assert payload(event)["data"]["inputs"]["torn"] == "half \ud83d of a smile"


def test_an_encoder_must_not_make_what_is_not_json():
    with pytest.raises(ValueError, match="not JSON compliant"):
        turn_message(make_event(turn=make_turn(ratio=float("nan"))), lambda value: value)


@pytest.mark.parametrize("key", ["", "my own key", "a:b", "slack:T1:C%201:"])
def test_a_key_of_the_callers_own_has_no_parts(key):
    conversation = payload(make_event(key=key))["data"]["conversation"]
    assert conversation == {"key": key, "platform": None, "workspace": None, "channel": None, "thread": None}


def test_a_direct_message_has_no_workspace_and_no_thread():
    conversation = payload(make_event(key="discord::42"))["data"]["conversation"]
    assert (conversation["workspace"], conversation["thread"]) == ("", None)


def test_what_is_not_known_is_null():
    event = replace(make_event(turn=Turn(0, {}, {})), author="", author_name="", model="")
    data = payload(event)["data"]
    assert [data[name] for name in ("author", "model", "score", "created_at")] == [None] * 4


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_json_lacks_is_null(score):
    turn = make_turn()
    turn.score = score
    assert payload(make_event(turn=turn))["data"]["score"] is None


def test_times_are_utc():
    east = datetime(2026, 3, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    assert payload(replace(make_event(), occurred_at=east))["timestamp"] == "2026-03-01T12:00:00.000000Z"
    naive = datetime(2026, 3, 1, 12, 0)  # noqa: DTZ001 (a caller's mistake, read as UTC)
    assert payload(replace(make_event(), occurred_at=naive))["timestamp"] == "2026-03-01T12:00:00.000000Z"
    assert payload(replace(make_event(), occurred_at=datetime.max.replace(tzinfo=UTC)))


def test_values_that_json_lacks_are_tagged_with_their_type():
    inputs = payload(make_event(turn=make_turn(day=date(2026, 1, 31), image=dspy.Image("https://example.com/a.png"))))[
        "data"
    ]["inputs"]
    assert inputs["day"] == {"$type": "date", "value": "2026-01-31"}
    assert from_json(inputs["image"]) == dspy.Image("https://example.com/a.png")


class Unheard:
    def __deepcopy__(self, memo):
        return self


def too_deep():
    nested = []
    for _ in range(5_000):
        nested = [nested]
    return nested


@pytest.mark.parametrize("value", [Unheard(), [{"x": Unheard()}]])
def test_a_value_without_a_json_form_costs_the_turn_one_field_not_all(value):
    message = turn_message(make_event(turn=make_turn(thing=value)), to_json)
    data = json.loads(message.body)["data"]
    VALIDATOR.validate(json.loads(message.body))
    assert message.omitted == ("inputs.thing",)
    assert data["omitted"] == ["inputs.thing"]
    assert data["inputs"] == {"question": "question 0"}


def test_a_value_nested_too_deep_is_left_out_as_well():
    class Deep:
        index, id, score, created_at = 0, "t", None, None
        inputs, outputs = {"deep": too_deep()}, {}

    assert turn_message(make_event(turn=Deep()), to_json).omitted == ("inputs.deep",)


@given(inputs=st.dictionaries(texts, values, max_size=3), name=texts, key=texts)
def test_any_turn_is_utf_8_and_fits_the_schema(inputs, name, key):
    turn = Turn(0, inputs, {}, id="t")
    message = turn_message(replace(make_event(turn=turn), key=key, author_name=name), to_json)
    data = json.loads(message.body.decode("utf-8"), parse_constant=pytest.fail)
    VALIDATOR.validate(data)
    assert message.omitted == ()
