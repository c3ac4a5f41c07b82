"""Everything at once: three workers, two hundred conversations, and faults that a seed decides; then the audit.

``make test`` soaks for 10 seconds; ``make soak SECONDS=600 SEED=7`` for as long as one likes. The seed decides what is
said, when, and what goes wrong: the same one makes the same faults in the same order, as fast as the machine is.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from dspy_session_chat import Command, Event, Inbound, Press
from dspy_session_chat.action import Deed, Edit
from dspy_session_chat.answering import GIVEN_UP
from tests.faults.audit import Counts, audit, in_order, is_quiet
from tests.faults.harness import Harness, Worker, Zygote
from tests.faults.tables import read
from tests.loopback.receiver import Abort, Behaviour, DripHead, Hang, Reply
from tests.postgres import Postgres

SECONDS = float(os.environ.get("SOAK_SECONDS") or 10)
SEED = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
WORKERS = 3
CONVERSATIONS = 200
LEASE = 2.0
"""Seconds: a worker that is killed or stopped keeps others from its conversations for as long; a busy one renews it."""
REST = 150.0
"""Seconds in which all that was said must be done, on a machine that has other things to do as well: a guard."""
GAP = 0.02
"""Seconds between two things that happen, on average."""
FAILURES: tuple[Behaviour, ...] = (
    Reply(500),
    Reply(503),
    Reply(429, {"Retry-After": "60"}),
    Abort(),
    Hang(),
    DripHead(),
)
WAYS = (
    {"streams": True},
    {"agent": "speaking", "edits": True, "busy": "merge"},
    {"agent": "speaking", "edits": True, "busy": "interrupt"},
)
"""How each of the workers goes about it."""
WEIGHTS = {
    "say": 900,
    "say again": 40,  # an event that was said before, to anybody
    "say several": 20,  # one after the other, quicker than they can be answered
    "ask to stop": 25,
    "press stop": 15,  # under any message, also one that is long answered
    "retry": 20,
    "undo": 10,
    "rate": 25,
    "edit": 20,
    "kill": 6,
    "stop": 6,
    "end": 2,  # SIGTERM
    "fail a delivery": 25,
    "fail all deliveries": 2,
    "fail a post": 10,
    "kill postgres": 1,
}


class Soak:
    """A town in which much goes wrong.

    Args:
        town: The town.
        postgres: Its database.
        seed: What decides.
    """

    def __init__(self, town: Harness, postgres: Postgres, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._town = town
        self._postgres = postgres
        self._random = random.Random(seed)
        self._slots: list[Worker | None] = [None] * WORKERS
        self._tasks: set[asyncio.Task[None]] = set()
        self._calm = asyncio.Event()

    async def run(self, seconds: float) -> Counts:
        """Let things happen for some seconds, then come to rest and compare the books."""
        await asyncio.gather(*(self._start(slot) for slot in range(WORKERS)))
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        due = time.monotonic()
        end = due + seconds
        while due < end:
            what = self._random.choices(names, weights)[0]
            self.counts[what] += 1
            self._do(what)
            due += self._random.expovariate(1 / GAP)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await self._come_to_rest()
        counts = await audit(self._town)
        tables = await read(self._town.store)
        late = list(in_order(self._town, tables))
        assert not late, late
        # How many they are, is a question of how long the machine takes for an answer.
        why = {json.loads(row["body"])["error"] for row in tables["entries"] if row["kind"] == "failed"}
        assert why <= {GIVEN_UP}, "only what was taken from three processes is given up"
        return counts

    def _do(self, what: str) -> None:  # noqa: C901  # one case for each
        # All that is random is decided here and now, so that it does not depend on how quick anybody is.
        draw, town = self._random, self._town
        slot, seconds = draw.randrange(WORKERS), draw.uniform(0.0, 2.0 * LEASE)
        match what:
            case "say":
                message = town.message(f"c{draw.randrange(CONVERSATIONS)}", user=f"U{draw.randrange(20)}")
                self._later(town.insist(message, _by(slot)))
            case "say again" if town.said:
                message = draw.choice(list(town.said.values())[-300:])
                self._later(town.insist(message, _by(slot)))
            case "say several":
                channel, user = f"c{draw.randrange(CONVERSATIONS)}", f"U{draw.randrange(20)}"
                for number in range(draw.randrange(2, 5)):
                    self._later(town.insist(town.message(channel, user=user), _by(slot + number)))
            case "ask to stop" | "press stop" | "retry" | "undo" | "rate" | "edit" if town.said:
                lately = list(town.said.values())[-100:]  # of all that was said, only messages can be edited
                self._do_to(what, draw.choice([each for each in lately if what != "edit" or _is_said(each)]), slot)
            case "kill":
                self._later(self._replace(slot, seconds / 4, gently=False))
            case "end":
                self._later(self._replace(slot, 0.0, gently=True))
            case "stop":
                self._later(self._stop(slot, seconds))
            case "fail a delivery":
                town.receiver.behave(draw.choice(FAILURES))
            case "fail all deliveries":
                self._later(self._fail_deliveries(draw.choice(FAILURES), seconds))
            case "fail a post":
                town.unavailable += 1
            case "kill postgres":
                self._postgres.kill()
                self._postgres.start()

    def _do_to(self, what: str, event: Event, slot: int) -> None:
        """Do something about an event that was there before, whatever has become of it."""
        draw, town = self._random, self._town
        turns = [post.turn for post in town.answers(event) if post.turn]
        match what:
            case "press stop":
                deed: Deed = Press("stop", event.event_id)
            case "rate":
                deed = Press(draw.choice(("good", "bad")), turns[-1] if turns else "no such turn")
            case "edit":
                deed = Edit(event.event_id, f"{event.event_id} in other words")
            case _:
                deed = Command({"ask to stop": "stop"}.get(what, what))
        self._later(town.insist(town.deed(deed, event.key.channel, user=event.author.id), _by(slot)))

    # --- what takes a while -------------------------------------------------------------------------------------------

    def _later(self, doing) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, slot: int) -> None:
        self._slots[slot] = await self._town.start(
            lease_seconds=LEASE, think=0.05, pace=1e-4, http_timeout=0.3, **WAYS[slot]
        )

    async def _replace(self, slot: int, seconds: float, *, gently: bool) -> None:
        worker, self._slots[slot] = self._slots[slot], None
        if worker is None:
            return  # somebody is at it
        if gently:
            worker.go_on()
            await worker.finish()
        else:
            await worker.kill()
            await self._wait(seconds)
        await self._start(slot)

    async def _stop(self, slot: int, seconds: float) -> None:
        worker = self._slots[slot]
        if worker is not None:
            worker.stop()
            await self._wait(seconds)
            worker.go_on()

    async def _fail_deliveries(self, behaviour: Behaviour, seconds: float) -> None:
        self._town.receiver.always(behaviour)
        await self._wait(seconds)
        self._town.receiver.always(None)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._calm.wait()
        except TimeoutError:
            pass

    async def _come_to_rest(self) -> None:
        self._calm.set()
        self._town.unavailable = 0
        async with asyncio.timeout(REST):
            while self._tasks:
                await asyncio.gather(*self._tasks)
        self._town.receiver.always(None)
        await self._town.until_stored(lambda: is_quiet(self._town), seconds=REST)


def _is_said(event: Event) -> bool:
    return isinstance(event, Inbound)


def _by(slot: int):
    """Chooses a worker by a number that was drawn before; another one each time that it is asked."""
    tried = iter(range(slot, slot + 10**6))

    def choose(there: Sequence[Worker]) -> Worker:
        return there[next(tried) % len(there)]

    return choose


@pytest.mark.timeout(SECONDS + 2 * REST + 60)
async def test_whatever_happens_the_books_balance(
    zygote: Zygote, postgres: Postgres, postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with capsys.disabled():
        print(f"\nsoak: SECONDS={SECONDS:g} SEED={SEED} (logs: {tmp_path})", flush=True)  # noqa: T201  # to repeat it
    async with Harness(zygote, postgres_url, tmp_path).listening() as town:
        soak = Soak(town, postgres, SEED)
        counts = await soak.run(SECONDS)
    with capsys.disabled():
        print(f"soak: {dict(soak.counts)}\nsoak: {counts}", flush=True)  # noqa: T201  # as above
    assert counts.acked == len(town.said)
    faults = sum(soak.counts[what] for what in ("kill", "stop", "end", "kill postgres"))
    assert counts.orphans <= 5 * faults, "only who was killed in the very moment leaves half an answer behind"
