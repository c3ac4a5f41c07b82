"""The audit: what was acknowledged, answered, committed and delivered is the same, read from the store and the logs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.faults.harness import Endpoint, Harness

TABLES = ("conversations", "entries", "arrivals", "deliveries", "lanes", "sinks")
Row = Mapping[str, Any]


async def read(store: str) -> dict[str, list[Row]]:
    """Every table of a store, behind its back."""
    if store.startswith("postgresql:"):
        url, schema = store.split("?schema=")
        db = await asyncpg.connect(url)
        try:
            async with db.transaction(isolation="repeatable_read", readonly=True):
                return {
                    name: [dict(row) for row in await db.fetch(f"SELECT * FROM {schema}.{name}")] for name in TABLES
                }
        finally:
            await db.close()
    return await asyncio.to_thread(_read_file, store)


def _read_file(path: str) -> dict[str, list[Row]]:
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    try:
        return {name: [dict(row) for row in db.execute(f"SELECT * FROM {name}")] for name in TABLES}
    finally:
        db.close()


async def is_quiet(harness: Harness) -> bool:
    """True when nothing waits in the store: neither a message, nor an answer, nor a delivery."""
    tables = await read(harness.store)
    return not tables["deliveries"] and all(row["state"] == "done" for row in tables["arrivals"])


@dataclass(frozen=True)
class Counts:
    """What an audit counted.

    Args:
        acked: Messages that were acknowledged.
        turns: Turns that are committed.
        failures: Messages that were answered with an apology.
        posts: Posts as they came, again counted again.
        deliveries: Deliveries as they were taken, again counted again.
        posts_again: Posts that came again, with the same id and words.
        deliveries_again: Deliveries that came again, with the same id and body.
    """

    acked: int
    turns: int
    failures: int
    posts: int
    deliveries: int
    posts_again: int
    deliveries_again: int


async def audit(harness: Harness, *, quiet: bool = True) -> Counts:
    """Compare all that is known once nothing is under way any more.

    Args:
        harness: The town.
        quiet: Wait until nothing waits in the store.

    Raises:
        AssertionError: Something was lost, doubled or mixed up; the message lists all of it.
    """
    if quiet:
        await harness.until_stored(lambda: is_quiet(harness))
    books = _Books(harness, await read(harness.store))
    wrong = list(books.wrong())
    assert not wrong, "\n".join(["the books do not balance:", *wrong[:40]])
    taken = [delivery for endpoint in harness.endpoints for delivery in endpoint.taken]
    return Counts(
        acked=len(harness.acked),
        turns=sum(map(len, books.turns.values())),
        failures=len(books.failures),
        posts=len(harness.posts),
        deliveries=len(taken),
        posts_again=len(harness.posts) - len({post.event for post in harness.posts}),
        deliveries_again=sum(len(endpoint.taken) - len(set(endpoint.taken)) for endpoint in harness.endpoints),
    )


class _Books:
    def __init__(self, harness: Harness, tables: dict[str, list[Row]]) -> None:
        self._harness = harness
        self._tables = tables
        keys = {row["id"]: row["key"] for row in tables["conversations"]}
        self.entries: defaultdict[str, list[Row]] = defaultdict(list)
        for row in sorted(tables["entries"], key=lambda row: (row["conversation"], row["number"])):
            self.entries[keys[row["conversation"]]].append({**row, "said": json.loads(row["body"])})
        self.turns = {key: [row for row in rows if row["kind"] == "turn"] for key, rows in self.entries.items()}
        self.failures = [row for rows in self.entries.values() for row in rows if row["kind"] == "failed"]
        self.answers: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for post in harness.posts:
            self.answers[post.event].append((post.key, post.text, post.turn))

    def wrong(self) -> Iterator[str]:
        yield from self._journals()
        yield from self._messages()
        yield from self._posts()
        for endpoint in self._harness.endpoints:
            yield from self._deliveries(endpoint)

    def _journals(self) -> Iterator[str]:
        """Each journal is numbered without gaps, and each turn follows the one before and saw all of them."""
        for row in self._tables["conversations"]:
            key, numbers = row["key"], [entry["number"] for entry in self.entries[row["key"]]]
            if numbers != list(range(row["length"])):
                yield f"{key}: has {row['length']} entries, numbered {numbers}"
        for key, turns in self.turns.items():
            for place, (turn, before) in enumerate(zip(turns, [None, *turns], strict=False)):
                if turn["previous"] != (before and before["number"]):
                    yield f"{key}: entry {turn['number']} follows {turn['previous']}, not {before and before['number']}"
                expected = f"{turn['said']['inputs']['message']} #{place}"
                if turn["said"]["outputs"]["reply"] != expected:
                    yield f"{key}: turn {place} says {turn['said']['outputs']['reply']!r}, not {expected!r}"

    def _messages(self) -> Iterator[str]:
        """What was acknowledged is done, by one turn or one failure; nothing else is there; in order of being sent."""
        said, kept = self._harness.said, {row["event_id"]: row for row in self._tables["arrivals"]}
        if len(kept) != len(self._tables["arrivals"]):
            yield "a message is kept twice"
        for event in self._harness.acked:
            if event not in kept:
                yield f"{event}: was acknowledged and is lost"
            if event not in self.answers:
                yield f"{event}: was acknowledged and never answered"
        ran = Counter([_event(turn) for turns in self.turns.values() for turn in turns])
        ran.update(failure["said"]["event"] for failure in self.failures)
        for event, row in kept.items():
            if row["state"] != "done":
                yield f"{event}: is {row['state']}, not done"
            if event not in said or row["key"] != str(said[event].key):
                yield f"{event}: nobody said this in {row['key']}"
            if ran[event] != 1:
                yield f"{event}: ran {ran[event]} times"
        yield from (f"{event}: ran, but is not kept" for event in ran if event not in kept)

    def _posts(self) -> Iterator[str]:
        """What is posted is what is committed; again only as the same; in each conversation in order."""
        committed = {
            _event(turn): (key, turn["said"]["outputs"]["reply"], turn["said"]["id"])
            for key, turns in self.turns.items()
            for turn in turns
        }
        failed = {failure["said"]["event"] for failure in self.failures}
        for event, answers in self.answers.items():
            if len(set(answers)) != 1:
                yield f"{event}: was answered differently: {answers}"
            if event in committed and answers[0] != committed[event]:
                yield f"{event}: was answered {answers[0]}, but {committed[event]} is committed"
            if event not in committed and event not in failed:
                yield f"{event}: was answered {answers[0]}, but nothing is committed"
        for row in self._tables["arrivals"]:
            ids = row["message_ids"] if isinstance(row["message_ids"], list) else json.loads(row["message_ids"])
            if ids != [f"m-{row['event_id']}"]:
                yield f"{row['event_id']}: is known to be posted as {ids}"
        order: defaultdict[str, list[str]] = defaultdict(list)
        for post in self._harness.posts:
            if post.event in committed and post.event not in order[post.key]:
                order[post.key].append(post.event)
        for key, events in order.items():
            if events != [_event(turn) for turn in self.turns.get(key, ())]:
                yield f"{key}: was posted in another order than it was committed in: {events}"

    def _deliveries(self, endpoint: Endpoint) -> Iterator[str]:
        """Every turn was taken by the receiver, signed; again only as the same; in each conversation in order."""
        bodies: defaultdict[str, set[bytes]] = defaultdict(set)
        turn_of: dict[str, tuple[str, str]] = {}
        for delivery in endpoint.receiver.deliveries:
            bodies[delivery.id].add(delivery.body)
            turn_of[delivery.id] = (delivery.conversation, delivery.turn_id)
            if not delivery.verified:
                yield f"{delivery.id}: its signature is wrong"
        yield from (f"{name}: has {len(body)} bodies" for name, body in bodies.items() if len(body) > 1)
        order: defaultdict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys(endpoint.taken):
            key, turn = turn_of[name]
            order[key].append(turn)
        for key in order.keys() | self.turns.keys():
            turns = [turn["said"]["id"] for turn in self.turns.get(key, ())]
            if order[key] != turns:
                yield f"{key}: {len(order[key])} turns were delivered, {len(turns)} committed, or in another order"
        if self._tables["deliveries"]:
            yield f"{len(self._tables['deliveries'])} deliveries wait"


def _event(turn: Row) -> str:
    return str(turn["said"]["told"]["event"])


def in_order(harness: Harness, tables: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Conversations whose turns are not in the order in which their messages were sent."""
    books = _Books(harness, dict(tables))  # type: ignore[arg-type]
    for key, turns in books.turns.items():
        events = [_event(turn) for turn in turns]
        if events != sorted(events, key=lambda event: harness.said[event].sent_at):
            yield f"{key}: {events}"
