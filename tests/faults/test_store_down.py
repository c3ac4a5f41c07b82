"""The store when it cannot write, or is gone."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspy_session_chat import Inbound
from tests.faults.audit import audit
from tests.faults.harness import Harness, Worker, Zygote
from tests.faults.tables import read
from tests.faults.wire import RefusedError
from tests.postgres import Postgres


async def test_a_locked_database_refuses_what_it_cannot_keep_and_no_model_is_paid_twice(village: Harness):
    bot = await village.start(points=["model", "commit"], busy_seconds=0.02)
    message = await village.say(bot)
    (await bot.at("model")).go()
    held = await bot.at("commit")

    other = sqlite3.connect(village.store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(
        RefusedError, match="in use by another process"
    ):  # not acknowledged: the platform sends it again
        await village.say(bot, refused := village.message())
    for _ in range(2):
        held.go()
        held = await bot.at("commit")  # it tries again, the answer in its hands
    other.execute("ROLLBACK")
    other.close()
    held.go()
    assert await village.posted(message) == [f"{message.text} #0"]

    bot.wave_through()
    await village.say(bot, refused)
    await village.posted(refused)
    assert [passed["text"] for passed in bot.passed if passed["point"] == "model"] == [message.text, refused.text]
    counts = await audit(village)
    assert (counts.acked, counts.turns, counts.posts, counts.deliveries) == (2, 2, 2, 2)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_database_that_stays_locked_is_tried_a_few_times_and_then_left_alone_for_a_while(
    village: Harness, streams: bool
):
    bot = await village.start(points=["model", "commit"], streams=streams, busy_seconds=0.01, pause=0.01)
    message = await village.say(bot)
    (await bot.at("model")).go()
    held = await bot.at("commit")
    other = sqlite3.connect(village.store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    held.go()
    bot.wave_through()
    tries = lambda: sum(passed["point"] == "commit" for passed in bot.passed)  # noqa: E731
    await village.until_stored(lambda: asyncio.sleep(0, tries() >= 6))
    assert village.posts == []
    other.execute("ROLLBACK")
    other.close()
    assert await village.posted(message) == [f"{message.text} #0"]
    counts = await audit(village)
    assert (counts.turns, counts.posts, counts.failures) == (1, 1, 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False)
    if not made or made.returncode:
        pytest.skip("no disk may be mounted here; test_sqlite fills one by max_page_count")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


async def _first_refused(village: Harness, bot: Worker) -> Inbound:
    """The first message that a full disk does not hold: there may be room in a page that was begun."""
    while True:
        message = village.message()
        try:
            await village.say(bot, message)
        except RefusedError as error:
            assert "make room on the disk" in str(error)  # noqa: PT017  # those before it are taken
            return message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk; test_sqlite fills a file instead")
async def test_a_full_disk_refuses_rolls_back_and_recovers(zygote: Zygote, small_disk: Path, tmp_path: Path):
    async with Harness(zygote, str(small_disk / "bot.db"), tmp_path).listening() as village:
        bot = await village.start(points=["model", "commit"])
        first = await village.say(bot)
        (await bot.at("model")).go()
        held = await bot.at("commit")
        fill = small_disk / "fill"
        with pytest.raises(OSError, match="No space"):
            fill.write_bytes(bytes(2**22))
        refused = await _first_refused(village, bot)
        held.go()
        held = await bot.at("commit")
        assert (await read(village.store))["entries"] == []
        fill.unlink()
        held.go()
        assert await village.posted(first) == [f"{first.text} #0"]
        bot.wave_through()
        await village.say(bot, refused)
        await village.posted(refused)
        models = [passed["text"] for passed in bot.passed if passed["point"] == "model"]
        assert len(models) == len(set(models))
        counts = await audit(village)
        assert counts.failures == 0
        await bot.finish()


async def test_a_postgres_that_is_killed_loses_nothing_that_was_acknowledged(city: Harness, postgres: Postgres):
    bots = [await city.start(think=0.02, lease_seconds=2.0) for _ in range(2)]

    async def talk(channel: int) -> None:
        for number in range(12):
            message = city.message(channel=f"c{channel}")
            await city.insist(message, lambda there: there[number % len(there)])  # noqa: B023  # used at once

    talking = [asyncio.create_task(talk(channel)) for channel in range(8)]
    for enough in (20, 50):
        await city.until(lambda: len(city.posts) >= enough)  # noqa: B023  # used at once
        postgres.kill()
        postgres.start()
    await asyncio.gather(*talking)
    await city.posted(*city.said.values())
    counts = await audit(city)
    assert (counts.acked, counts.turns, counts.failures) == (96, 96, 0)
    assert all(bot.is_alive for bot in bots)


async def test_a_message_that_comes_while_postgres_is_away_is_refused_or_kept(city: Harness, postgres: Postgres):
    bot = await city.start(points=["model"])
    message = await city.say(bot)
    held = await bot.at("model")
    postgres.kill()
    try:
        held.go()
        coming = asyncio.create_task(city.say(bot))
    finally:
        postgres.start()
    bot.wave_through()
    kept = await coming
    assert await city.posted(message, kept) == [f"{message.text} #0", f"{kept.text} #1"]
    assert (await audit(city)).failures == 0


async def test_a_postgres_that_stays_away_refuses_what_it_cannot_keep_and_no_model_is_paid_twice(
    city: Harness, postgres: Postgres
):
    bot = await city.start(points=["model", "commit"], patience=0.05)
    message, refused = await city.say(bot), city.message()
    (await bot.at("model")).go()
    held = await bot.at("commit")
    postgres.kill()
    try:
        with pytest.raises(RefusedError, match="cannot be reached"):
            await city.say(bot, refused)
        held.go()
        held = await bot.at("commit")  # it tries again, the answer in its hands
    finally:
        postgres.start()
    held.go()
    assert await city.posted(message) == [f"{message.text} #0"]
    bot.wave_through()
    await city.say(bot, refused)
    await city.posted(refused)
    assert [passed["text"] for passed in bot.passed if passed["point"] == "model"] == [message.text, refused.text]
    counts = await audit(city)
    assert (counts.acked, counts.turns, counts.posts) == (2, 2, 2)
