"""Sinks that do not do their part."""

from __future__ import annotations

import asyncio

import pytest
from standardwebhooks import Webhook as Oracle
from standardwebhooks import WebhookVerificationError

from dspy_session.stores import SealingKey
from tests.faults.audit import audit
from tests.faults.harness import Harness, Zygote
from tests.loopback.receiver import SECRET, DripHead, Hang, Reply

ATTEMPTS_IN_AN_HOUR = 4
"""At once, after 5 seconds, 5 minutes and half an hour; the next one is two hours later."""
PACE = 1e-4
"""How fast the hours of a delivery go by here: one is 0.36 seconds."""


@pytest.mark.parametrize("behaviour", [Reply(503), Hang(), DripHead()], ids=["5xx", "hang", "drip"])
async def test_a_sink_that_is_down_for_an_hour_delays_no_chat_and_no_other_sink_and_gets_all_in_order(
    zygote: Zygote, tmp_path, behaviour
):
    async with Harness(zygote, str(tmp_path / "bot.db"), tmp_path).listening(endpoints=2) as town:
        bot = await town.start(pace=PACE, http_timeout=0.1)
        down, other = town.endpoints
        await _talk(town, bot)
        await audit(town)
        before = len(down.taken)
        down.receiver.always(behaviour)
        for _ in range(3):
            await _talk(town, bot)
        expected = len(town.acked)
        await town.until(lambda: len(other.taken) == expected)
        assert len(down.taken) == before
        await down.receiver.until(lambda: _most_attempts(town) >= ATTEMPTS_IN_AN_HOUR)
        assert len(down.taken) == before
        down.receiver.always(None)
        counts = await audit(town)
        assert (counts.posts, counts.posts_again, counts.deliveries_again) == (expected, 0, 0)
        await bot.finish()


async def _talk(town: Harness, bot) -> None:
    """A word in each of some conversations, one after the other."""
    for number in range(3):
        await town.posted(await town.say(bot, channel=f"c{number}"))


def _most_attempts(town: Harness) -> int:
    ids = [delivery.id for delivery in town.receiver.deliveries]
    return max(map(ids.count, ids[-4:]))


async def test_keys_that_are_rotated_between_two_attempts_both_verify_what_was_written_before(town: Harness):
    new = f"whsec_{SealingKey.generate().reveal().split(':')[1]}"
    town.receiver.always(Reply(500))
    bot = await town.start(lease_seconds=0.5)
    message = await town.say(bot)
    (first,) = (await town.receiver.arrived(1))[:1]
    await town.posted(message)
    await bot.kill()
    tried = len(town.receiver.deliveries)
    town.endpoints[0].secrets = [new, SECRET]
    town.receiver.always(None)
    await town.start(lease_seconds=0.5)
    again = (await town.receiver.arrived(tried + 1))[tried]
    assert (again.id, again.body) == (first.id, first.body)
    for secret in (SECRET, new):
        Oracle(secret).verify(again.body, dict(again.headers))
    Oracle(SECRET).verify(first.body, dict(first.headers))
    with pytest.raises(WebhookVerificationError):
        Oracle(new).verify(first.body, dict(first.headers))
    await audit(town)


async def test_a_platform_that_cannot_be_reached_gets_its_answers_later_and_in_order(town: Harness):
    town.unavailable = 1
    bot = await town.start()
    messages = [await town.say(bot) for _ in range(3)]
    texts = await asyncio.wait_for(town.posted(*messages), 20)
    assert [text.split("#")[1] for text in texts] == ["0", "1", "2"]
    counts = await audit(town)
    assert (counts.turns, counts.posts) == (3, 3)
