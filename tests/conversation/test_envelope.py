from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import dspy
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.codec import from_json
from dspy_session.conversation.envelope import TYPES, Selection, delivery, load_schema, seal, turn_id, with_id
from dspy_session.errors import ConfigurationError
from dspy_session.turn import Turn
from tests.events import DETAILS, KEY, NOON, make_change, make_event, make_turn

VALIDATORS = {
    kind: jsonschema.Draft202012Validator(load_schema(kind), format_checker=jsonschema.FormatChecker())
    for kind in TYPES
}
ALL = Selection()

texts = st.text(alphabet=st.characters(exclude_categories=()), max_size=20)  # lone surrogates too
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), texts, st.binary(), st.dates()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3) | st.tuples(inner),
    max_leaves=8,
)


def payload(event, selection=ALL):
    body = json.loads(seal(event, selection).body)
    VALIDATORS[body["type"]].validate(body)
    return body


def every_event():
    return [make_event(), *(make_change(kind) for kind in DETAILS)]


@pytest.mark.parametrize("kind", TYPES)
def test_the_schemas_are_schemas_and_say_the_same_of_conversations(kind):
    schema = load_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$defs"]["conversation"] == load_schema()["$defs"]["conversation"]
    assert schema["properties"]["type"] == {"const": kind}
    assert schema["$id"] == f"urn:dspy-session-kit:webhook:{kind}:v1"


@pytest.mark.parametrize("kind", ["conversation.eaten", "../../../etc/passwd", ""])
def test_there_is_no_schema_of_what_is_no_event(kind):
    with pytest.raises(ConfigurationError, match="there is no event"):
        load_schema(kind)


def test_the_whole_body_in_its_order():
    turn = Turn(3, {"question": "Wie geht's?"}, {"answer": "gut"}, score=0.5, id="abc", created_at=NOON)
    usage = {"stub/model": {"prompt_tokens": 3, "details": {"cached": 1}}}
    event = replace(
        make_event(turn=turn), event_id="Ev1", agent_version="v7", agent="support", usage=usage, seconds=0.25
    )
    body = payload(event)
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
            "event_id": "Ev1",
            "author": {"id": "U1", "name": "Ada"},
            "inputs": {"question": "Wie geht's?"},
            "outputs": {"answer": "gut"},
            "omitted": [],
            "score": 0.5,
            "stopped": None,
            "model": "stub/model",
            "agent_version": "v7",
            "agent": "support",
            "usage": {"stub/model": {"prompt_tokens": 3, "details": {"cached": 1}}},
            "created_at": "2026-03-01T12:00:00.000000Z",
            "seconds": 0.25,
        },
    }
    assert list(body["data"]) == load_schema()["properties"]["data"]["required"]


def test_the_same_event_makes_the_same_bytes():
    first, second = (seal(make_event(turn=make_turn(1, tags={"b", "a", "c"})), ALL) for _ in range(2))
    assert first == second
    assert b": " not in first.body
    assert "answer" not in repr(first)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (
            "turn.scored",
            {
                "turn_id": "t1",
                "score": 1.0,
                "by": "U1",
                "source": "button",
                "text": "well said",
                "omitted": [],
            },
        ),
        ("conversation.undone", {"turn_ids": ["t2", "t1"]}),
        ("conversation.reset", {}),
        (
            "conversation.forked",
            {
                "from": {
                    "key": "slack:T1:C2",
                    "platform": "slack",
                    "workspace": "T1",
                    "channel": "C2",
                    "thread": None,
                }
            },
        ),
        ("conversation.deleted", {}),
    ],
)
def test_what_is_told_of_a_change(kind, data):
    body = payload(make_change(kind))
    told = body["data"]
    assert (body["type"], body["timestamp"]) == (kind, "2026-03-01T12:00:00.000000Z")
    assert (told.pop("version"), told.pop("conversation")["key"]) == (1, KEY)
    assert told == data
    assert {"version", "conversation", *data} == set(load_schema(kind)["properties"]["data"]["required"])


def test_a_score_without_a_number_or_words():
    data = payload(make_change(score=None, by="", text="", source=""))["data"]
    assert [data[name] for name in ("score", "by", "text", "source")] == [None] * 4


def test_each_event_has_an_id_of_its_own():
    ids = [seal(event, ALL).id for event in (make_event(turn=make_turn(turn_id="c1")), make_change(event_id="c1"))]
    assert ids == ["turn_c1", "change_c1"]


def test_a_delivery_holds_the_envelope():
    event = make_event()
    made = delivery("crm", event, ALL)
    envelope = seal(event, ALL)
    assert (made.sink, made.id, made.body, made.at) == ("crm", envelope.id, envelope.body, NOON.timestamp())


@pytest.mark.parametrize("event", every_event(), ids=lambda event: type(event).__name__)
def test_a_body_may_say_its_id_too(event):
    envelope = seal(event, ALL)
    told = json.loads(with_id('a "quoted" \ud800 id', envelope.body))
    assert told == {"id": 'a "quoted" \ud800 id', **json.loads(envelope.body)}
    VALIDATORS[told["type"]].validate(told)


@given(st.text(min_size=1), st.text(min_size=1))
def test_ids_are_safe_in_a_header_and_never_clash(one, other):
    assert turn_id(one).isascii()
    assert turn_id(one).isprintable()
    assert "." not in turn_id(one)
    assert (turn_id(one) == turn_id(other)) == (one == other)


def test_a_long_id_is_told_by_its_hash():
    one, other = turn_id("鍵" * 2_000), turn_id("鍵" * 2_001)
    assert one != other
    assert all(each.startswith("turn_sha256-") and len(each) < 100 for each in (one, other))
    assert turn_id("\ud800" * 2_000).isascii()


def test_a_lone_surrogate_comes_through():
    event = make_event(turn=make_turn(turn_id="\ud800", torn="half \ud83d of a smile"))
    assert turn_id("\ud800") == "turn_%ED%A0%80"
    assert payload(event)["data"]["inputs"]["torn"] == "half \ud83d of a smile"


# --- what leaves ----------------------------------------------------------------------------------------------------


def test_only_the_events_that_were_asked_for_are_told():
    chosen = Selection.of(events=["turn.scored", "conversation.reset"])
    told = [json.loads(envelope.body)["type"] for event in every_event() if (envelope := seal(event, chosen))]
    assert told == ["turn.scored", "conversation.reset"]
    assert delivery("crm", make_event(), chosen) is None


def test_only_the_fields_that_were_asked_for_leave():
    event = make_event(turn=make_turn(secret="hush"))
    data = payload(event, Selection.of(fields=["question", "nothing of that name"]))["data"]
    assert (data["inputs"], data["outputs"], data["omitted"]) == ({"question": "question 0"}, {}, [])


def test_fields_are_redacted_by_name():
    event = make_event(turn=make_turn(email="ada@example.com"))
    data = payload(event, Selection.of(redact={"email", "answer"}))["data"]
    assert data["inputs"] == {"question": "question 0", "email": "[redacted]"}
    assert data["outputs"] == {"answer": "[redacted]"}


def test_fields_are_redacted_by_a_function():
    chosen = Selection.of(redact=lambda name, value: f"{name}: {len(value)}")
    assert payload(make_event(), chosen)["data"]["inputs"] == {"question": "question: 10"}
    assert payload(make_change(), chosen)["data"]["text"] == "text: 9", "what people say with a score as well"


def test_a_value_whose_redaction_fails_does_not_leave(caplog):
    def redact(name, value):
        if value in ("hush", "well said"):
            raise ValueError(f"what to do with {value}?")
        return value

    chosen = Selection.of(redact=redact)
    envelope = seal(make_event(turn=make_turn(secret="hush")), chosen)
    assert envelope.omitted == ("inputs.secret",)
    data = payload(make_event(turn=make_turn(secret="hush")), chosen)["data"]
    assert (data["inputs"], data["omitted"]) == ({"question": "question 0"}, ["inputs.secret"])
    scored = payload(make_change(), chosen)["data"]
    assert (scored["text"], scored["omitted"]) == (None, ["text"])
    delivery("crm", make_event(turn=make_turn(secret="hush")), chosen)
    assert "crm: turn_t0 goes without inputs.secret" in caplog.text
    assert "hush" not in envelope.body.decode() + caplog.text


@pytest.mark.parametrize("option", ["events", "fields", "redact"])
def test_a_text_is_not_taken_for_many_names(option):
    with pytest.raises(ConfigurationError, match=f"{option} must be a list of names, not the text 'answer'"):
        Selection.of(**{option: "answer"})


def test_an_unknown_event_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigurationError, match=r"no event 'turn\.scroed'; there are conversation.turn, turn.scored,"):
        Selection.of(events=["turn.scroed"])


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encode", [lambda value: value, lambda value: {1, 2}, lambda value: 1 / 0])
def test_what_an_encoder_makes_that_is_no_json_is_left_out(encode):
    event = make_event(turn=Turn(0, {"ratio": float("nan")}, {}, id="t"))
    assert payload(event, Selection.of(encode=encode))["data"]["omitted"] == ["inputs.ratio"]


def test_usage_that_json_cannot_hold_is_left_out():
    data = payload(replace(make_event(), usage={"m": {"tokens": object()}}))["data"]
    assert (data["usage"], data["omitted"]) == ({}, ["usage"])


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
    unknown = ("author", "model", "score", "created_at", "event_id", "agent_version", "agent", "seconds")
    assert [data[name] for name in unknown] == [None] * len(unknown)
    assert data["usage"] == {}


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
    event = make_event(turn=make_turn(thing=value))
    data = payload(event)["data"]
    assert seal(event, ALL).omitted == ("inputs.thing",)
    assert data["omitted"] == ["inputs.thing"]
    assert data["inputs"] == {"question": "question 0"}


def test_a_value_nested_too_deep_is_left_out_as_well():
    class Deep:
        index, id, score, stopped, created_at = 0, "t", None, "", None
        inputs, outputs = {"deep": too_deep()}, {}

    assert seal(make_event(turn=Deep()), ALL).omitted == ("inputs.deep",)


@given(inputs=st.dictionaries(texts, values, max_size=3), name=texts, key=texts)
def test_any_turn_is_utf_8_and_fits_the_schema(inputs, name, key):
    turn = Turn(0, inputs, {}, id="t")
    envelope = seal(replace(make_event(turn=turn), key=key, author_name=name), ALL)
    body = json.loads(envelope.body.decode("utf-8"), parse_constant=pytest.fail)
    VALIDATORS["conversation.turn"].validate(body)
    assert envelope.omitted == ()
