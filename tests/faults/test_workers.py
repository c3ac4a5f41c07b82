"""Several processes over one PostgreSQL: who may write and post, and what becomes of those who may no longer."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.audit import audit
from tests.faults.harness import Harness
from tests.faults.tables import read

LEASE = 1.0
"""Seconds: a process that stands still keeps others from its conversations for as long."""
KEPT = 6.0
"""Seconds for who is well: a busy machine may be late with what renews it every third of that, and nobody takes it."""
TEN_MINUTES = 600.0


async def test_two_workers_share_a_conversation_without_gaps_and_fences_only_rise(city: Harness):
    bots = [await city.start(points=["committed"]) for _ in range(2)]
    for bot in bots:
        bot.wave_through()
    said = []
    for _ in range(3):
        for bot in bots:  # it changes hands
            said.append(await city.say(bot))
            await city.posted(*said)
            await city.until_stored(lambda: _is_free(city))
        said += await asyncio.gather(*(city.say(bot) for bot in bots for _ in range(4)))  # both want it
        await city.posted(*said)
    counts = await audit(city)
    assert (counts.turns, counts.posts, counts.deliveries) == (30, 30, 30)
    fences = {passed["event"]: passed["fence"] for bot in bots for passed in bot.passed}
    journal = [fences[post.event] for post in city.posts]
    assert journal == sorted(journal)
    assert len(set(journal)) >= 6
    assert {post.worker for post in city.posts} == {bot.name for bot in bots}


async def _is_free(city: Harness) -> bool:
    return not any(row["lease_until"] for row in (await read(city.store, "conversations"))["conversations"])


@pytest.mark.parametrize("streams", [False, True])
async def test_who_was_stopped_past_its_lease_changes_nothing_and_posts_nothing_stale(city: Harness, streams: bool):
    slow = await city.start(points=["model"], lease_seconds=LEASE, streams=streams)
    first = await city.say(slow)
    held = await slow.at("model")
    slow.stop()
    quick = await city.start(lease_seconds=KEPT)
    second = await city.say(quick)
    assert await city.posted(first, second) == [f"{first.text} #0", f"{second.text} #1"]
    slow.go_on()
    held.go()
    slow.wave_through()
    third = await city.say(slow)  # it has found out, and is of use again
    assert await city.posted(third) == [f"{third.text} #2"]
    counts = await audit(city)
    assert (counts.turns, counts.posts, counts.deliveries) == (3, 3, 3)
    assert {post.worker for post in city.answers(first)} == {quick.name}


@pytest.mark.parametrize("streams", [False, True])
async def test_who_was_stopped_past_its_lease_changes_nothing_though_nobody_has_written_since(
    city: Harness, streams: bool
):
    slow = await city.start(points=["model", "stale"], lease_seconds=LEASE, streams=streams)
    message = await city.say(slow)
    late = await slow.at("model")
    slow.stop()
    quick = await city.start(points=["model"], lease_seconds=KEPT)
    held = await quick.at("model")  # the same message, in other hands
    slow.go_on()
    late.go()
    (await slow.at("stale")).go()
    tables = await read(city.store)
    assert (tables["entries"], tables["deliveries"], city.posts) == ([], [], [])
    held.go()
    await city.posted(message)
    counts = await audit(city)
    assert (counts.turns, counts.posts, counts.deliveries) == (1, 1, 1)
    assert {post.worker for post in city.posts} == {quick.name}


async def test_who_was_stopped_before_the_post_does_not_post_what_another_has_posted(city: Harness):
    slow = await city.start(points=["committed"], lease_seconds=LEASE)
    message = await city.say(slow)
    held = await slow.at("committed")
    slow.stop()
    quick = await city.start(lease_seconds=KEPT)
    await city.posted(message)
    slow.go_on()
    held.go()
    slow.wave_through()
    again = await city.say(slow)
    assert await city.posted(again) == [f"{again.text} #1"]
    counts = await audit(city)
    assert (counts.turns, counts.posts) == (2, 2)
    assert {post.worker for post in city.answers(message)} == {quick.name}


async def test_clocks_ten_minutes_fast_and_slow_do_not_let_two_work_on_one_conversation(city: Harness):
    """A lease ends by the database's clock. A *message* whose signature is too old or too new is the platform's to
    refuse, before a bot hears of it (Slack's and Discord's clients do; both sockets used here carry no signatures)."""
    fast = await city.start(points=["model"], lease_seconds=KEPT, shift=TEN_MINUTES)
    slow = await city.start(points=["model"], lease_seconds=KEPT, shift=-TEN_MINUTES)
    for holder, other in ((slow, fast), (fast, slow)):
        first = await city.say(holder, channel=f"held by {holder.name}")
        held = await holder.at("model")
        until = await _lease_end(city, str(first.key))
        second = await city.say(other, channel=f"held by {holder.name}")
        elsewhere = await city.say(other, channel=f"beside {holder.name}")
        (await other.at("model")).go()  # it is well, and would take up the second message as well if it could
        await city.posted(elsewhere)
        await city.until_stored(lambda key=str(first.key), end=until: _is_kept_beyond(city, key, end))
        assert not holder.waits_at("model")
        assert not other.waits_at("model")
        held.go()
        (await _first_at("model", holder, other)).go()
        assert await city.posted(first, second) == [f"{first.text} #0", f"{second.text} #1"]
    counts = await audit(city)
    assert (counts.turns, counts.posts) == (6, 6)


async def _lease_end(city: Harness, key: str):
    (row,) = [row for row in (await read(city.store, "conversations"))["conversations"] if row["key"] == key]
    return row["lease_until"]


async def _is_kept_beyond(city: Harness, key: str, end) -> bool:
    return await _lease_end(city, key) > end


async def _first_at(point: str, *bots):
    waiting = [asyncio.create_task(bot.at(point)) for bot in bots]
    done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    return done.pop().result()


async def test_the_same_event_to_two_workers_at_once_and_late_is_one_turn_and_one_answer(city: Harness):
    bots = [await city.start(think=0.01) for _ in range(2)]
    messages = [city.message(channel=f"c{number % 3}") for number in range(6)]
    for message in messages:
        await asyncio.gather(*(city.say(bot, message) for bot in bots * 3))
    await city.posted(*messages)
    await audit(city)
    for message in messages:  # days later, for all that they know
        await asyncio.gather(*(city.say(bot, message) for bot in bots))
    last = [await city.say(bot, channel=f"c{number}") for number in range(3) for bot in bots]
    await city.posted(*last)
    counts = await audit(city)
    assert (counts.acked, counts.turns, counts.posts, counts.deliveries) == (12, 12, 12, 12)


async def test_events_out_of_order_run_by_the_time_they_were_sent_and_what_is_committed_stays(town: Harness):
    bot = await town.start(points=["model"])
    earliest, first, second, third, late = [town.message() for _ in range(5)]
    await town.say(bot, first)
    held = await bot.at("model")
    for message in (late, third, second):
        await town.say(bot, message)
    held.go()
    bot.wave_through()
    texts = await town.posted(first, second, third, late)
    assert [text.split("#")[1] for text in texts] == ["0", "1", "2", "3"]
    await town.say(bot, earliest)  # it was sent before all of them, and comes when they are answered
    assert await town.posted(earliest) == [f"{earliest.text} #4"]
    assert [passed["text"] for passed in bot.passed] == [
        message.text for message in (first, second, third, late, earliest)
    ]
    assert (await audit(town)).turns == 5
