"""People change and delete what they wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.action import Action, Deletion, Edit
from dspy_session_chat.inbound import Author
from dspy_session_slack.inbound.address import Ignored
from dspy_session_slack.inbound.changes import Change, change_of, translate_change
from tests.loopback.slack import FakeSlack
from tests.slack.payloads import BOT, DELETION, EDIT, OWN, message
from tests.slack.talk import ANN, ANNS_DM, BEN, GENERAL, MENTION, OTHER_BOT, echoing

AT = "1766458033.001300"


def translated(event: dict[str, Any]) -> Action:
    change = change_of(event, BOT)
    assert isinstance(change, Change)
    return translate_change(change, BOT, {"U00ANN": "Ann", "C00CHAN": "general"})


def edit(now: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    changed = {**EDIT, "message": now, "previous_message": before}
    return {name: value for name, value in changed.items() if value is not None}


def test_an_edit():
    assert translated(EDIT) == Action(
        key=ConversationKey("slack", "T00TEAM", "C00CHAN", "1766458026.240809"),
        event_id=f"message_changed:C00CHAN:1766458026.240809:{AT}",
        author=Author("U00ANN", "Ann", workspace="T00TEAM"),
        sent_at=datetime(2025, 12, 23, 2, 47, 13, 1300, tzinfo=UTC),
        deed=Edit("C00CHAN:1766458026.240809", "hello again"),
        channel_name="general",
        reply_to={"channel": "C00CHAN", "thread_ts": "1766458026.240809"},
    )


def test_a_deletion():
    action = translated(DELETION)

    assert (action.deed, action.author.name) == (Deletion("C00CHAN:1766458026.240809"), "Ann")
    assert action.event_id == "message_deleted:C00CHAN:1766458026.240809:1766458034.001300"


def test_a_deletion_that_does_not_say_whose():
    action = translated({**DELETION, "previous_message": None})

    assert (action.deed, action.author.id) == (Deletion("C00CHAN:1766458026.240809"), "")


def test_an_edit_that_does_not_say_what_was_there_before():
    assert translated(edit(EDIT["message"])).deed == Edit("C00CHAN:1766458026.240809", "hello again")  # type: ignore[arg-type]


def test_a_deleted_message_that_leaves_its_thread_behind():
    tombstone = message("This message was deleted.", user="USLACKBOT", subtype="tombstone")

    assert translated(edit(tombstone, message())).deed == Deletion("C00CHAN:1766458026.240809")


def test_the_first_message_of_a_thread_in_a_dm_belongs_to_the_dm():
    place = {"channel": "D00ANN", "channel_type": "im"}
    root = message("hello again", thread_ts="1766458026.240809", edited={})

    assert translated({**edit(root, message("hello")), **place}).key == ConversationKey("slack", "T00TEAM", "D00ANN")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (edit(message(attachments=[{}]), message()), "nothing was changed that people wrote"),
        (edit(message(attachments=[{}])), "nothing was changed that people wrote"),
        (edit({**OWN, "text": "more"}, OWN), "our own message"),
        ({**DELETION, "previous_message": OWN}, "our own message"),
        (edit(message("a", subtype="channel_topic"), message("b")), "a join or other news about the channel"),
        (edit(message("a", ts="yesterday"), message("b")), "not well formed"),
        ({**EDIT, "ts": None}, "not well formed"),
        ({**DELETION, "deleted_ts": "yesterday"}, "not well formed"),
    ],
)
def test_what_is_no_change(event: dict[str, Any], reason: str):
    assert change_of(event, BOT) == Ignored(reason)  # type: ignore[arg-type]


anything = st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=2)
parts = st.dictionaries(st.sampled_from(["user", "bot_id", "subtype", "ts", "thread_ts", "text", "edited"]), anything)


@settings(max_examples=40)
@given(st.sampled_from([EDIT, DELETION]), parts | anything, parts | anything, st.dictionaries(st.just("ts"), anything))
def test_a_change_of_any_shape_is_translated_or_ignored(kind: dict[str, Any], now: Any, before: Any, more: Any):
    now = {**message(), **now} if isinstance(now, dict) else now
    before = {**message("before"), **before} if isinstance(before, dict) else before
    change = change_of({**kind, "message": now, "previous_message": before, **more}, BOT)

    assert isinstance(change, Ignored) or isinstance(translate_change(change, BOT, {}), Action)


async def test_edits_and_deletions_come_as_what_they_are(slack: FakeSlack):
    async with echoing(slack) as echo:
        said = await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.next_post()
        await slack.edit(said, f"{MENTION} hello, <@{BEN}>!", channel=GENERAL)
        await slack.unfurl(said, channel=GENERAL)
        await slack.settled()
        await slack.redeliver(slack.deliveries[-2])
        await slack.delete(said, channel=GENERAL)
        await slack.settled()

    message_id = f"{GENERAL}:{said['ts']}"
    assert [action.deed for action in echo.actions] == [Edit(message_id, "hello, @Ben!"), Deletion(message_id)]
    assert {action.key for action in echo.actions} == {echo.received[0].key}
    assert {action.author.name for action in echo.actions} == {"Ann"}


async def test_in_a_thread_that_the_bot_is_in_new_names_are_looked_up(slack: FakeSlack):
    async with echoing(slack) as echo:
        asked = await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.next_post()
        said = await slack.say("and then?", channel=GENERAL, user=ANN, thread_ts=asked["ts"])
        await slack.next_post()
        await slack.edit(said, f"and then, with <@{BEN}>?", channel=GENERAL)
        await slack.settled()

    (action,) = echo.actions
    assert action.deed == Edit(f"{GENERAL}:{said['ts']}", "and then, with @Ben?")
    assert action.key == echo.received[0].key


async def test_in_a_dm_too(slack: FakeSlack):
    async with echoing(slack) as echo:
        said = await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()
        await slack.edit(said, "hello!", channel=ANNS_DM)
        await slack.settled()
        await slack.delete(said, channel=ANNS_DM)
        await slack.settled()

    message_id = f"{ANNS_DM}:{said['ts']}"
    assert [action.deed for action in echo.actions] == [Edit(message_id, "hello!"), Deletion(message_id)]


async def test_changes_among_others_cost_no_call(slack: FakeSlack):
    async with echoing(slack) as echo:
        said = await slack.say("lunch?", channel=GENERAL, user=ANN)
        built = await slack.say("building", channel=GENERAL, user=OTHER_BOT)
        await slack.settled()
        before = len(slack.calls)
        await slack.edit(said, f"lunch, <@{BEN}>?", channel=GENERAL)
        await slack.edit(built, "built", channel=GENERAL)
        await slack.settled()

    assert [action.author.is_bot for action in echo.actions] == [False, True]
    assert len(slack.calls) == before
