"""kill -9, at every point where a process may have to go."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.audit import audit
from tests.faults.harness import Harness
from tests.faults.tables import read
from tests.faults.wire import LinkLostError
from tests.loopback.receiver import Hang

LEASE = 0.5
"""Seconds: a process that died keeps others from its conversations for as long."""


@pytest.mark.parametrize("point", ["receiving", "received"])
async def test_killed_before_the_acknowledgement_the_message_comes_again_and_runs_once(town: Harness, point: str):
    bot = await town.start(points=[point], lease_seconds=LEASE)
    saying = asyncio.create_task(bot.say(message := town.message()))
    await bot.at(point)
    await bot.ask("arm", points=[point])  # an answer later: an acknowledgement would have been quicker
    assert not saying.done()
    await bot.kill()
    with pytest.raises(LinkLostError):
        await saying
    assert len((await read(town.store))["arrivals"]) == (point == "received")
    await town.say(await town.start(lease_seconds=LEASE), message)
    assert await town.posted(message) == [f"{message.text} #0"]
    counts = await audit(town)
    assert (counts.turns, counts.posts, counts.deliveries) == (1, 1, 1)


async def test_killed_between_the_models_reply_and_the_commit_it_runs_again_and_is_committed_once(town: Harness):
    bot = await town.start(points=["commit"], lease_seconds=LEASE)
    message = await town.say(bot)
    await bot.at("commit")
    await bot.kill()
    tables = await read(town.store)
    assert (tables["entries"], tables["deliveries"]) == ([], [])
    assert [row["state"] for row in tables["arrivals"]] == ["waiting"]
    await town.start(lease_seconds=LEASE)
    assert await town.posted(message) == [f"{message.text} #0"]
    counts = await audit(town)
    assert (counts.turns, counts.posts, counts.deliveries) == (1, 1, 1)


async def test_killed_after_the_commit_and_before_the_post_the_answer_is_posted_once(town: Harness):
    bot = await town.start(points=["committed"], lease_seconds=LEASE)
    message = await town.say(bot)
    await bot.at("committed")
    await bot.kill()
    assert town.posts == []
    await town.start(lease_seconds=LEASE)
    assert await town.posted(message) == [f"{message.text} #0"]
    counts = await audit(town)
    assert (counts.turns, counts.posts) == (1, 1)


async def test_killed_after_the_post_and_before_it_is_confirmed_the_same_post_comes_again(town: Harness):
    bot = await town.start(points=["posted"], lease_seconds=LEASE)
    message = await town.say(bot)
    await bot.at("posted")
    await bot.kill()
    await town.start(lease_seconds=LEASE)
    await town.until(lambda: len(town.posts) == 2)
    first, second = town.answers(message)
    assert (first.event, first.text, first.turn) == (second.event, second.text, second.turn)
    assert (await audit(town)).turns == 1


async def test_killed_after_the_webhooks_post_and_before_its_answer_the_same_id_comes_again_in_order(town: Harness):
    town.receiver.behave(Hang())
    bot = await town.start(lease_seconds=LEASE, claim_seconds=1.0, http_timeout=0.5)
    messages = [await town.say(bot) for _ in range(3)]
    (first,) = await town.receiver.arrived(1)
    await town.posted(*messages)
    await bot.kill()
    assert town.endpoints[0].taken == []
    await town.start(lease_seconds=LEASE, claim_seconds=1.0)
    counts = await audit(town)
    assert (counts.turns, counts.deliveries) == (3, 3)
    again = town.receiver.deliveries[1]
    assert (again.id, again.body) == (first.id, first.body)
    stamps = [int(each.headers["webhook-timestamp"]) for each in (first, again)]
    assert stamps[0] <= stamps[1]


@pytest.mark.parametrize("point", ["model", "commit", "committed", "posting", "posted"])
async def test_what_was_acknowledged_before_a_kill_is_answered_whatever_the_process_was_at(
    village: Harness, point: str
):
    bot = await village.start(points=[point])
    first = await village.say(bot)
    await bot.at(point)
    waiting = [await village.say(bot) for _ in range(4)]
    elsewhere = [await village.say(bot, channel=f"other{number}") for number in range(4)]
    await bot.kill()
    await village.start()
    texts = await village.posted(first, *waiting, *elsewhere)
    assert [text.split("#")[1] for text in texts] == ["0", "1", "2", "3", "4", "0", "0", "0", "0"]
    assert (await audit(village)).turns == 9
