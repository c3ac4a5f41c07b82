from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspy_session.conversation.key import ConversationKey
from dspy_session.errors import InvalidKeyError
from dspy_session_slack import conversation_key
from tests.slack.payloads import REACTION, body, dm, mention, message, reply


def test_a_message_in_a_channel_opens_a_conversation_and_its_replies_belong_to_it():
    opened = conversation_key(body(message()))

    assert opened == ConversationKey("slack", "T00TEAM", "C00CHAN", "1766458026.240809")
    assert conversation_key(body(reply())) == opened


def test_the_twins_of_a_mention_belong_to_one_conversation():
    of_message = body(message(), context_team_id="T00TEAM", context_enterprise_id=None)

    assert conversation_key(of_message) == conversation_key(body(mention()))


def test_a_dm_is_one_conversation_but_for_its_threads():
    assert conversation_key(body(dm())) == ConversationKey("slack", "T00TEAM", "D00ANN")
    assert conversation_key(body(dm(ts="1766458099.000100"))) == ConversationKey("slack", "T00TEAM", "D00ANN")
    threaded = dm(ts="1766458099.000100", thread_ts="1766458026.240809")
    assert conversation_key(body(threaded)) == ConversationKey("slack", "T00TEAM", "D00ANN", "1766458026.240809")


def test_a_listener_may_give_the_event_or_the_body():
    assert conversation_key(reply()) == conversation_key(body(reply()))


def test_in_a_shared_channel_the_workspace_is_the_one_that_installed_the_app():
    from_outside = body(message(team="T0THEIRS"), team_id="T0THEIRS", context_team_id="T0THEIRS")

    assert conversation_key(from_outside).workspace == "T00TEAM"


def test_the_caller_may_know_the_workspace_better():
    assert conversation_key(body(message()), workspace="T0KNOWN").workspace == "T0KNOWN"


def test_what_is_no_message_has_no_conversation():
    with pytest.raises(InvalidKeyError, match="give a message or a mention"):
        conversation_key(body(REACTION))


def test_an_event_without_a_workspace_says_so():
    event = message()
    del event["team"]

    with pytest.raises(InvalidKeyError, match="workspace="):
        conversation_key(event)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=2)
)
fields = st.sampled_from(["type", "channel", "ts", "thread_ts", "team", "team_id", "channel_type", "authorizations"])


@settings(max_examples=40)
@given(st.dictionaries(fields, anything), st.dictionaries(fields, anything))
def test_an_event_of_any_shape_has_a_key_or_says_why_not(event: dict[str, object], around: dict[str, object]):
    try:
        key = conversation_key({**around, "event": event})
    except InvalidKeyError:
        return
    assert ConversationKey.parse(str(key)) == key
