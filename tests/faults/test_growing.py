"""kill -9 while an answer grows, is stopped, merged, replaced or waits for people; and two processes at one of them."""

from __future__ import annotations

import pytest

from dspy_session_chat.action import Command, Edit, Press, Reaction
from dspy_session_chat.beside import TOO_BUSY
from dspy_session_chat.shown import BEGUN_ANEW
from tests.faults.audit import audit
from tests.faults.harness import Harness, Worker
from tests.faults.tables import ids_of, read

LEASE = 0.5
"""Seconds: a process that died keeps others from its conversations for as long."""
LONG = " ".join(f"word{number}" for number in range(16))
"""A message whose answer takes two messages."""


async def speaking(town: Harness, *points: str, **options) -> Worker:
    return await town.start(points=points, agent="speaking", edits=True, lease_seconds=LEASE, **options)


@pytest.mark.parametrize(("text", "point"), [("short", "growing"), (LONG, "growing"), (LONG, "committed")])
async def test_killed_while_an_answer_grows_the_same_messages_are_edited_to_the_whole(
    town: Harness, text: str, point: str
):
    bot = await speaking(town, point)
    message = await town.say(bot, text=text)
    await bot.at(point)
    begun = await town.growing(message, text.rsplit(maxsplit=1)[-1])
    assert len(begun) == (2 if text == LONG else 1)
    await bot.kill()
    assert town.posts == []
    await speaking(town)
    assert await town.posted(message) == [f"{text} #0"]
    assert town.seen(message) == begun
    assert all(shown.whole for shown in begun)
    counts = await audit(town)
    assert (counts.turns, counts.posts, counts.deliveries, counts.orphans) == (1, 1, 1, 0)


async def test_who_lost_a_conversation_while_an_answer_grew_writes_over_nothing(city: Harness):
    slow = await speaking(city, "growing")
    message = await city.say(slow)
    held = await slow.at("growing")
    (shown,) = await city.growing(message, message.text)
    slow.stop()
    await speaking(city)
    assert await city.posted(message) == [f"{message.text} #0"]
    slow.go_on()
    held.go()
    slow.wave_through()
    after = await city.say(slow)
    assert await city.posted(after) == [f"{after.text} #1"]
    assert city.seen(message) == [shown]
    assert (await audit(city)).turns == 2


async def test_who_lost_a_conversation_before_a_message_was_written_down_says_that_it_is_begun_anew(city: Harness):
    slow = await speaking(city, "begun")
    message = await city.say(slow)
    held = await slow.at("begun")
    (lost,) = city.seen(message)
    slow.stop()
    await speaking(city)
    assert await city.posted(message) == [f"{message.text} #0"]
    slow.go_on()
    held.go()
    await city.until(lambda: lost.whole)
    assert lost.text == BEGUN_ANEW
    assert [shown.text for shown in city.seen(message)] == [BEGUN_ANEW, f"{message.text} #0"]
    assert (await audit(city)).orphans == 0


async def test_killed_between_a_stop_and_its_post_the_answer_says_that_it_was_stopped(town: Harness):
    bot = await speaking(town, "growing", "committed")
    message = await town.say(bot)
    await bot.at("growing")
    begun = await town.growing(message, message.text)
    await town.do(bot, Press("stop", message.event_id))
    await bot.at("committed")
    await bot.kill()
    await speaking(town)
    assert await town.posted(message) == [f"{message.text}\n\n*(stopped)*"]
    assert town.seen(message) == begun
    counts = await audit(town)
    assert (counts.turns, counts.stopped, counts.posts) == (1, 1, 1)


async def test_a_stop_that_reaches_another_process_is_heard(city: Harness):
    bot, other = await speaking(city, "growing"), await speaking(city)
    message = await city.say(bot)
    await bot.at("growing")
    await city.growing(message, message.text)
    await city.do(other, Command("stop"))
    assert await city.posted(message) == [f"{message.text}\n\n*(stopped)*"]
    counts = await audit(city)
    assert (counts.turns, counts.stopped, counts.posts, counts.deliveries) == (1, 1, 1, 1)


# --- merged and replaced ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["commit", "committed"])
async def test_killed_at_the_commit_of_messages_that_were_merged_each_is_answered_by_one_turn(
    town: Harness, point: str
):
    bot = await town.start(points=["model", point], lease_seconds=LEASE, busy="merge")
    first = await town.say(bot)
    held = await bot.at("model")
    second, third = [await town.say(bot) for _ in range(2)]
    held.go()
    (await bot.at(point)).go()
    (await bot.at("model")).go()
    await bot.at(point)
    await bot.kill()
    await town.start(lease_seconds=LEASE, busy="merge")
    assert await town.posted(first, third) == [f"{first.text} #0", f"{second.text}\n\n{third.text} #1"]
    assert not town.answers(second)
    counts = await audit(town)
    once = counts.deliveries - counts.deliveries_again  # one may have been under way when the process was killed
    assert (counts.turns, counts.posts, once) == (2, 2, 2)


async def test_what_showed_a_message_shows_the_answer_to_it_and_others_once_that_is_committed(town: Harness):
    bot = await speaking(town, "growing", busy="merge")
    first = await town.say(bot)
    await bot.at("growing")
    begun = await town.growing(first, first.text)
    second = await town.say(bot)
    await bot.kill()
    bot = await speaking(town, "committed", busy="merge")
    await bot.at("committed")
    await bot.kill()
    await speaking(town, busy="merge")
    assert await town.posted(second) == [f"{first.text}\n\n{second.text} #0"]
    assert list(town.messages.values()) == begun
    assert (await audit(town)).orphans == 0


async def test_what_showed_several_messages_shows_the_answer_to_the_first_where_that_is_answered_alone(town: Harness):
    bot = await speaking(town, "growing", busy="merge")
    before = await town.say(bot)
    held = await bot.at("growing")
    first, second = await town.say(bot), await town.say(bot)
    held.go()
    await bot.at("growing")
    await town.until(lambda: town.seen(second))
    (begun,) = town.seen(second)

    async def is_noted() -> bool:
        return [begun.id] in [ids_of(row) for row in (await read(town.store, "arrivals"))["arrivals"]]

    await town.until_stored(is_noted)
    await bot.kill()
    await speaking(town, busy="queue")
    assert await town.posted(before, first, second) == [
        f"{each.text} #{number}" for number, each in enumerate((before, first, second))
    ]
    assert begun.text == f"{first.text} #1"
    assert (await audit(town)).orphans == 0


@pytest.mark.parametrize("point", ["commit", "committed"])
@pytest.mark.parametrize("how", ["retry", "edit"])
async def test_killed_at_the_commit_of_an_answer_that_takes_anothers_place_one_of_both_stands(
    town: Harness, point: str, how: str
):
    bot = await town.start(points=["model", point], lease_seconds=LEASE)
    message = await town.say(bot)
    (await bot.at("model")).go()
    (await bot.at(point)).go()
    await town.posted(message)
    deed = Edit(message.event_id, "in other words") if how == "edit" else Command("retry")
    again = await town.do(bot, deed)
    (await bot.at(point)).go()  # it is noted that somebody wanted that
    (await bot.at("model")).go()
    await bot.at(point)
    await bot.kill()
    stands = [row["kind"] for row in (await read(town.store, "entries"))["entries"]]
    assert stands == ["turn", "signal", *(["undo", "turn"] if point == "committed" else [])]
    await town.start(lease_seconds=LEASE)
    words = "in other words" if how == "edit" else message.text
    assert await town.posted(again) == [f"{words} #0"]
    counts = await audit(town)
    assert (counts.turns, counts.standing, counts.posts) == (2, 1, 2)
    told = {delivery.id: delivery.payload for delivery in town.receiver.deliveries}
    assert [each["type"] for each in told.values()] == ["conversation.turn", "conversation.undone", "conversation.turn"]
    turns = [each["data"].get("turn_id") for each in told.values()]
    assert turns[0] != turns[2]
    assert turns[0] in str(list(told.values())[1])


# --- questions to people ----------------------------------------------------------------------------------------------


async def asked(town: Harness, count: int = 1) -> str:
    """What the question is about, once it was posted and written down."""

    async def is_noted() -> bool:
        return sum(row["kind"] == "asked" for row in (await read(town.store, "entries"))["entries"]) == count

    await town.until_stored(is_noted)
    return [post.buttons["approve"] for post in town.posts if post.interim][-1]


async def test_an_approval_that_reaches_another_process_lets_the_tool_run_once(city: Harness):
    bot, other = [await city.start(agent="asking", lease_seconds=LEASE) for _ in range(2)]
    message = await city.say(bot)
    await city.do(other, Press("approve", await asked(city)))
    assert await city.posted(message) == [f"{message.text} is deleted"]
    assert city.ran == [message.text]
    assert sum(post.interim for post in city.posts) == 1


@pytest.mark.parametrize("point", ["waiting", "ran", "commit"])
async def test_killed_while_people_are_asked_the_question_stands_and_their_answer_too(village: Harness, point: str):
    bot = await village.start(agent="asking", points=[] if point == "waiting" else ["ran"], lease_seconds=LEASE)
    message = await village.say(bot)
    press = Press("approve", await asked(village))
    if point != "waiting":
        await village.do(bot, press)
        held = await bot.at("ran")
        if point == "commit":
            await bot.ask("arm", points=["commit"])
            held.go()
            await bot.at("commit")
    await bot.kill()
    after = await village.start(agent="asking", lease_seconds=LEASE)
    if point == "waiting":
        await village.do(after, press)
    assert await village.posted(message) == [f"{message.text} is deleted"]
    # At least once: who dies after the tool ran and before the commit does not know any more that it did.
    assert village.ran == [message.text] * (1 if point == "waiting" else 2)
    assert sum(post.interim for post in village.posts) == 1


async def test_killed_before_the_answer_is_kept_it_is_known_who_denied_and_why(village: Harness):
    bot = await village.start(agent="asking", lease_seconds=LEASE)
    message = await village.say(bot)
    question = await asked(village)
    await bot.ask("arm", points=["commit"])
    await village.do(bot, Press("deny", question, "Not this one."))
    (await bot.at("commit")).go()  # what was decided
    await bot.at("commit")  # what the agent says to it
    await bot.kill()
    await village.start(agent="asking", lease_seconds=LEASE)
    said = await village.posted(message)
    assert [text.partition("denied it")[2] for text in said] == [': "Not this one."']
    assert village.ran == []


# --- what else comes while an answer grows ----------------------------------------------------------------------------


async def test_who_is_forgotten_while_an_answer_grows_and_rated_is_in_no_table_afterwards(town: Harness):
    bot = await speaking(town, "growing", per_user="100/h")
    before = await town.say(bot, user="U1", event="my-first-secret")
    (await bot.at("growing")).go()
    await town.posted(before)
    secret = await town.say(bot, user="U1", event="my-secret")
    held = await bot.at("growing")
    await town.growing(secret, "my-secret")
    (name,) = [shown.id for shown in town.seen(before)]
    await town.do(bot, Reaction("👍", name), user="U1")
    other = await speaking(town, per_user="100/h") if town.store.startswith("postgresql") else bot
    await other.ask("forget_user", user=secret.user)
    held.go()
    bot.wave_through()
    fresh = await town.say(bot, user="U2")
    assert (await town.posted(fresh))[0].startswith(f"{fresh.text} #")
    assert not town.answers(secret)
    for name, rows in (await read(town.store)).items():
        for row in rows:
            kept = {
                column: value
                for column, value in row.items()
                if column not in ("event_id", "message_ids", "message_id")
            }
            assert "secret" not in str(kept), name
            assert "U1" not in str(kept), name


async def test_whoever_is_turned_away_on_another_process_is_told_so_once_and_commands_wait_in_order(city: Harness):
    bot = await city.start(points=["model"], busy="reject", lease_seconds=LEASE)
    other = await city.start(busy="reject", lease_seconds=LEASE)
    first = await city.say(bot)
    held = await bot.at("model")
    second = await city.say(other)
    assert await city.posted(second) == [TOO_BUSY]
    undo, history = await city.do(other, Command("undo")), await city.do(bot, Command("history"))
    assert not city.answers(undo)
    held.go()
    bot.wave_through()
    texts = await city.posted(first, undo, history)
    assert texts[0] == f"{first.text} #0"
    assert "took back the last answer" in texts[1]
    assert "remember nothing" in texts[2]
    assert [post.event for post in city.posts] == [each.event_id for each in (second, first, undo, history)]
    counts = await audit(city)
    assert (counts.turns, counts.standing) == (1, 0)
