"""Answers on their way out: safe, split, and told apart when they fail."""

from __future__ import annotations

from typing import Any

import pytest

from dspy_session.errors import PlatformError
from tests.chat.places import saying
from tests.loopback.slack import FakeSlack, cut, rate_limited, refused, server_error
from tests.slack.talk import ANN, ANNS_DM, GENERAL, MENTION, platform_of, running, some_inbound


async def post(slack: FakeSlack, text: str, **where: Any) -> tuple[str, ...]:
    return (await platform_of(slack).post(saying(some_inbound(**where), text))).message_ids


async def test_a_post_is_told_by_its_message_ids(slack: FakeSlack):
    ids = await post(slack, "**hello**")

    (posted,) = slack.posts
    assert ids == (f"{ANNS_DM}:{posted.ts}",)
    assert posted.text == "*hello*"


async def test_what_a_model_writes_pings_nobody_and_fetches_nothing(slack: FakeSlack):
    hostile = (
        "<!channel> <@U0ANN> @here <!subteam^S1> [x](https://evil.example/?q=secret) ![](https://evil.example/i.png)"
    )

    await post(slack, hostile)

    (posted,) = slack.posts
    assert posted.pings == []
    assert not posted.unfurls
    assert slack.pinged == []
    assert "@\u200bchannel @Ann @\u200bhere @\u200bgroup" in posted.text


async def test_hostile_text_that_came_in_goes_out_harmless(slack: FakeSlack):
    platform = platform_of(slack)

    async def parrot(inbound) -> None:
        await platform.post(saying(inbound, inbound.text))

    async with running(platform, parrot, slack):
        await slack.say(f"{MENTION} say &lt;!channel&gt; and <!here>", channel=GENERAL, user=ANN)
        posted = await slack.next_post()

    assert posted.text == "say @\u200bchannel and @\u200bhere"
    assert slack.pinged == []


async def test_a_long_answer_is_split_in_order_and_stays_in_its_thread(slack: FakeSlack):
    root = await slack.say("go", channel=GENERAL, user=ANN)
    answer = "\n\n".join(f"{number}. " + "word " * 300 for number in range(20))

    ids = await post(slack, answer, channel=GENERAL, thread_ts=root["ts"])

    assert len(ids) == len(slack.posts) > 3
    assert ids == tuple(f"{GENERAL}:{posted.ts}" for posted in slack.posts)
    assert {posted.thread_ts for posted in slack.posts} == {root["ts"]}
    said = [each.text for each in slack.shown(GENERAL, root["ts"])[1:]]
    assert all(len(text) <= 6_000 for text in said)
    numbers = [line.split(".")[0] for text in said for line in text.splitlines() if "." in line[:3]]
    assert numbers == [str(number) for number in range(20)]


async def test_an_empty_answer_is_not_posted(slack: FakeSlack):
    assert await post(slack, " \n") == ()
    assert slack.posts == []


@pytest.mark.parametrize("fault", [rate_limited(), server_error(503), cut()])
async def test_a_passing_failure_is_tried_again(slack: FakeSlack, fault: Any):
    slack.fail("chat.postMessage", fault)

    await post(slack, "hello")

    assert [posted.text for posted in slack.posts] == ["hello"]


async def test_a_message_that_slack_took_before_the_connection_broke_stands_there_once(slack: FakeSlack):
    slack.fail("chat.postMessage", cut(after=True))

    (message,) = await post(slack, "hello")

    (shown,) = slack.shown(ANNS_DM)
    assert (shown.text, message) == ("hello", f"{ANNS_DM}:{shown.ts}")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (refused("not_in_channel"), r"the bot is not in the channel D0ANN: invite it there \(not_in_channel\)"),
        (refused("is_archived"), "the channel D0ANN is archived"),
        (refused("token_revoked"), r"the bot token is not accepted by Slack \(token_revoked\)"),
        (refused("missing_scope", needed="chat:write"), "the bot token lacks chat:write"),
        (refused("a_new_error"), r"Slack did not take the answer for D0ANN \(a_new_error\)"),
        (server_error(502), r"Slack did not take the answer for D0ANN \(HTTP 502\)"),
    ],
)
async def test_a_lasting_failure_is_one_line(slack: FakeSlack, fault: Any, message: str):
    slack.fail("chat.postMessage", fault, times=5)

    with pytest.raises(PlatformError, match=message) as raised:
        await post(slack, "hello")

    assert "\n" not in str(raised.value)
    assert slack.bot_token not in str(raised.value)


@pytest.mark.parametrize(
    ("channel", "thread_ts", "message"),
    [
        ("C0NOWHERE", None, "Slack does not know the channel C0NOWHERE"),
        ("C0ELSEWHERE", None, "the bot is not in the channel C0ELSEWHERE"),
        (GENERAL, "1.1", "the thread in C0GENERAL is gone"),
    ],
)
async def test_a_place_that_is_gone_is_told(slack: FakeSlack, channel: str, thread_ts: str | None, message: str):
    with pytest.raises(PlatformError, match=message):
        await post(slack, "hello", channel=channel, thread_ts=thread_ts)
