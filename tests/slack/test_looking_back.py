"""What was said before the bot was called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dspy_session_chat.inbound import Author, Inbound
from dspy_session_chat.platform import CanReadBack, Post
from dspy_session_chat.reply import Reply
from tests.loopback.slack import FakeSlack, refused
from tests.slack.talk import ANN, ANNS_DM, BEN, GENERAL, MENTION, OTHER_BOT, echoing, platform_of, running, some_inbound


async def asked(slack: FakeSlack, inbound: Inbound, most: int = 10) -> list[tuple[str, str, bool]]:
    async def receive(event: object) -> None:
        pass

    platform = platform_of(slack)
    assert isinstance(platform, CanReadBack)
    async with running(platform, receive, slack):
        said = await platform.said_before(inbound, most)
    return [(each.author.name, each.text, each.ours) for each in said]


async def test_a_thread_as_it_was_before_the_question(slack: FakeSlack):
    root = await slack.say("lunch, <@U0BEN>?", channel=GENERAL, user=ANN)
    thread = root["ts"]
    await slack.say("sure &amp; soon", channel=GENERAL, user=BEN, thread_ts=thread)
    await slack.say("menu: soup", channel=GENERAL, user=OTHER_BOT, thread_ts=thread)
    await slack.say("<@U0BEN> has joined", channel=GENERAL, user=BEN, thread_ts=thread, subtype="channel_join")
    await platform_of(slack).post(Post(some_inbound(GENERAL, thread), Reply("I like soup.")))
    async with echoing(slack) as echo:
        await slack.say(f"{MENTION} where?", channel=GENERAL, user=ANN, thread_ts=thread)
        await slack.next_post()
        await slack.next_post()
        await slack.say("too late", channel=GENERAL, user=BEN, thread_ts=thread)
        await slack.settled()
    question = next(inbound for inbound in echo.received if inbound.addressed == "mention")
    before = len(slack.called("conversations.replies"))

    assert await asked(slack, question) == [
        ("Ann", "lunch, @Ben?", False),
        ("Ben", "sure & soon", False),
        ("Ticker", "menu: soup", False),
        ("helper", "I like soup.", True),
    ]
    assert len(slack.called("conversations.replies")) == before + 1
    assert [text for _, text, _ in await asked(slack, question, 2)] == ["menu: soup", "I like soup."]
    assert await asked(slack, question, 0) == []


async def test_a_dm_as_it_was_before_the_question(slack: FakeSlack):
    for number in range(5):
        await slack.say(f"thought {number}", channel=ANNS_DM, user=ANN)
    said = await slack.say("well?", channel=ANNS_DM, user=ANN)
    inbound = replace(some_inbound(), event_id=f"{ANNS_DM}:{said['ts']}")

    assert [text for _, text, _ in await asked(slack, inbound, 3)] == ["thought 2", "thought 3", "thought 4"]
    assert len(slack.called("conversations.history")) == 1


async def test_nothing_comes_before_what_opens_a_thread(slack: FakeSlack):
    said = await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
    inbound = replace(some_inbound(GENERAL, said["ts"]), event_id=f"{GENERAL}:{said['ts']}")

    assert await asked(slack, inbound) == []
    assert slack.called("conversations.replies") == []


async def test_what_slack_does_not_tell_is_done_without(slack: FakeSlack, caplog: pytest.LogCaptureFixture):
    root = await slack.say("lunch?", channel=GENERAL, user=ANN)
    said = await slack.say("well?", channel=GENERAL, user=ANN, thread_ts=root["ts"])
    inbound = replace(some_inbound(GENERAL, root["ts"]), event_id=f"{GENERAL}:{said['ts']}")
    platform = platform_of(slack)
    for code in ("token_revoked", "token_revoked", "missing_scope"):
        slack.fail("conversations.replies", refused(code))
        assert await platform.said_before(inbound, 9) == []
    assert len(await platform.said_before(inbound, 9)) == 1
    told = [f"What was said before in {GENERAL} cannot be had: {code}" for code in ("token_revoked", "missing_scope")]
    assert caplog.messages == told, "the same is not told again for each message"


async def test_the_end_of_a_thread_without_end_cannot_be_had(slack: FakeSlack):
    general = slack.workspace.channels[GENERAL]
    root = slack.workspace.write(general, {"user": ANN, "text": "lunch?"})["ts"]
    for number in range(1_000):
        slack.workspace.write(general, {"user": BEN, "text": f"idea {number}", "thread_ts": root})
    said = slack.workspace.write(general, {"user": BEN, "text": "well?", "thread_ts": root})
    inbound = replace(some_inbound(GENERAL, root), event_id=f"{GENERAL}:{said['ts']}")

    assert await asked(slack, inbound) == []


async def test_where_slack_does_not_let_us_in_nothing_was_said_before(slack: FakeSlack):
    assert await platform_of(slack, bot_token="xoxb-wrong").said_before(some_inbound(), 5) == ()


async def test_a_press_has_no_place_among_the_messages(slack: FakeSlack):
    inbound = replace(some_inbound(), event_id="press:D0ANN:1.1:U0ANN:2.2", author=Author(ANN, "Ann"))

    assert await asked(slack, inbound) == []
    assert slack.called("conversations.history") == []
