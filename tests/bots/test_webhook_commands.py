"""``dspy-bots webhooks``: what waits, over files that a bot wrote; replays, beside a bot that runs; and trying out."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dspy_session.stores import Settlement, SqliteStore
from dspy_session_webhook import Webhook
from tests.bots.command_line import Line, Result, dspy_bots, run_lines
from tests.bots.kept import DISCORD, NOWHERE, SLACK, Writer, fill
from tests.loopback.receiver import SECRET, Hang, Reply, open_receiver

OTHER = "http://127.0.0.1:9/other"


def name_of(url: str) -> str:
    return Webhook(url, SECRET, allow_loopback=True).name


def webhooks(*arguments: str, said: str = "", **variables: str) -> Line:
    return Line(["webhooks", *arguments], said=said, variables=variables)


def lines(result: Result) -> list[Any]:
    assert (result.code, result.err) == (0, "")
    return [json.loads(line) for line in result.out.splitlines()]


def deliveries(folder: Path) -> list[tuple[str, str, str, bytes]]:
    with sqlite3.connect(folder / "bot.db") as db:
        return db.execute("SELECT sink, key, delivery_id, body FROM deliveries ORDER BY id").fetchall()


def park(folder: Path, url: str) -> None:
    """Let the lane that is due first be refused for good, as a bot finds it after days."""

    async def work() -> None:
        store = SqliteStore(folder / "bot.db", clock=lambda: 2e9)
        await store.open(serving=False)
        batch = await store.claim(name_of(url), 1, 10)
        assert batch is not None
        assert await store.settle(batch, Settlement("parked", reason="HTTP 500\x1b[31m"))
        await store.aclose()

    asyncio.run(work())


def test_what_waits_and_what_is_parked(tmp_path: Path) -> None:
    fill(tmp_path, NOWHERE, OTHER)
    with sqlite3.connect(tmp_path / "bot.db") as db:
        db.execute("UPDATE lanes SET due_at = CASE WHEN key LIKE 'slack:%' THEN 1 ELSE 2 END, leased_until = 0")
        db.execute("UPDATE lanes SET attempts = 0, reason = ''")
        db.execute("DELETE FROM sinks")
    park(tmp_path, OTHER)
    everything, parked, table, nothing, resumed, again, one, none = run_lines(
        [
            webhooks("list", "--json"),
            webhooks("parked", "--json"),
            webhooks("list"),
            webhooks("resume", "webhook:x"),
            webhooks("resume", name_of(OTHER)),
            webhooks("resume", name_of(OTHER)),
            webhooks("resume", name_of(OTHER), SLACK),
            webhooks("parked"),
        ],
        tmp_path,
    )
    waiting = {(lane["sink"], lane["conversation"]): lane for lane in lines(everything)}
    sinks = [name_of(NOWHERE), name_of(OTHER)]
    assert {lane: each["waiting"] for lane, each in waiting.items()} == {
        (sink, key): count for sink in sinks for key, count in ((SLACK, 6), (DISCORD, 1))
    }
    assert waiting[sinks[1], SLACK] == lines(parked)[0]
    assert len(lines(parked)) == 1
    [lane] = lines(parked)
    assert (lane["oldest_at"], lane["attempts"], lane["next_try_at"]) == ("2024-01-01T00:01:00.000000Z", 1, None)
    assert f"{name_of(OTHER)}\nwaiting: 7 messages of 2 conversations, 1 parked\n" in table.out
    assert "parked     HTTP 500[31m\n" in table.out
    assert nothing.out.startswith("Nothing waits for webhook:x; there are webhook:http://127.0.0.1:9#")
    assert resumed.out == "1 conversation will be tried again.\n"
    assert again.out == one.out == "Nothing of it is parked.\n"
    assert none.out == "Nothing is parked.\n"


def test_a_replay_is_what_was_told_first(tmp_path: Path) -> None:
    fill(tmp_path, NOWHERE)
    first = deliveries(tmp_path)
    secret = {"WEBHOOK_SECRET": SECRET}
    since = ("--since", "2024-01-01", "--until", "2024-01-02")
    refused, whole, part, one, nothing = run_lines(
        [
            webhooks("replay", NOWHERE, *since, said="no\n", **secret),
            webhooks("replay", NOWHERE, *since, said="y\n", **secret),
            webhooks("replay", NOWHERE, *since[:1], "2024-01-01T00:02:30Z", *since[2:], "--yes", **secret),
            webhooks("replay", NOWHERE, *since, "--conversation", DISCORD, "--yes", **secret),
            webhooks("replay", NOWHERE, "--since", "1m", "--yes", **secret),
        ],
        tmp_path,
    )
    assert (refused.code, refused.complaint) == (1, "nothing will be delivered (--yes does not ask)")
    assert (whole.code, whole.err) == (0, "")
    assert whole.out == f"7 messages of 2 conversations will be delivered to {name_of(NOWHERE)}.\n"
    assert part.out.startswith("5 messages of 2 conversations will")
    assert one.out.startswith("1 message of 1 conversation will")
    assert nothing.out == "Nothing happened in that time.\n"
    again = deliveries(tmp_path)
    assert again[:7] == first
    for key in (SLACK, DISCORD):
        told = [each for each in first if each[1] == key]
        assert [each for each in again[7:14] if each[1] == key] == told
        assert [each for each in again[14:19] if each[1] == key] == told[2 if key == SLACK else 0 :]
    assert again[19:] == first[6:]


async def test_a_replay_beside_a_bot_that_runs(tmp_path: Path) -> None:
    async with open_receiver() as receiver:
        writer = Writer(tmp_path, [Webhook(receiver.url, SECRET, allow_loopback=True)])
        async with writer.chats:
            await writer.fill()
            first = await receiver.arrived(7)
            command = ("webhooks", "replay", receiver.url, "--since", "2024-01-01", "--until", "2025-01-01", "--yes")
            result = await dspy_bots(*command, folder=tmp_path, WEBHOOK_SECRET=SECRET)
            assert (result.code, result.err) == (0, "")
            again = (await receiver.arrived(14))[7:]
    assert all(delivery.verified for delivery in again)
    for key in (SLACK, DISCORD):
        told, told_again = (
            [(each.id, each.body) for each in those if each.conversation == key] for those in (first, again)
        )
        assert told_again == told


async def test_the_same_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    at = ("--store", postgres_url)
    async with open_receiver() as receiver:
        writer = Writer(tmp_path, [Webhook(receiver.url, SECRET, allow_loopback=True)], postgres_url)
        async with writer.chats:
            await writer.fill()
            first = await receiver.arrived(7)
            span = ("--since", "2024-01-01", "--until", "2025-01-01")
            commands = [
                webhooks("replay", receiver.url, *span, *at, "--yes", WEBHOOK_SECRET=SECRET),
                Line(["conversations", "list", "--json", *at]),
                Line(["conversations", "show", SLACK, "--json", *at]),
                Line(["conversations", "export", *at]),
            ]
            results = await asyncio.to_thread(run_lines, commands, tmp_path)
            again = (await receiver.arrived(14))[7:]
            commands = [
                Line(["conversations", "forget", DISCORD, "--yes", *at]),
                Line(["conversations", "list", "--json", *at]),
                webhooks("resume", name_of(receiver.url), *at),
            ]
            results += await asyncio.to_thread(run_lines, commands, tmp_path)
    assert [(result.code, result.err) for result in results] == [(0, "")] * len(results)
    assert sorted((each.id, each.body) for each in again) == sorted((each.id, each.body) for each in first)
    _, listed, shown, exported, _, left, _ = results
    assert [(each["key"], each["turns"], each["entries"]) for each in lines(listed)] == [(DISCORD, 1, 1), (SLACK, 2, 6)]
    assert [line["score"] for line in lines(shown)] == [None, 0.5]
    assert len(lines(exported)) == 7
    assert [each["key"] for each in lines(left)] == [SLACK]


async def test_an_example_is_posted(tmp_path: Path) -> None:
    async with open_receiver() as receiver:
        receiver.behave(Reply(), Reply(401), Reply(302), Reply(503), Reply(410))
        commands = [webhooks("test", receiver.url, "--secret", SECRET)] * 5
        taken, unknown, moved, busy, gone = await asyncio.to_thread(run_lines, commands, tmp_path)
    assert (taken.code, taken.err) == (0, "")
    origin = receiver.url[: receiver.url.index("/", 8)]
    assert taken.out.startswith(f"{origin} took it: HTTP 204 (0.")
    assert [delivery.verified for delivery in receiver.deliveries] == [True] * 5
    assert receiver.deliveries[0].payload["type"] == "conversation.turn"
    assert receiver.deliveries[0].conversation == "example::webhooks-test"
    assert "refused it: HTTP 401; is WEBHOOK_SECRET the key" in unknown.complaint
    assert "redirects, which is never followed: HTTP 302" in moved.complaint
    assert "did not take it: HTTP 503" in busy.complaint
    assert "wants nothing more: HTTP 410" in gone.complaint
    assert {each.code for each in (unknown, moved, busy, gone)} == {1}


MISTAKES = {
    ("list", "--store", "sqlite:///none.db"): (1, "no such file: none.db"),
    ("resume",): (2, "Missing argument 'SINK'"),
    ("replay", NOWHERE): (2, "Missing option '--since'"),
    ("replay", NOWHERE, "--since", "1h"): (1, "replay needs WEBHOOK_SECRET"),
    ("replay", "ftp://x", "--since", "1h"): (1, "the webhook's URL must begin with https://"),
    ("replay", NOWHERE, "--since", "soon"): (1, "'soon' is no time"),
    ("replay", NOWHERE, "--since", "1h", "--until", "2h"): (2, "--since must be before --until"),
    ("replay", NOWHERE, "--since", "1h", "--conversation", "x"): (1, "there is no conversation 'x'"),
    ("test", NOWHERE): (1, "test needs WEBHOOK_SECRET"),
    ("test", NOWHERE, "--secret", "hunter2"): (1, "the webhook's secret must be whsec_"),
    ("test", NOWHERE, "--secret", SECRET): (1, "http://127.0.0.1:9 did not answer: "),
    ("listen", "--secret", "hunter2"): (1, "the webhook's secret must be whsec_"),
    ("listen", "--fail", "200"): (2, "Invalid value for '--fail'"),
}


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], Result]:
    folder = tmp_path_factory.mktemp("mistakes")
    fill(folder)
    with_secret = [any(word in arguments for word in ("ftp://x", "soon", "--until", "x")) for arguments in MISTAKES]
    commands = [
        webhooks(*arguments, **({"WEBHOOK_SECRET": SECRET} if has else {}))
        for arguments, has in zip(MISTAKES, with_secret, strict=True)
    ]
    return dict(zip(MISTAKES, run_lines(commands, folder), strict=True))


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_what_is_wrong_is_one_line(mistakes: dict[tuple[str, ...], Result], arguments: tuple[str, ...]) -> None:
    code, said = MISTAKES[arguments]
    assert mistakes[arguments].code == code
    assert said in mistakes[arguments].complaint
    assert "hunter2" not in mistakes[arguments].err


def test_what_is_encrypted_is_not_replayed(tmp_path: Path) -> None:
    fill(tmp_path)
    with sqlite3.connect(tmp_path / "bot.db") as db:
        db.execute("UPDATE entries SET body = 'sealed1:key:AAAA'")
    command = webhooks("replay", NOWHERE, "--since", "2020-01-01", "--until", "2030-01-01", WEBHOOK_SECRET=SECRET)
    [result] = run_lines([command], tmp_path)
    assert result.code == 1
    assert "is encrypted: set STORE_KEYS" in result.complaint
    assert deliveries(tmp_path) == []


async def test_a_slow_endpoint_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dspy_session_bots import redelivery

    monkeypatch.setattr(redelivery, "SECONDS", 0.2)
    async with open_receiver() as receiver:
        receiver.behave(Hang())
        taken, said = await redelivery.post_example(receiver.url, [SECRET])
    assert not taken
    assert "did not answer: timed out (0.2" in said
