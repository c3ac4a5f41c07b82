"""A turn that comes to nothing: the model does not answer, somebody stops it, somebody is to be forgotten."""

from __future__ import annotations

import contextlib
import json
import signal

import pytest

from dspy_session_chat import Inbound
from tests.faults.audit import audit
from tests.faults.harness import Harness, Worker
from tests.faults.tables import read
from tests.faults.wire import LinkLostError, RefusedError

LONG = 600.0
"""Seconds of a lease that nobody waits for: only who is given a conversation back goes on with it."""


async def test_a_model_that_times_out_frees_the_conversation_tells_the_user_and_is_written_down(town: Harness):
    bot = await town.start(points=["model"], lease_seconds=LONG)
    message, after = await town.say(bot), town.message()
    (await bot.at("model")).fail()
    (text,) = await town.posted(message)
    assert text.startswith("Sorry, something went wrong")
    reference = text.split("reference ")[1].rstrip(").")
    bot.wave_through()
    if town.store.startswith("postgresql"):  # another process may have it at once
        bot = await town.start(lease_seconds=LONG)
    await town.say(bot, after)
    assert await town.posted(after) == [f"{after.text} #0"]
    counts = await audit(town)
    assert (counts.turns, counts.failures, counts.posts, counts.deliveries) == (1, 1, 2, 1)
    (failed,) = [row for row in (await read(town.store))["entries"] if row["kind"] == "failed"]
    assert json.loads(failed["body"]) == {
        "reference": reference,
        "error": "TimeoutError",
        "event": message.event_id,
        "users": [message.user],
        "words": {message.event_id: [0, len(message.text)]},
        "message": json.loads(json.dumps(message.to_json())),  # so that it can be asked again
    }


@pytest.mark.parametrize(
    ("point", "streams"), [("model", False), ("model", True), ("commit", False), ("committed", False)]
)
async def test_cancelled_at_any_point_of_a_turn_nothing_is_half_done_and_the_next_process_goes_on(
    town: Harness, point: str, streams: bool
):
    bot = await town.start(points=[point], streams=streams, lease_seconds=LONG, claim_seconds=0.5, grace=0.0)
    message, other = await town.say(bot), await town.say(bot)
    held = await bot.at(point)
    await town.say(bot, elsewhere := town.message(channel="c2"))
    ending = await bot.at(point)
    bot.signal(signal.SIGTERM)
    await _is_stopping(bot, message)
    if point != "model":  # a commit that has begun is finished, also by who is cancelled
        held.go()
        ending.go()
    await bot.gone()
    assert town.posts == []
    tables = await read(town.store)
    assert len(tables["entries"]) == (0 if point == "model" else 2)
    assert not [row for row in tables["conversations"] if row.get("lease_until")], "no lease is left behind"
    await town.start(lease_seconds=LONG, claim_seconds=0.5)
    texts = await town.posted(message, other, elsewhere)
    assert [text.split("#")[1] for text in texts] == ["0", "1", "0"]
    counts = await audit(town)
    assert (counts.turns, counts.posts, counts.deliveries - counts.deliveries_again) == (3, 3, 3)


async def _is_stopping(bot: Worker, message: Inbound) -> None:
    """Return once a process takes nothing more, and its loop has gone round often enough to cancel what it is at."""
    refusals = 0
    with contextlib.suppress(LinkLostError):
        while refusals < 20:
            try:
                await bot.say(message)
            except RefusedError:
                refusals += 1


async def _forget_user(bot: Worker, message: Inbound) -> None:
    await bot.ask("forget_user", user=message.user)


async def _forget_conversation(bot: Worker, message: Inbound) -> None:
    await bot.ask("forget", key=str(message.key))


@pytest.mark.parametrize("forget", [_forget_user, _forget_conversation])
@pytest.mark.parametrize("point", ["model", "commit", "committed"])
async def test_who_is_forgotten_during_a_turn_is_not_in_any_table_afterwards(town: Harness, point: str, forget):
    bot = await town.start(points=[point])
    bystander = await town.say(bot, channel="c2", user="U2")
    (await bot.at(point)).go()
    await town.posted(bystander)
    secret = await town.say(bot, event="my-secret", user="U1")
    held = await bot.at(point)
    waiting = await town.say(bot, event="my-other-secret", user="U1")
    other = await town.start() if town.store.startswith("postgresql") else bot
    await forget(other, secret)
    held.go()
    bot.wave_through()
    fresh = await town.say(bot, user="U1")  # whoever was forgotten may begin anew
    (text,) = await town.posted(fresh)
    assert text == f"{fresh.text} #0"
    assert not town.answers(secret)
    assert not town.answers(waiting)
    await town.until(lambda: len(town.endpoints[0].taken) >= 2)
    for name, rows in (await read(town.store)).items():
        for row in rows:
            kept = {column: value for column, value in row.items() if column != "event_id"}
            assert "secret" not in str(kept), name
    if point != "committed":  # what is delivered already is the receiver's to forget
        assert not any(b"secret" in delivery.body for delivery in town.receiver.deliveries)
    for event in (secret.event_id, waiting.event_id):
        town.acked.remove(event)
