"""Which threads the bot is in, also after a restart."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from dspy_session_chat.inbound import Inbound
from tests.chat.places import saying
from tests.loopback.slack import BOT_SCOPES, FakeSlack, held, refused, server_error
from tests.slack.talk import ANN, BEN, GENERAL, MENTION, OTHER_BOT, Echo, echoing, platform_of, running, some_inbound


async def opened(slack: FakeSlack) -> str:
    """A thread that the bot was asked into, by a process that has ended."""
    async with echoing(slack):
        said = await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.next_post()
        await slack.settled()
    ts: str = said["ts"]
    return ts


async def test_it_is_found_again_after_a_restart_and_looked_up_once(slack: FakeSlack):
    thread = await opened(slack)

    async with echoing(slack) as echo:
        for text in ("still there?", "sure?"):
            await slack.say(text, channel=GENERAL, user=BEN, thread_ts=thread)
            await slack.next_post()

    assert echo.texts == ["still there?", "sure?"]
    assert len(slack.called("conversations.replies")) == 1


async def test_nothing_is_looked_up_once_the_bot_was_mentioned(slack: FakeSlack):
    received: list[str] = []

    async def receive(inbound: Inbound) -> None:
        received.append(inbound.text)

    async with running(platform_of(slack), receive, slack):
        said = await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.settled()
        await slack.say("more", channel=GENERAL, user=ANN, thread_ts=said["ts"])
        await slack.settled()

    assert received == ["hello", "more"]
    assert slack.called("conversations.replies") == []


async def test_nor_once_it_has_posted_there(slack: FakeSlack):
    lunch = await slack.say("lunch?", channel=GENERAL, user=ANN)
    platform = platform_of(slack)
    echo = Echo(platform)
    await platform.post(saying(some_inbound(GENERAL, lunch["ts"]), "may I suggest soup?"))

    async with running(platform, echo, slack):
        await slack.say("why not", channel=GENERAL, user=BEN, thread_ts=lunch["ts"])
        await slack.next_post()
        await slack.settled()

    assert echo.texts == ["why not"]
    assert slack.called("conversations.replies") == []


async def test_a_thread_that_we_began_is_known_by_its_parent(slack: FakeSlack):
    slack.workspace.channels[GENERAL].messages.append({"ts": "1600000000.000100", "user": "U0BOT", "text": "news"})

    async with echoing(slack) as echo:
        await slack.say("tell me more", channel=GENERAL, user=ANN, thread_ts="1600000000.000100")
        await slack.next_post()

    assert echo.texts == ["tell me more"]
    assert slack.called("conversations.replies") == []


async def test_a_thread_without_the_bot_is_looked_up_once_and_left_alone(slack: FakeSlack):
    async with echoing(slack) as echo:
        lunch = await slack.say("lunch?", channel=GENERAL, user=ANN)
        for _ in range(3):
            await slack.say("sure", channel=GENERAL, user=BEN, thread_ts=lunch["ts"])
            await slack.settled()

    assert echo.texts == []
    assert len(slack.called("conversations.replies")) == 1


async def test_a_mention_brings_the_bot_into_a_thread_it_was_not_in(slack: FakeSlack):
    async with echoing(slack) as echo:
        lunch = await slack.say("lunch?", channel=GENERAL, user=ANN)
        await slack.say("sure", channel=GENERAL, user=BEN, thread_ts=lunch["ts"])
        await slack.settled()
        await slack.say(f"{MENTION} where?", channel=GENERAL, user=ANN, thread_ts=lunch["ts"])
        await slack.next_post()
        await slack.say("and when?", channel=GENERAL, user=BEN, thread_ts=lunch["ts"])
        await slack.next_post()

    assert echo.texts == ["where?", "and when?"]


async def test_a_bot_in_a_thread_is_heard_without_asking_slack(slack: FakeSlack):
    thread = await opened(slack)

    async with echoing(slack) as echo:
        for text in ("build 7 failed", "build 8 failed"):
            await slack.say(text, channel=GENERAL, user=OTHER_BOT, thread_ts=thread)
            await slack.settled()
        assert slack.called("conversations.replies") == []
        await slack.say("what now?", channel=GENERAL, user=BEN, thread_ts=thread)
        await slack.next_post()
        await slack.say("build 9 failed", channel=GENERAL, user=OTHER_BOT, thread_ts=thread)
        await slack.settled()

    assert echo.texts == ["what now?"]
    assert [each.addressed for each in echo.overheard] == ["ambient", "ambient", "thread"]


async def test_it_is_found_deep_in_a_long_thread(slack: FakeSlack):
    general = slack.workspace.channels[GENERAL]
    lunch = slack.workspace.write(general, {"user": ANN, "text": "lunch?"})["ts"]
    for number in range(450):
        slack.workspace.write(general, {"user": BEN, "text": f"idea {number}", "thread_ts": lunch})
    slack.workspace.write(general, {"user": ANN, "text": f"{MENTION}?", "thread_ts": lunch})

    async with echoing(slack) as echo:
        await slack.say("go on", channel=GENERAL, user=BEN, thread_ts=lunch)
        await slack.next_post()

    assert echo.texts == ["go on"]
    assert len(slack.called("conversations.replies")) == 3


@pytest.mark.parametrize("fault", [server_error(502), refused("internal_error"), refused("fatal_error")])
async def test_a_reply_comes_again_while_slack_cannot_show_the_thread(
    slack: FakeSlack, fault: Any, caplog: pytest.LogCaptureFixture
):
    thread = await opened(slack)
    slack.fail("conversations.replies", fault)

    async with echoing(slack) as echo:
        await slack.say("still there?", channel=GENERAL, user=BEN, thread_ts=thread)
        await slack.until(lambda: slack.called("conversations.replies"))
        slack.lose_patience()
        await slack.next_post()
        await slack.settled()

    assert echo.texts == ["still there?"]
    assert "Slack does not say whether the bot is in a thread" in caplog.text


async def test_a_reply_waits_while_slack_is_slow(slack: FakeSlack):
    thread = await opened(slack)
    slow = asyncio.Event()
    slack.fail("conversations.replies", held(slow))

    async with echoing(slack) as echo:
        await slack.say("still there?", channel=GENERAL, user=BEN, thread_ts=thread)
        await slack.until(lambda: "conversations.replies" in slack.reached)
        slack.lose_patience()
        await slack.until(lambda: len(slack.deliveries[-1].envelope_ids) == 2)
        slow.set()
        await slack.next_post()
        await slack.settled()

    assert echo.texts == ["still there?"]
    assert len(slack.called("conversations.replies")) == 1


async def test_without_the_scope_a_thread_needs_a_mention_and_the_log_says_so_once(caplog: pytest.LogCaptureFixture):
    without_history = {scope for scope in BOT_SCOPES if not scope.endswith(":history")}
    async with FakeSlack(bot_scopes=without_history) as slack:
        caplog.set_level(logging.WARNING)
        threads = [await opened(slack), await opened(slack)]
        async with echoing(slack) as echo:
            for thread in threads:
                await slack.say("still there?", channel=GENERAL, user=BEN, thread_ts=thread)
                await slack.settled()

    assert echo.texts == []
    assert caplog.text.count("Replies in threads need a mention after a restart: add channels:history") == 1
