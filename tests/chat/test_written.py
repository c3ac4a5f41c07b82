"""What the bot reads back of its own is read with suspicion."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.conversation import ConversationKey
from dspy_session.errors import SessionError
from dspy_session_chat import Attachment, Author, Inbound
from dspy_session_chat.action import Action, Press, event_from_json
from dspy_session_chat.written import LONGEST, read_object

KEY = ConversationKey("slack", "T1", "C1", "1.2")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
MESSAGE = Inbound(
    *(KEY, "e1", Author("U1", "Ann", workspace="T1", roles=("r1",)), "hello", "thread", NOW, "general"),
    attachments=(Attachment("a.png", "image/png", 7, "https://files.example/a"),),
    reply_to={"channel": "C1"},
)
ACTION = Action(KEY, "e2", Author("U1", "Ann"), NOW, Press("up", "turn"), reply_to={"channel": "C1"})


@pytest.mark.parametrize("event", [MESSAGE, ACTION])
def test_what_was_written_is_read_back(event: Inbound | Action) -> None:
    assert event_from_json(read_object(json.dumps(event.to_json()), "an event")) == event


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ('{"text": NaN}', "NaN is no number"),
        ('{"size": -Infinity}', "Infinity is no number"),
        ('{"key": "a", "key": "b"}', "twice"),
        ('{"a": {"b": 1, "b": 1}}', "twice"),
        ('{"size": ' + "9" * 10_000 + "}", "limit"),
        ("", "Expecting value"),
        ("{", "Expecting"),
        ("[1]", "no JSON object"),
        (f'"{"x" * LONGEST}"', "longer than"),
    ],
)
def test_a_bomb_is_one_clear_line(text: str, says: str) -> None:
    with pytest.raises(SessionError, match=says) as caught:
        read_object(text, "a waiting event")
    assert str(caught.value).startswith("a waiting event is damaged: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": "../../etc"}, "conversation key"),
        ({"key": "slack:T1:C1:\0"}, "conversation key"),
        ({"key": ["slack"]}, "damaged"),
        ({"text": None}, "text must be str, not NoneType"),
        ({"text": ["a"]}, "text must be str, not list"),
        ({"event_id": 7}, "event_id must be str, not int"),
        ({"addressed": "everybody"}, "everybody"),
        ({"sent_at": "yesterday"}, "yesterday"),
        ({"sent_at": 7}, "damaged"),
        ({"author": None}, "author is damaged: it is no JSON object"),
        ({"author": {"id": "U1"}}, "damaged"),
        ({"author": {"id": "U1", "name": "Ann", "is_bot": "no"}}, "is_bot must be bool"),
        ({"author": {"id": "U1", "name": "Ann", "roles": "admin"}}, "roles must be a list of texts"),
        ({"attachments": [{"name": "a", "size": True}]}, "size must be int, not bool"),
        ({"attachments": "a"}, "attachment is damaged: it is no JSON object"),
        ({"attachments": 7}, "damaged"),
        ({"reply_to": []}, "reply_to must be dict"),
    ],
)
def test_a_damaged_message_is_one_clear_line(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SessionError, match=says) as caught:
        Inbound.from_json({**MESSAGE.to_json(), **change})
    assert "\n" not in str(caught.value)


def test_what_a_newer_version_wrote_besides_is_left_out() -> None:
    written = MESSAGE.to_json()
    written["mood"] = written["author"]["mood"] = written["attachments"][0]["mood"] = "good"
    assert Inbound.from_json(written) == MESSAGE


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["press", "../"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from([MESSAGE, ACTION]), st.data())
def test_no_damage_is_more_than_one_clear_error(event: Inbound | Action, data: st.DataObject) -> None:
    written = deepcopy(event.to_json())
    place: Any = written
    while True:
        name = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        if isinstance(place[name], (dict, list)) and place[name] and data.draw(st.booleans()):
            place = place[name]
            continue
        break
    if data.draw(st.booleans()) and isinstance(place, dict):
        del place[name]
    else:
        place[name] = data.draw(json_values)
    written = json.loads(json.dumps(written))
    said = ""
    try:
        read = event_from_json(written)
    except SessionError as error:
        said = str(error)
    else:
        assert event_from_json(json.loads(json.dumps(read.to_json()))) == read
        assert read.user.isascii()
        assert read.user.count(":") == 2
    assert "\n" not in said
    assert len(said) < 400
