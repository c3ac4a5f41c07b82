"""Threads that the bot opens."""

from __future__ import annotations

import pytest

from dspy_session.errors import PlatformError
from dspy_session_chat.platform import CanOpenThread, Post
from dspy_session_chat.reply import Reply
from tests.loopback.slack import FakeSlack, refused
from tests.slack.talk import ANN, ANNS_DM, GENERAL, Echo, platform_of, running, some_inbound


@pytest.mark.parametrize("channel", [GENERAL, ANNS_DM])
async def test_a_thread_is_opened_beside_the_one_that_somebody_is_in(slack: FakeSlack, channel: str):
    root = await slack.say("lunch?", channel=channel, user=ANN)
    platform = platform_of(slack)
    assert isinstance(platform, CanOpenThread)
    echo = Echo(platform)
    async with running(platform, echo, slack):
        opened = await platform.open_thread(some_inbound(channel, root["ts"]), "Lunch <!channel>\n& *dinner*")
        ts = opened.reply_to["thread_ts"]
        await slack.say("go on", channel=channel, user=ANN, thread_ts=ts)
        await slack.settled()

    title, reply, _ = slack.shown(channel, ts)
    assert (title.text, reply.text) == ("Lunch @\u200bchannel &amp; *dinner*", "go on")
    address = f"https://loopback.slack.com/archives/{channel}/p{ts.replace('.', '')}"
    assert opened.link == f"[Lunch @\u200bchannel & \\*dinner\\*]({address})"
    assert echo.received[-1].key == opened.key
    assert slack.called("conversations.replies") == []
    assert (slack.posts[-1].text, slack.posts[-1].thread_ts) == ("echo: go on", ts)


async def test_it_can_be_written_in_at_once(slack: FakeSlack):
    platform = platform_of(slack)
    opened = await platform.open_thread(some_inbound(GENERAL), " ")
    inbound = some_inbound(GENERAL, opened.reply_to["thread_ts"])

    await platform.post(Post(inbound, Reply("Nine.")))

    assert [each.text for each in slack.shown(GENERAL, opened.key.thread)] == ["A new thread", "Nine."]


async def test_it_needs_no_link(slack: FakeSlack):
    slack.fail("chat.getPermalink", refused("internal_error"))

    assert (await platform_of(slack).open_thread(some_inbound(GENERAL), "Lunch")).link == ""


async def test_where_the_bot_may_not_write_it_opens_none(slack: FakeSlack):
    with pytest.raises(PlatformError, match="the bot is not in the channel here"):
        await platform_of(slack).open_thread(some_inbound("C0ELSEWHERE"), "Lunch")
