from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspy_session_slack.inbound.address import Ignored, address
from dspy_session_slack.inbound.translate import translate
from tests.slack import payloads
from tests.slack.payloads import BOT, body, dm, mention, message, reply


@pytest.mark.parametrize(
    ("event", "addressed"),
    [
        pytest.param(dm(), "direct", id="a DM"),
        pytest.param(dm("ask <@U00BEN>"), "direct", id="a DM about somebody"),
        pytest.param(dm("", files=[payloads.FILE], subtype="file_share"), "direct", id="a file by DM"),
        pytest.param({**dm(), "channel_type": None}, "direct", id="a DM that does not say so"),
        pytest.param(message("hey <@U00BOT> you there?"), "mention", id="a mention"),
        pytest.param(message("hey <@U00BOT|helper>"), "mention", id="a mention with a label"),
        pytest.param(mention(), "mention", id="the twin of a mention"),
        pytest.param(mention("hello"), "mention", id="a mention that only the blocks show"),
        pytest.param(message("<@U00BEN> meet <@U00BOT>"), "mention", id="a mention of two"),
        pytest.param(message("<@U00BOT> look", subtype="file_share", files=[]), "mention", id="a mention with a file"),
        pytest.param(message(channel_type="mpim", channel="C00GROUP"), "mention", id="a mention in a group DM"),
        pytest.param(reply("<@U00BOT> and then?"), "mention", id="a mention in a thread"),
        pytest.param(reply(), "thread", id="a reply"),
        pytest.param(reply(subtype="thread_broadcast"), "thread", id="a reply that the channel sees too"),
        pytest.param(reply("<@U00BEN> what do you think?"), "thread", id="a reply to somebody else"),
        pytest.param(reply("<!here> please look"), "thread", id="a reply to all"),
        pytest.param(message("lunch?"), "ambient", id="small talk"),
        pytest.param(message("_sighs_", subtype="me_message"), "ambient", id="a sigh"),
        pytest.param(message("<@U00BEN> lunch?"), "ambient", id="a mention of somebody else"),
        pytest.param(message("lunch?", thread_ts="1766458026.240809"), "ambient", id="the root of a thread"),
        pytest.param(payloads.OTHER_BOT, "mention", id="a bot that mentions us"),
        pytest.param(payloads.CLASSIC_BOT, "mention", id="a classic integration that mentions us"),
        pytest.param(message("build 7 failed", bot_id="B00CI"), "ambient", id="a bot to itself"),
        pytest.param(dm("hello", bot_id="B00CI"), "direct", id="a bot by DM"),
        pytest.param(payloads.SLACKBOT, "direct", id="Slackbot"),
    ],
)
def test_how_it_reaches_the_bot(event: dict[str, Any], addressed: str):
    assert address(event, BOT) == addressed


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        pytest.param(payloads.OWN, "our own message", id="our own"),
        pytest.param(dm("hi", user="U00BOT"), "our own message", id="our own without a bot_id"),
        pytest.param(message(user="U00X", bot_id="B00BOT"), "our own message", id="our own under another name"),
        pytest.param(payloads.JOIN, "a join or other news about the channel", id="a join"),
        pytest.param(message(subtype=["huddle_thread"]), "a join or other news about the channel", id="a twisted one"),
        pytest.param({"type": "team_join"}, "no message", id="something else"),
        pytest.param({**payloads.CLASSIC_BOT, "bot_id": None}, "not well formed", id="nobody"),
        pytest.param({"type": "message"}, "not well formed", id="nothing in it"),
        pytest.param(dm(ts="yesterday"), "not well formed", id="no time"),
        pytest.param(dm(thread_ts="yesterday"), "not well formed", id="no thread"),
        pytest.param(dm(text=["a"]), "not well formed", id="no text"),
        pytest.param(message(channel="../../etc"), "not well formed", id="no channel"),
    ],
)
def test_what_it_does_not_hear(event: dict[str, Any], reason: str):
    assert address(event, BOT) == Ignored(reason)  # type: ignore[arg-type]


anything = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=2)
file_fields = st.sampled_from(["name", "url_private", "size", "mimetype"])
twisted = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "app_mention"]) | anything,
        "subtype": st.sampled_from(["file_share", "message_changed"]) | anything,
        "channel": st.sampled_from(["C1", "D1"]) | anything,
        "channel_type": st.sampled_from(["im", "channel"]) | anything,
        "user": st.sampled_from(["U1", "U00BOT"]) | anything,
        "bot_id": anything,
        "ts": st.sampled_from(["1.1", "9999999999.999999"]) | anything,
        "thread_ts": st.sampled_from(["1.1", "2.2"]) | anything,
        "text": st.text() | anything,
        "files": st.lists(st.dictionaries(st.sampled_from(["name", "url_private", "size", "mimetype"]), anything))
        | anything,
    },
)


@settings(max_examples=40)
@given(twisted)
def test_an_event_of_any_shape_is_translated_or_ignored(changes: dict[str, Any]):
    event = {**dm("hello"), **changes}

    addressed = address(event, BOT)

    if not isinstance(addressed, Ignored):
        inbound = translate(body(event), addressed, BOT, {})
        assert inbound.key.platform == "slack"
        assert inbound.event_id == f"{event['channel']}:{event['ts']}"
