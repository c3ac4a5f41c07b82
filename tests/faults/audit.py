"""The audit: what was acknowledged, answered, committed and delivered is the same, read from the store and the logs."""

from __future__ import annotations

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dspy_session_chat import Action, Command, Event, Inbound
from dspy_session_chat.beside import TOO_BUSY, TOO_MANY
from tests.faults.harness import Endpoint, Harness, Shown
from tests.faults.tables import Row, ids_of, read


async def is_quiet(harness: Harness) -> bool:
    """True when nothing waits in the store: neither a message, nor an answer, nor a delivery."""
    tables = await read(harness.store, "deliveries", "arrivals")
    return not tables["deliveries"] and all(row["state"] == "done" for row in tables["arrivals"])


@dataclass(frozen=True)
class Counts:
    """What an audit counted.

    Args:
        acked: Messages that were acknowledged.
        turns: Turns that are committed.
        standing: Those of them that were not taken back since.
        stopped: Those of them that were stopped before their end.
        orphans: Messages that a process began to show an answer in, and was killed before it could write that down.
        failures: Messages that were answered with an apology.
        posts: Posts as they came, again counted again.
        deliveries: Deliveries as they were taken, again counted again.
        posts_again: Posts that came again, with the same id and words.
        deliveries_again: Deliveries that came again, with the same id and body.
    """

    acked: int
    turns: int
    standing: int
    stopped: int
    orphans: int
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
        with contextlib.suppress(AssertionError):  # the books say which
            await harness.until(lambda: not any(map(_is_left, harness.messages.values())))
    books = _Books(harness, await read(harness.store))
    wrong = list(books.wrong())
    assert not wrong, "\n".join(["the books do not balance:", *wrong[:40]])
    taken = [delivery for endpoint in harness.endpoints for delivery in endpoint.taken]
    return Counts(
        acked=len(harness.acked),
        turns=sum(map(len, books.turns.values())),
        standing=sum(map(len, books.standing.values())),
        stopped=sum("stopped" in turn["said"] for turns in books.turns.values() for turn in turns),
        orphans=sum(not message.whole for message in harness.messages.values()),
        failures=len(books.failures),
        posts=len(harness.posts),
        deliveries=len(taken),
        posts_again=len(harness.posts) - len({post.event for post in harness.posts}),
        deliveries_again=sum(len(endpoint.taken) - len(set(endpoint.taken)) for endpoint in harness.endpoints),
    )


def _is_left(message: Shown) -> bool:
    """Whether half an answer stands there that somebody who is well has yet to bring to an end."""
    return not (message.whole or message.worker.disturbed)


class _Books:
    def __init__(self, harness: Harness, tables: dict[str, list[Row]]) -> None:
        self._harness = harness
        self._tables = tables
        keys = {row["id"]: row["key"] for row in tables["conversations"]}
        self.entries: defaultdict[str, list[Row]] = defaultdict(list)
        for row in sorted(tables["entries"], key=lambda row: (row["conversation"], row["number"])):
            self.entries[keys[row["conversation"]]].append({**row, "said": json.loads(row["body"])})
        self.turns = {key: [row for row in rows if row["kind"] == "turn"] for key, rows in self.entries.items()}
        self.standing: dict[str, list[Row]] = {}
        self.failures = [row for rows in self.entries.values() for row in rows if row["kind"] == "failed"]
        self.answers: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for post in harness.posts:
            if not post.interim:
                self.answers[post.event].append((post.key, post.text, post.turn))

    def wrong(self) -> Iterator[str]:
        yield from self._journals()
        yield from self._messages()
        yield from self._posts()
        yield from self._seen()
        for endpoint in self._harness.endpoints:
            yield from self._deliveries(endpoint)

    def _journals(self) -> Iterator[str]:
        """Each journal is numbered without gaps, and each turn follows those that stood then and saw all of them."""
        for row in self._tables["conversations"]:
            key, numbers = row["key"], [entry["number"] for entry in self.entries[row["key"]]]
            if numbers != list(range(row["length"])):
                yield f"{key}: has {row['length']} entries, numbered {numbers}"
        for key, entries in self.entries.items():
            standing: list[Row] = []
            for entry in entries:
                match entry["kind"]:
                    case "turn":
                        yield from self._turn(key, entry, standing)
                        standing.append(entry)
                    case "undo":
                        del standing[-entry["said"]["steps"] :]
                    case "reset":
                        standing.clear()
            self.standing[key] = standing

    def _turn(self, key: str, turn: Row, before: Sequence[Row]) -> Iterator[str]:
        previous = before[-1]["number"] if before else None
        if turn["previous"] != previous:
            yield f"{key}: entry {turn['number']} follows {turn['previous']}, not {previous}"
        expected, reply = f"{turn['said']['inputs']['message']} #{len(before)}", turn["said"]["outputs"]["reply"]
        reason = turn["said"].get("stopped")
        if reason is None and reply != expected:
            yield f"{key}: a turn says {reply!r}, not {expected!r}"
        heard = reply.removesuffix(f"*({reason})*").strip()
        if reason is not None and (not reply.endswith(f"*({reason})*") or not expected.startswith(heard)):
            yield f"{key}: a turn that was {reason} says {reply!r}, a part of {expected!r}"

    def _messages(self) -> Iterator[str]:
        """What was acknowledged is done, in the way that is its own, once; nothing else is there."""
        said, kept = self._harness.said, {row["event_id"]: row for row in self._tables["arrivals"]}
        if len(kept) != len(self._tables["arrivals"]):
            yield "a message is kept twice"
        yield from (f"{event}: was acknowledged and is lost" for event in self._harness.acked if event not in kept)
        ran = Counter([_event(turn) for turns in self.turns.values() for turn in turns])
        failed = Counter(failure["said"]["event"] for failure in self.failures)
        ran.update(failed.keys())
        yield from self._failed_again(failed)
        yield from (f"{event}: ran, but is not kept" for event in ran if event not in kept)
        yield from (f"{event}: ran {times} times" for event, times in ran.items() if times > 1)
        # With a message: those that were merged with it, and the wish to stop it. With a retry: what it answers again.
        first = ran.copy()
        for failure in self.failures:
            first.update(failure["said"].get("events", ()))
        for turns in self.turns.values():
            for turn in turns:
                if _is_message(said.get(_event(turn))):
                    first.update(turn["said"]["told"].get("events", ()))
        for event, row in kept.items():
            if row["state"] != "done":
                yield f"{event}: is {row['state']}, not done"
            if event not in said or row["key"] != str(said[event].key):
                yield f"{event}: nobody said this in {row['key']}"
            elif _is_message(said[event]) and first[event] + self._is_turned_away(event) != 1:
                yield f"{event}: was answered by {first[event]} turns and failures"
        for key, standing in self.standing.items():
            answered = Counter(event for turn in standing for event in _events(turn) if _is_message(said.get(event)))
            yield from (f"{key}: {event} is answered by {n} turns that stand" for event, n in answered.items() if n > 1)

    def _failed_again(self, failed: Counter[str]) -> Iterator[str]:
        """What failed may fail again where somebody asked again: the second answer is to whoever did."""
        said = self._harness.said
        again = Counter(str(each.key) for each in said.values() if _is_retry(each))
        for event, times in failed.items():
            if event in said and times > 1 + again[str(said[event].key)]:
                yield f"{event}: failed {times} times, and was asked again less often"

    def _is_turned_away(self, event: str) -> bool:
        return any(text in (TOO_BUSY, TOO_MANY) for _, text, _ in self.answers.get(event, ()))

    def _posts(self) -> Iterator[str]:
        """What is posted is what is committed; again only as the same; in each conversation in order."""
        said = self._harness.said
        committed = {
            _event(turn): (key, turn["said"]["outputs"]["reply"], turn["said"]["id"])
            for key, turns in self.turns.items()
            for turn in turns
        }
        failed = {failure["said"]["event"] for failure in self.failures}
        for event in (committed.keys() | failed) - self.answers.keys():
            yield f"{event}: is answered, and nobody was told"
        for event, answers in self.answers.items():
            if len(set(answers)) != 1:
                yield f"{event}: was answered differently: {answers}"
            if event in committed and answers[0] != committed[event]:
                yield f"{event}: was answered {answers[0]}, but {committed[event]} is committed"
            is_own = not _is_message(said[event]) or self._is_turned_away(event)
            if event not in committed and event not in failed and not is_own:
                yield f"{event}: was answered {answers[0]}, but nothing is committed"
        order: defaultdict[str, list[str]] = defaultdict(list)
        for post in self._harness.posts:
            if post.event in committed and not post.interim and post.event not in order[post.key]:
                order[post.key].append(post.event)
        for key, events in order.items():
            if events != [_event(turn) for turn in self.turns.get(key, ())]:
                yield f"{key}: was posted in another order than it was committed in: {events}"

    def _seen(self) -> Iterator[str]:
        """What people see in the end is the answer, where the store says; only who was killed leaves half of one."""
        messages = self._harness.messages
        for row in self._tables["arrivals"]:
            event, ids = row["event_id"], ids_of(row)
            if event not in self.answers:
                continue
            if not ids or not all(name in messages for name in ids):
                yield f"{event}: is known to be posted as {ids}"
                continue
            seen, answer = " ".join(messages[name].text for name in ids), self.answers[event][0][1]
            if seen.split() != answer.split():
                yield f"{event}: people see {seen!r}, not {answer!r}"
        for message in messages.values():
            if _is_left(message):
                yield f"{message.event}: {message.id} was begun and never ended: {message.text!r}"

    def _deliveries(self, endpoint: Endpoint) -> Iterator[str]:
        """Every turn was taken by the receiver, signed; again only as the same; in each conversation in order."""
        bodies: defaultdict[str, set[bytes]] = defaultdict(set)
        turn_of: dict[str, tuple[str, str]] = {}
        for delivery in endpoint.receiver.deliveries:
            bodies[delivery.id].add(delivery.body)
            if delivery.payload["type"] == "conversation.turn":
                turn_of[delivery.id] = (delivery.conversation, delivery.turn_id)
            if not delivery.verified:
                yield f"{delivery.id}: its signature is wrong"
        yield from (f"{name}: has {len(body)} bodies" for name, body in bodies.items() if len(body) > 1)
        order: defaultdict[str, list[str]] = defaultdict(list)
        for name in filter(turn_of.__contains__, dict.fromkeys(endpoint.taken)):
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


def _events(turn: Row) -> list[str]:
    return [_event(turn), *turn["said"]["told"].get("events", ())]


def _is_message(event: Event | None) -> bool:
    return isinstance(event, Inbound) and not event.text.startswith("/")


def _is_retry(event: Event) -> bool:
    return isinstance(event, Action) and isinstance(event.deed, Command) and event.deed.name == "retry"


def in_order(harness: Harness, tables: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Conversations whose turns are not in the order in which their messages were sent."""
    books = _Books(harness, dict(tables))  # type: ignore[arg-type]
    for key, turns in books.turns.items():
        events = [_event(turn) for turn in turns]
        if events != sorted(events, key=lambda event: harness.said[event].sent_at):
            yield f"{key}: {events}"
