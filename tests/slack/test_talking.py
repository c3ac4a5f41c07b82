from __future__ import annotations

from typing import Any

import pytest

from dspy_session_chat.inbound import Attachment
from dspy_session_slack.unnamed import unnamed
from tests.loopback.slack import FakeSlack
from tests.loopback.slack.workspace import Channel
from tests.slack.talk import ANN, ANNS_DM, BEN, GENERAL, MENTION, OTHER_BOT, SECRET, echoing


@pytest.mark.parametrize("channel", [GENERAL, SECRET])
async def test_a_mention_is_answered_in_a_thread_on_it(slack: FakeSlack, channel: str):
    async with echoing(slack) as echo:
        said = await slack.say(f"{MENTION} hello", channel=channel, user=ANN)
        post = await slack.next_post()

    assert (post.text, post.channel, post.thread_ts) == ("echo: hello", channel, said["ts"])
    (inbound,) = echo.received
    assert (inbound.addressed, inbound.author.name, inbound.author.is_bot) == ("mention", "Ann", False)
    assert inbound.channel_name == slack.workspace.channels[channel].name
    assert str(inbound.key) == f"slack:T0LOOPBACK:{channel}:{said['ts']}"


async def test_the_thread_goes_on_without_mentions_under_the_same_key(slack: FakeSlack):
    async with echoing(slack) as echo:
        said = await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.next_post()
        await slack.say("and then?", channel=GENERAL, user=BEN, thread_ts=said["ts"])
        post = await slack.next_post()

    assert (post.text, post.thread_ts) == ("echo: and then?", said["ts"])
    first, second = echo.received
    assert first.key == second.key
    assert (second.addressed, second.author.name) == ("thread", "Ben")


async def test_in_a_group_dm_it_is_spoken_to_as_in_a_channel(slack: FakeSlack):
    slack.workspace.add(group := Channel("C0GROUP", "mpim", "mpdm-ann--ben--helper-1", {ANN, BEN, slack.bot.id}))
    async with echoing(slack) as echo:
        await slack.say("only us two", channel=group.id, user=BEN)
        said = await slack.say(f"{MENTION} hello", channel=group.id, user=ANN)
        first = await slack.next_post()
        await slack.say("and then?", channel=group.id, user=BEN, thread_ts=said["ts"])
        second = await slack.next_post()
        await slack.settled()

    assert [(post.text, post.thread_ts) for post in (first, second)] == [
        ("echo: hello", said["ts"]),
        ("echo: and then?", said["ts"]),
    ]
    assert [inbound.text for inbound in echo.overheard] == ["only us two"]
    assert {inbound.channel_name for inbound in echo.received} == {""}, "what Slack calls it is shown to nobody"


async def test_every_dm_is_answered_in_the_dm(slack: FakeSlack):
    async with echoing(slack) as echo:
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        first = await slack.next_post()
        await slack.say("again", channel=ANNS_DM, user=ANN)
        second = await slack.next_post()

    assert [(post.text, post.channel, post.thread_ts) for post in (first, second)] == [
        ("echo: hello", ANNS_DM, None),
        ("echo: again", ANNS_DM, None),
    ]
    assert {str(inbound.key) for inbound in echo.received} == {f"slack:T0LOOPBACK:{ANNS_DM}"}
    assert {inbound.addressed for inbound in echo.received} == {"direct"}


async def test_a_thread_in_a_dm_is_a_conversation_of_its_own(slack: FakeSlack):
    async with echoing(slack) as echo:
        said = await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()
        await slack.say("more", channel=ANNS_DM, user=ANN, thread_ts=said["ts"])
        post = await slack.next_post()

    assert post.thread_ts == said["ts"]
    assert echo.received[0].key != echo.received[1].key


async def test_people_among_themselves_are_overheard_and_left_alone(slack: FakeSlack):
    async with echoing(slack) as echo:
        lunch = await slack.say("lunch?", channel=GENERAL, user=ANN)
        await slack.say("sure", channel=GENERAL, user=BEN, thread_ts=lunch["ts"])
        asked = await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.next_post()
        await slack.say(f"<@{BEN}> did you see that?", channel=GENERAL, user=ANN, thread_ts=asked["ts"])
        await slack.say("<!here> look", channel=GENERAL, user=ANN, thread_ts=asked["ts"])
        await slack.settled()

    assert echo.texts == ["hello"]
    assert len(slack.posts) == 1
    assert sorted((each.text, each.addressed, each.mentions_others) for each in echo.overheard) == [
        ("@Ben did you see that?", "thread", True),
        ("@here look", "thread", True),
        ("lunch?", "ambient", False),
        ("sure", "ambient", False),
    ]


async def test_what_is_overheard_costs_no_call(slack: FakeSlack):
    async with echoing(slack) as echo:
        await slack.settled()
        before = len(slack.calls)
        for number in range(20):
            await slack.say(f"<@{BEN}> idea {number}", channel=GENERAL, user=ANN)
            await slack.say(f"build {number} failed", channel=GENERAL, user=OTHER_BOT)
        await slack.settled()

    assert len(echo.overheard) == 40
    assert {(each.author.name, each.author.is_bot) for each in echo.overheard} == {
        (unnamed(ANN), False),
        ("Ticker", True),
    }
    assert len(slack.calls) == before


async def test_who_is_known_is_overheard_by_name(slack: FakeSlack):
    async with echoing(slack) as echo:
        await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.next_post()
        await slack.say("lunch?", channel=GENERAL, user=ANN)
        await slack.settled()

    assert [(each.author.name, each.channel_name) for each in echo.overheard] == [("Ann", "general")]


async def test_bots_are_heard_as_bots_and_we_not_at_all(slack: FakeSlack):
    async with echoing(slack) as echo:
        await slack.say(f"{MENTION} build 7 failed", channel=GENERAL, user=OTHER_BOT)
        said = await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
        await slack.next_post()
        await slack.say("build 8 failed", channel=GENERAL, user=OTHER_BOT, thread_ts=said["ts"])
        await slack.settled()

    assert echo.texts == ["hello"]
    assert [(each.text, each.addressed, each.author.is_bot) for each in echo.overheard] == [
        ("build 7 failed", "mention", True),
        ("build 8 failed", "thread", True),
    ]
    delivered = [delivery.event for delivery in slack.deliveries]
    assert any(event.get("bot_id") == "B0BOT" for event in delivered), "our own post came back as an event"
    assert len(slack.acks) == len(delivered)


async def test_a_bot_that_mentions_us_does_not_bring_us_into_its_thread(slack: FakeSlack):
    async with echoing(slack):
        alarm = await slack.say(f"{MENTION} disk full", channel=GENERAL, user=OTHER_BOT)
        await slack.settled()
    async with echoing(slack) as echo:
        await slack.say("who looks after it?", channel=GENERAL, user=ANN, thread_ts=alarm["ts"])
        await slack.settled()

    assert echo.texts == []
    assert [(each.text, each.addressed) for each in echo.overheard] == [("who looks after it?", "ambient")]


async def test_joins_and_other_news_pass_quietly(slack: FakeSlack):
    async with echoing(slack) as echo:
        await slack.say("<@U0BEN> has joined the channel", channel=GENERAL, user=BEN, subtype="channel_join")
        await slack.send({"type": "app_home_opened", "user": ANN, "channel": ANNS_DM})
        await slack.settled()

    assert echo.heard == []
    assert all(delivery.acked.is_set() for delivery in slack.deliveries)


async def test_names_stand_for_ids_and_are_asked_for_once(slack: FakeSlack):
    async with echoing(slack) as echo:
        for question in ("is <@U0BEN> in <#C0GENERAL>?", "and now?"):
            await slack.say(f"{MENTION} {question}", channel=GENERAL, user=ANN)
            await slack.next_post()

    assert echo.texts == ["is @Ben in #general?", "and now?"]
    assert sorted(call["user"] for call in slack.called("users.info")) == [ANN, BEN]
    assert len(slack.called("conversations.info")) == 1


async def test_without_the_scopes_for_names_words_do():
    async with FakeSlack(bot_scopes={"chat:write", "app_mentions:read"}) as slack, echoing(slack) as echo:
        for _ in range(2):
            await slack.say(f"{MENTION} hello", channel=GENERAL, user=ANN)
            await slack.next_post()

    assert [(inbound.author.name, inbound.channel_name) for inbound in echo.received] == [(unnamed(ANN), "")] * 2
    assert len(slack.called("users.info")) == 1


async def test_files_come_with_the_message(slack: FakeSlack):
    file: dict[str, Any] = {"id": "F1", "name": "plan.pdf", "mimetype": "application/pdf", "size": 7}
    file["url_private"] = "https://files.slack.com/F1"
    async with echoing(slack) as echo:
        await slack.say("", channel=ANNS_DM, user=ANN, subtype="file_share", files=[file])
        await slack.next_post()

    assert echo.received[0].attachments == (
        Attachment("plan.pdf", "application/pdf", 7, "https://files.slack.com/F1", "T0LOOPBACK"),
    )
