"""The town: where people talk to bots that are real processes, and where all is written down that comes out of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from dspy_session.conversation import ConversationKey
from dspy_session_chat import Action, Author, Event, Inbound
from dspy_session_chat.action import Deed
from dspy_session_chat.shown import BEGUN_ANEW
from tests.faults.tables import ids_of, read
from tests.faults.wire import Link, LinkLostError, RefusedError
from tests.loopback.receiver import SECRET, Receiver

PATIENCE = 20.0
"""Seconds to wait for what must happen, on a machine that is busy."""
ROOT = Path(__file__).parents[2]


class Zygote:
    """The process that bots are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def fork(self, config: dict[str, Any]) -> int:
        """Start a bot; the process's id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(config) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def close(self) -> None:
        """End it, and every bot with it."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@dataclass(frozen=True)
class Held:
    """A process that waits at a point.

    Args:
        what: What it is about to do or has just done.
    """

    what: dict[str, Any]
    _answer: asyncio.Future[str]

    def go(self) -> None:
        """Let it go on."""
        self._answer.set_result("go")

    def fail(self) -> None:
        """Let it fail there, by a timeout."""
        self._answer.set_result("fail")


class Worker:
    """A bot's process."""

    def __init__(self, name: str, config: dict[str, Any]) -> None:
        self.name = name
        self.config = config
        self.pid = 0
        self.passed: list[dict[str, Any]] = []
        self._link: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        self._held: defaultdict[str, asyncio.Queue[Held]] = defaultdict(asyncio.Queue)
        self._waving = False
        self.disturbed = False
        """Whether it was killed or stopped: then it may have posted what it could not write down any more."""

    @property
    def is_alive(self) -> bool:
        return not (self._link.done() and self._link.result().lost.is_set())

    @property
    def is_connected(self) -> bool:
        return self._link.done()

    async def say(self, event: Event) -> None:
        """Hand a message over, or what else people do; returns once it is acknowledged.

        Raises:
            RefusedError: It was refused.
            LinkLostError: The process is gone; whether it took the message over is not known.
        """
        await self.ask("say", event=event.to_json())

    async def ask(self, verb: str, **what: Any) -> Any:
        """Ask the process for something else."""
        async with asyncio.timeout(PATIENCE):
            return await (await self._connected()).ask(verb, **what)

    async def at(self, point: str) -> Held:
        """The process, once it waits at a point."""
        async with asyncio.timeout(PATIENCE):
            return await self._held[point].get()

    def waits_at(self, point: str) -> bool:
        """Whether it waits there now, and nobody was told yet."""
        return not self._held[point].empty()

    def wave_through(self) -> None:
        """Let it pass every point from now on, and write down which."""
        self._waving = True
        for held in self._held.values():
            while not held.empty():
                held.get_nowait().go()

    # --- its life -----------------------------------------------------------------------------------------------------

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it is gone."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def kill(self) -> None:
        """Kill it, and return once it is gone."""
        self.disturbed = True
        self.signal(signal.SIGKILL)
        await self.gone()

    def stop(self) -> None:
        """Stop it in its tracks, with everything that it holds."""
        self.disturbed = True
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    async def finish(self) -> None:
        """Ask it to end, and return once it has."""
        self.signal(signal.SIGTERM)
        await self.gone()

    async def gone(self) -> None:
        """Return once the process is gone, and with it all that it held."""
        async with asyncio.timeout(PATIENCE):
            await (await self._connected()).lost.wait()

    async def _connected(self) -> Link:
        return await asyncio.shield(self._link)

    # --- for the town -------------------------------------------------------------------------------------------------

    def connected(self, link: Link) -> None:
        self._link.set_result(link)

    async def pause(self, point: str, what: dict[str, Any]) -> str:
        self.passed.append({"point": point, **what})
        held = Held(what, asyncio.get_running_loop().create_future())
        if self._waving:
            return "go"
        self._held[point].put_nowait(held)
        return await held._answer  # noqa: SLF001  # ours


@dataclass(frozen=True)
class Seen:
    """A post as the town got it.

    Args:
        worker: Who posted it.
        event: The message that it answers, which names the post: the same again is the same post.
        key: The conversation.
        text: What it says.
        turn: The turn's id; empty for words of the bot's own.
        buttons: What is under it: by action, what each is about.
        interim: Whether the answer is still to come.
    """

    worker: str
    event: str
    key: str
    text: str
    turn: str
    buttons: Mapping[str, str] = field(default_factory=dict, hash=False)
    interim: bool = False


@dataclass
class Shown:
    """A message of a bot's as people see it.

    Args:
        id: The platform's id of it.
        worker: Who began it.
        event: What it answers.
        text: What it says now.
        whole: False while more of the answer is to come.
        edits: How often it was changed.
    """

    id: str
    worker: Worker
    event: str
    text: str
    whole: bool
    edits: int = 0


@dataclass
class Endpoint:
    """A webhook's receiver, and what it took.

    Args:
        receiver: The receiver.
        secrets: The keys that bots are to sign with.
        taken: The ids of deliveries that were answered with 2xx, in order.
    """

    receiver: Receiver
    secrets: list[str] = field(default_factory=lambda: [SECRET])
    taken: list[str] = field(default_factory=list)


class Harness:
    """A town with one store.

    Args:
        zygote: Who forks the bots.
        store: The store's URL, or the path of a SQLite file.
        directory: Where the bots write their logs.
    """

    def __init__(self, zygote: Zygote, store: str, directory: Path) -> None:
        self.store = store
        self.said: dict[str, Event] = {}
        self.acked: list[str] = []
        self.posts: list[Seen] = []
        self.messages: dict[str, Shown] = {}
        """What people see, by the messages' ids."""
        self.ran: list[str] = []
        """What tools were run with."""
        self.workers: list[Worker] = []
        self.endpoints: list[Endpoint] = []
        self.unavailable = 0
        """How many of the next posts find no platform."""
        self._zygote = zygote
        self._directory = directory
        self._numbers = itertools.count()
        self._sent_at = datetime.now(UTC)
        self._changed = asyncio.Condition()
        self._port = 0
        self._speaking: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._free = asyncio.Event()

    @property
    def receiver(self) -> Receiver:
        """The receiver of the first webhook."""
        return self.endpoints[0].receiver

    # --- processes ----------------------------------------------------------------------------------------------------

    async def start(
        self,
        *,
        points: Sequence[str] = (),
        lease_seconds: float = 30.0,
        pace: float = 1e-4,
        claim_seconds: float = 2.0,
        http_timeout: float = 1.0,
        busy_seconds: float = 0.05,
        patience: float = 10.0,
        pause: float = 0.1,
        think: float = 0.0,
        streams: bool = False,
        edits: bool = False,
        agent: str = "counting",
        busy: str = "queue",
        per_user: str | None = None,
        shift: float = 0.0,
        grace: float = 10.0,
    ) -> Worker:
        """Start a bot; returns once it takes messages.

        Args:
            points: Where to hold it: ``receiving``, ``received``, ``model``, ``commit``, ``committed``,
                ``stale`` (a commit that was refused), ``posting``, ``posted``; of an answer that grows ``growing`` (the
                model has said a part), ``begun``, ``noted`` (the store knows of the message), ``editing``; ``ran`` (a
                tool).
            lease_seconds: How long a conversation is its own when it dies.
            pace: What part of its time a delivery waits until it is tried again.
            claim_seconds: How long a lane is its own when it dies; more than ``http_timeout`` by a second.
            http_timeout: Seconds for one attempt at a delivery.
            busy_seconds: How long it waits for a SQLite file that is locked.
            patience: Seconds that it tries to reach PostgreSQL.
            pause: Seconds that it waits, first, before it writes again what it could not.
            think: Seconds that the model takes at most.
            streams: Whether it shows answers while they are written, in a way that nobody looks at.
            edits: Whether it shows them in messages that grow.
            agent: What answers: ``"counting"`` at once, ``"speaking"`` bit by bit, ``"asking"`` with a tool that asks
                people first.
            busy: What it does with what comes while it is at work.
            per_user: How many messages it takes from a user.
            shift: Seconds that its clock is fast.
            grace: Seconds that it has to end.
        """
        config = {name: value for name, value in locals().items() if name != "self"}
        name = f"bot-{next(self._numbers)}"
        webhooks = [(endpoint.receiver.url, endpoint.secrets) for endpoint in self.endpoints]
        config |= {"name": name, "port": self._port, "store": self.store, "webhooks": webhooks}
        config |= {"log": str(self._log(name)), "points": list(points)}
        worker = Worker(name, config)
        self.workers.append(worker)
        worker.pid = self._zygote.fork(config)
        try:
            async with asyncio.timeout(PATIENCE):
                await worker._connected()  # noqa: SLF001  # ours
        except TimeoutError:
            raise AssertionError(f"{name} did not start: {self._log(name).read_text()[-1000:]}") from None
        self._free.set()
        return worker

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    # --- people -------------------------------------------------------------------------------------------------------

    def message(
        self,
        channel: str = "c1",
        *,
        event: str = "",
        user: str = "U1",
        sent_at: datetime | None = None,
        text: str = "",
    ) -> Inbound:
        """A message, later than the one before; what it says is its id, unlike all others, unless a text is given."""
        number = len(self.said)
        key = ConversationKey("wire", "W", channel)
        event = event or f"{channel}-e{number}"
        self._sent_at += timedelta(milliseconds=1)
        inbound = Inbound(key, event, Author(user, user), text or event, "mention", sent_at or self._sent_at)
        self.said[event] = inbound
        return inbound

    def deed(self, deed: Deed, channel: str = "c1", *, user: str = "U1") -> Action:
        """Something else that somebody does, later than what was before."""
        self._sent_at += timedelta(milliseconds=1)
        event = f"{channel}-{type(deed).__name__.lower()}{len(self.said)}"
        action = Action(ConversationKey("wire", "W", channel), event, Author(user, user), self._sent_at, deed)
        self.said[event] = action
        return action

    async def say(self, worker: Worker, inbound: Inbound | None = None, /, **what: Any) -> Inbound:
        """Say something to one process, and note that it was acknowledged."""
        inbound = inbound or self.message(**what)
        await worker.say(inbound)
        self._note(inbound)
        return inbound

    async def do(self, worker: Worker, deed: Deed, channel: str = "c1", *, user: str = "U1") -> Action:
        """Do something else before one process, and note that it was acknowledged."""
        action = self.deed(deed, channel, user=user)
        await worker.say(action)
        self._note(action)
        return action

    async def insist(self, inbound: Event, choose: Callable[[Sequence[Worker]], Worker]) -> None:
        """Say something as platforms do: again, to whoever is there, until it is acknowledged; one after the other.

        Args:
            inbound: The message.
            choose: Which of the processes that seem to be there is told.
        """
        async with self._speaking[str(inbound.key)]:
            while True:
                there = [worker for worker in self.workers if worker.is_alive]
                if not there:
                    self._free.clear()
                    await self._free.wait()
                    continue
                with contextlib.suppress(LinkLostError, RefusedError, TimeoutError):
                    async with asyncio.timeout(3.0):  # a platform's patience
                        await choose(there).say(inbound)
                    self._note(inbound)
                    return

    def _note(self, inbound: Event) -> None:
        if inbound.event_id not in self.acked:
            self.acked.append(inbound.event_id)

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Return once ``condition`` holds; it is looked at whenever something is posted or delivered."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"this did not happen: {len(self.posts)} posts, see {self._directory}") from None

    async def until_stored(self, condition: Callable[[], Awaitable[object]], seconds: float = PATIENCE) -> None:
        """Return once ``condition`` holds, which looks into the store: nobody tells when that changes."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not await condition():
            assert loop.time() < deadline, f"this did not happen: {len(self.posts)} posts, see {self._directory}"
            await asyncio.sleep(0.05)  # between two looks

    async def posted(self, *inbounds: Event) -> list[str]:
        """The texts that answer these messages, once they are all answered."""
        await self.until(
            lambda: {each.event_id for each in inbounds} <= {post.event for post in self.posts if not post.interim}
        )
        texts = {post.event: post.text for post in self.posts if not post.interim}
        return [texts[inbound.event_id] for inbound in inbounds]

    def answers(self, inbound: Event) -> list[Seen]:
        """Every post that answers a message."""
        return [post for post in self.posts if post.event == inbound.event_id]

    def seen(self, inbound: Event) -> list[Shown]:
        """The messages that people see in answer to one, as they stand."""
        return [message for message in self.messages.values() if message.event == inbound.event_id]

    async def growing(self, inbound: Event, text: str) -> list[Shown]:
        """What people see of an answer, once it shows ``text`` and the store knows where."""

        async def is_noted() -> bool:
            tables = await read(self.store, "arrivals")
            (row,) = [row for row in tables["arrivals"] if row["event_id"] == inbound.event_id]
            return len(ids_of(row)) == len(self.seen(inbound))

        await self.until(lambda: text in "".join(message.text for message in self.seen(inbound)))
        await self.until_stored(is_noted)
        return self.seen(inbound)

    # --- the town's end of the wires, and the receivers ---------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known: list[Worker] = []

        async def serve(verb: str, what: dict[str, Any]) -> Any:
            if verb == "hello":
                known.extend(worker for worker in self.workers if worker.name == what["name"])
                known[0].connected(link)
                return None
            if verb == "at":
                return await known[0].pause(what.pop("point"), what)
            return await self._take(known[0], verb, what)

        link = Link(reader, writer, serve)
        await link.run()

    async def _take(self, worker: Worker, verb: str, what: dict[str, Any]) -> dict[str, Any]:
        if self.unavailable > 0 and verb == "post":
            self.unavailable -= 1
            return {"unavailable": "the town sleeps"}
        async with self._changed:
            taken = self._taken(worker, verb, what)
            self._changed.notify_all()
        return taken

    def _taken(self, worker: Worker, verb: str, what: dict[str, Any]) -> dict[str, Any]:
        match verb:
            case "ran":
                self.ran.append(what["text"])
                return {}
            case "begin":
                return {"id": self._new(worker, what["event"], what["text"], whole=False)}
            case "edit":
                self._change(what["id"], what["text"], whole=what["text"] == BEGUN_ANEW)
                return {}
        texts, shown = what.pop("texts"), what.pop("shown")
        self.posts.append(Seen(worker.name, **what))
        ids = [
            self._change(shown[place], text, whole=True)
            if place < len(shown)
            else self._new(worker, what["event"], text, whole=True)
            for place, text in enumerate(texts)
        ]
        for surplus in shown[len(texts) :]:
            self.messages.pop(surplus, None)
        return {"ids": ids}

    def _new(self, worker: Worker, event: str, text: str, *, whole: bool) -> str:
        name = f"m{len(self.messages)}-{event}"
        self.messages[name] = Shown(name, worker, event, text, whole)
        return name

    def _change(self, name: str, text: str, *, whole: bool = False) -> str:
        message = self.messages[name]
        message.text, message.whole, message.edits = text, whole, message.edits + 1
        return name

    @contextlib.asynccontextmanager
    async def listening(self, endpoints: int = 1) -> AsyncIterator[Harness]:
        """Be there for bots while the block runs; then all of them are killed."""
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(endpoints):
                self.endpoints.append(await stack.enter_async_context(self._receiving()))
            server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**20)
            self._port = server.sockets[0].getsockname()[1]
            try:
                yield self
            finally:
                server.close()
                for worker in self.workers:
                    worker.signal(signal.SIGKILL)
                for worker in self.workers:
                    if worker.is_connected:  # else it never came to anything, and the test says so
                        await worker.gone()

    @contextlib.asynccontextmanager
    async def _receiving(self) -> AsyncIterator[Endpoint]:
        endpoint = Endpoint(Receiver())

        @web.middleware
        async def note(request: web.Request, handler: Callable[..., Awaitable[web.StreamResponse]]) -> Any:
            response = await handler(request)
            async with self._changed:
                if 200 <= response.status < 300:
                    endpoint.taken.append(request.headers["webhook-id"])
                self._changed.notify_all()
            return response

        application = endpoint.receiver.application()
        application.middlewares.append(note)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            endpoint.receiver.url = f"http://{host}:{port}/turns"
            yield endpoint
        finally:
            endpoint.receiver.close()
            await runner.cleanup()
