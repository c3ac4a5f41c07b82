"""Emoji under our messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.action import Action, Reaction
from dspy_session_chat.inbound import Author
from dspy_session_slack.inbound.address import Ignored
from dspy_session_slack.inbound.emoji import emoji_of
from dspy_session_slack.inbound.reactions import reaction_of
from dspy_session_slack.unnamed import unnamed
from tests.loopback.slack import FakeSlack
from tests.slack.payloads import BOT, REACTION
from tests.slack.talk import ANN, BEN, GENERAL, MENTION, echoing


def test_a_reaction():
    assert reaction_of(REACTION, BOT, {"U00ANN": "Ann"}) == Action(
        key=ConversationKey("slack", "T00TEAM", "C00CHAN"),
        event_id="reaction_added:C00CHAN:1766458026.240809:U00ANN:thumbsup:1766458035.000100",
        author=Author("U00ANN", "Ann", workspace="T00TEAM"),
        sent_at=datetime(2025, 12, 23, 2, 47, 15, 100, tzinfo=UTC),
        deed=Reaction("👍", "C00CHAN:1766458026.240809"),
        reply_to={"channel": "C00CHAN"},
    )


@pytest.mark.parametrize(
    ("name", "emoji"),
    [
        ("+1", "👍"),
        ("thumbsup::skin-tone-2", "👍"),
        ("-1", "👎"),
        ("thumbsdown", "👎"),
        ("heart", "❤️"),
        ("tada", "🎉"),
        ("eyes", "👀"),
        ("party_parrot", "party_parrot"),
    ],
)
def test_emoji_have_names_in_slack(name: str, emoji: str):
    assert emoji_of(name) == emoji


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"item_user": "U00BEN"}, "not ours"),
        ({"user": "U00BOT"}, "our own reaction"),
        ({"item": {"type": "file", "file": "F1"}}, "not well formed"),
        ({"item": None}, "not well formed"),
        ({"reaction": ""}, "not well formed"),
        ({"event_ts": "yesterday"}, "not well formed"),
    ],
)
def test_what_is_no_reaction_to_us(changes: dict[str, Any], reason: str):
    assert reaction_of({**REACTION, **changes}, BOT, {}) == Ignored(reason)  # type: ignore[arg-type]


def test_whose_message_it_is_need_not_be_told():
    event = {name: value for name, value in REACTION.items() if name != "item_user"}

    assert isinstance(reaction_of(event, BOT, {}), Action)


anything = st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=2)
items = st.dictionaries(
    st.sampled_from(["type", "channel", "ts"]), st.sampled_from(["message", "C1", "1.1"]) | anything
)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["user", "reaction", "item_user", "event_ts"]), anything), items | anything)
def test_a_reaction_of_any_shape_is_translated_or_ignored(changes: dict[str, Any], item: Any):
    assert isinstance(reaction_of({**REACTION, **changes, "item": item}, BOT, {}), Action | Ignored)


async def test_they_come_with_the_id_of_the_post_and_again_under_the_same_id(slack: FakeSlack):
    async with echoing(slack) as echo:
        await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        post = await slack.next_post()
        await slack.react("thumbsup::skin-tone-4", channel=GENERAL, ts=post.ts, user=ANN)
        await slack.react("thumbsup::skin-tone-4", channel=GENERAL, ts=post.ts, user=ANN, added=False)
        added = await slack.react("tada", channel=GENERAL, ts=post.ts, user=BEN)
        assert added is not None
        await slack.settled()
        await slack.redeliver(added)
        await slack.settled()

    message = f"{GENERAL}:{post.ts}"
    assert [(action.author.name, action.deed) for action in echo.actions] == [
        ("Ann", Reaction("👍", message)),
        ("Ann", Reaction("👍", message, added=False)),
        (unnamed(BEN), Reaction("🎉", message)),
    ]
    assert len({action.event_id for action in echo.actions}) == 3


async def test_under_what_others_wrote_they_are_none_of_ours(slack: FakeSlack):
    async with echoing(slack) as echo:
        said = await slack.say("lunch?", channel=GENERAL, user=ANN)
        await slack.react("+1", channel=GENERAL, ts=said["ts"], user=BEN)
        await slack.settled()

    assert echo.actions == []
