"""The fake refuses what Slack refuses, so a test that passes against it means something."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.loopback.slack import FakeSlack
from tests.slack.talk import ANN, ANNS_DM, GENERAL


def client_of(slack: FakeSlack, token: str | None = None) -> AsyncWebClient:
    return AsyncWebClient(base_url=slack.base_url, token=slack.bot_token if token is None else token)


@pytest.mark.parametrize(
    ("method", "arguments", "code"),
    [
        ("chat.postMessage", {"text": "hi"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "C0NOWHERE", "text": "hi"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "C0ELSEWHERE", "text": "hi"}, "not_in_channel"),
        ("chat.postMessage", {"channel": GENERAL, "text": " "}, "no_text"),
        ("chat.postMessage", {"channel": GENERAL, "text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", {"channel": GENERAL, "text": "hi", "thread_ts": "1.1"}, "thread_not_found"),
        ("chat.update", {"channel": GENERAL, "ts": "1.1", "text": "hi"}, "message_not_found"),
        ("chat.delete", {"channel": GENERAL, "ts": "1.1"}, "message_not_found"),
        ("chat.delete", {"channel": GENERAL}, "invalid_arguments"),
        ("users.info", {"user": "U0NOBODY"}, "user_not_found"),
        ("users.info", {}, "invalid_arguments"),
        ("conversations.replies", {"channel": GENERAL, "ts": "1.1"}, "thread_not_found"),
        ("conversations.history", {"channel": "C0ELSEWHERE"}, "not_in_channel"),
        ("conversations.info", {"channel": "C0NOWHERE"}, "channel_not_found"),
        ("reactions.add", {"channel": GENERAL, "timestamp": "1.1", "name": "eyes"}, "missing_scope"),
        ("chat.postEphemeral", {"channel": GENERAL, "user": "U0NOBODY", "text": "hi"}, "user_not_in_channel"),
        ("chat.postEphemeral", {"channel": GENERAL, "user": ANN, "text": " "}, "no_text"),
        ("chat.getPermalink", {"channel": GENERAL, "message_ts": "1.1"}, "message_not_found"),
        ("conversations.replies", {"channel": GENERAL, "ts": "1.1", "limit": 0}, "thread_not_found"),
        ("conversations.history", {"channel": GENERAL, "limit": 1_001}, "invalid_limit"),
        ("views.open", {"trigger_id": "made-up", "view": "{}"}, "invalid_arguments"),
        ("files.getUploadURLExternal", {"filename": "a.txt", "length": 0}, "invalid_arguments"),
        ("files.completeUploadExternal", {"files": '[{"id": "F1"}]', "channel_id": GENERAL}, "file_not_found"),
        ("no.such.method", {}, "unknown_method"),
    ],
)
async def test_it_refuses(slack: FakeSlack, method: str, arguments: dict[str, Any], code: str):
    with pytest.raises(SlackApiError) as raised:
        await client_of(slack).api_call(method, json=arguments)

    assert raised.value.response["error"] == code


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def button(number: int = 0, label: str = "Go", **more: Any) -> dict[str, Any]:
    text = {"type": "plain_text", "text": label}
    return {"type": "button", "action_id": f"go-{number}", "value": "go", "text": text, **more}


@pytest.mark.parametrize(
    "blocks",
    [
        [section("a")] * 51,
        [section("x" * 3_001)],
        [section("")],
        [actions()],
        [actions(*map(button, range(26)))],
        [actions(button(), button())],
        [actions(button(label="x" * 76))],
        [actions(button(value="x" * 2_001))],
        [actions(button(action_id="x" * 256))],
        [actions(button(style="good"))],
        [{"type": "spoiler"}],
    ],
)
async def test_it_refuses_blocks_that_slack_would_not_show(slack: FakeSlack, blocks: list[dict[str, Any]]):
    said = await client_of(slack).chat_postMessage(channel=GENERAL, text="hi")

    for method, place in (("chat.postMessage", {}), ("chat.update", {"ts": said["ts"]})):
        with pytest.raises(SlackApiError, match="invalid_blocks"):
            await client_of(slack).api_call(method, json={"channel": GENERAL, "text": "hi", "blocks": blocks, **place})


async def test_an_edit_leaves_blocks_that_it_does_not_name(slack: FakeSlack):
    client = client_of(slack)
    ts = (await client.chat_postMessage(channel=GENERAL, text="hi", blocks=[section("hi"), actions(button())]))["ts"]

    await client.chat_update(channel=GENERAL, ts=ts, text="ho")
    assert [(each.text, each.buttons) for each in slack.shown(GENERAL)] == [("hi", ("Go",))]
    await client.chat_update(channel=GENERAL, ts=ts, text="ho", blocks=[])
    assert [(each.text, each.buttons) for each in slack.shown(GENERAL)] == [("ho", ())]


@pytest.mark.parametrize(
    "changes",
    [
        {"title": {"type": "plain_text", "text": "x" * 25}},
        {"private_metadata": "x" * 3_001},
        {"submit": None},
        {"blocks": [{"type": "input", "label": {"type": "plain_text", "text": "x" * 2_001}}]},
    ],
)
async def test_it_refuses_modals_that_slack_would_not_open(slack: FakeSlack, changes: dict[str, Any]):
    trigger = slack.triggers.new()
    plain = {"type": "plain_text", "text": "Why?"}
    view = {"type": "modal", "title": plain, "submit": plain, "blocks": [{"type": "input", "label": plain}]}

    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await client_of(slack).views_open(trigger_id=trigger, view={**view, **changes})


async def test_a_modal_is_opened_once_and_soon(slack: FakeSlack):
    client, plain = client_of(slack), {"type": "plain_text", "text": "Why?"}
    view = {"type": "modal", "title": plain, "submit": plain, "blocks": [{"type": "input", "label": plain}]}
    used, old = slack.triggers.new(), slack.triggers.new()
    await client.views_open(trigger_id=used, view=view)
    slack.triggers.expire()

    for trigger in (used, old):
        with pytest.raises(SlackApiError, match="expired_trigger_id"):
            await client.views_open(trigger_id=trigger, view=view)
    assert len(slack.views) == 1


async def test_what_was_announced_longer_than_it_is_is_no_file(slack: FakeSlack):
    client = client_of(slack)
    place = await client.files_getUploadURLExternal(filename="a.txt", length=5)
    async with ClientSession() as session, session.post(place["upload_url"], data=b"four") as answer:
        assert answer.status == 400

    with pytest.raises(SlackApiError, match="file_not_found"):
        await client.files_completeUploadExternal(files=[{"id": place["file_id"]}], channel_id=GENERAL)


async def test_messages_are_read_back_up_to_a_time(slack: FakeSlack):
    times = [(await slack.say(text, channel=ANNS_DM, user=ANN))["ts"] for text in ("one", "two", "three")]
    client = client_of(slack)

    before = await client.conversations_history(channel=ANNS_DM, latest=times[1])
    until = await client.conversations_history(channel=ANNS_DM, latest=times[1], inclusive=True)
    assert [message["text"] for message in before["messages"]] == ["one"]
    assert [message["text"] for message in until["messages"]] == ["two", "one"]


@pytest.mark.parametrize(("token", "code"), [("", "not_authed"), ("xoxb-other", "invalid_auth")])
async def test_it_knows_its_tokens(slack: FakeSlack, token: str, code: str):
    with pytest.raises(SlackApiError, match=code):
        await client_of(slack, token).auth_test()


async def test_it_tells_tokens_apart(slack: FakeSlack):
    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        await client_of(slack).apps_connections_open(app_token=slack.bot_token)
    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        await client_of(slack, slack.app_token).auth_test()


async def test_it_asks_for_scopes():
    async with FakeSlack(bot_scopes={"chat:write"}) as slack:
        with pytest.raises(SlackApiError) as raised:
            await client_of(slack).users_info(user=ANN)

    assert raised.value.response["error"] == "missing_scope"
    assert raised.value.response["needed"] == "users:read"


async def test_what_is_posted_can_be_read_changed_and_deleted(slack: FakeSlack):
    client = client_of(slack)
    said = await slack.say("hi", channel=GENERAL, user=ANN)
    ts = (await client.chat_postMessage(channel=GENERAL, text="hello", thread_ts=said["ts"]))["ts"]

    await client.chat_update(channel=GENERAL, ts=ts, text="hello!")
    replies = await client.conversations_replies(channel=GENERAL, ts=said["ts"], limit=1)
    assert [message["text"] async for page in replies for message in page["messages"]] == ["hi", "hello!"]
    history = await client.conversations_history(channel=GENERAL)
    assert [message["text"] for message in history["messages"]] == ["hi"]

    with pytest.raises(SlackApiError, match="msg_too_long"):
        await client.chat_update(channel=GENERAL, ts=ts, text="x" * 4001)

    await client.chat_delete(channel=GENERAL, ts=ts)
    assert len((await client.conversations_replies(channel=GENERAL, ts=said["ts"]))["messages"]) == 1
    with pytest.raises(SlackApiError, match="cant_update_message"):
        await client.chat_update(channel=GENERAL, ts=said["ts"], text="not mine")


async def test_reactions_are_kept():
    async with FakeSlack(bot_scopes={"reactions:write"}) as slack:
        client = client_of(slack)
        ts = (await slack.say("hi", channel=ANNS_DM, user=ANN))["ts"]

        await client.reactions_add(channel=ANNS_DM, timestamp=ts, name="eyes")
        with pytest.raises(SlackApiError, match="already_reacted"):
            await client.reactions_add(channel=ANNS_DM, timestamp=ts, name="eyes")
        await client.reactions_remove(channel=ANNS_DM, timestamp=ts, name="eyes")
        with pytest.raises(SlackApiError, match="no_reaction"):
            await client.reactions_remove(channel=ANNS_DM, timestamp=ts, name="eyes")
        with pytest.raises(SlackApiError, match="message_not_found"):
            await client.reactions_add(channel=GENERAL, timestamp="1.1", name="eyes")


async def test_an_archived_channel_takes_no_posts(slack: FakeSlack):
    slack.workspace.channels[GENERAL].archived = True

    with pytest.raises(SlackApiError, match="is_archived"):
        await client_of(slack).chat_postMessage(channel=GENERAL, text="hi")


@pytest.mark.parametrize(
    ("text", "options", "pings"),
    [
        ("<!channel> <@U0ANN>", {}, ["<!channel>", "<@U0ANN>"]),
        ("&lt;!channel&gt; @here", {}, []),
        ("@here", {"link_names": True}, ["@here"]),
        ("@here", {"parse": "full"}, ["@here"]),
    ],
)
async def test_it_tells_who_would_be_pinged(slack: FakeSlack, text: str, options: dict[str, Any], pings: list[str]):
    await client_of(slack).chat_postMessage(channel=GENERAL, text=text, **options)

    assert slack.posts[0].pings == pings
    assert slack.posts[0].unfurls
