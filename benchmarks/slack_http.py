"""Slack at its busiest, over HTTP: four hundred people write to the bot, and each event is acknowledged in time.

Slack is the tests' fake one, in a process of its own. As the real one it tells the bot of its own answers too, so twice
as many events come as people write messages. The model takes 300 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles
from typing import Any

import speaker
from row import Row
from worker import Run, Worker

PEOPLE, EACH_SECOND, SECONDS = 400, 200, 20
MODEL_SECONDS = 0.3
LONGEST_ACK = 1.0
SLACKS_PAUSES = (0.0, 60.0, 300.0)
"""Seconds before Slack sends again what was not acknowledged."""
GOODBYE = "goodbye"
ROOT = Path(__file__).parent.parent


def the_bot(slack_port: int, port: int) -> dict[str, float]:
    """Serve until somebody says goodbye; how much of a core that took."""
    import dspy
    from slack_sdk.web.async_client import AsyncWebClient

    from dspy_session_chat import Bot
    from dspy_session_slack import Slack

    gone = asyncio.Event()

    def heard(request: Any) -> None:
        if GOODBYE in str(request.messages[-1]):
            gone.set()

    class Whole:
        """The platform without what it could show of an answer before that is whole."""

        name = "slack"

        def __init__(self) -> None:
            client = AsyncWebClient(base_url=f"http://127.0.0.1:{slack_port}/api/")
            secret = "0123456789abcdef0123456789abcdef"
            self._slack = Slack(
                bot_token="xoxb-loopback-secret", signing_secret=secret, listen=f"127.0.0.1:{port}", client=client
            )
            self.run, self.post = self._slack.run, self._slack.post

    async def serve() -> None:
        model = speaker.speaker(heard, MODEL_SECONDS)
        with tempfile.TemporaryDirectory(prefix="dspy-session-bench-") as folder:
            agent, store = dspy.Predict("message -> reply"), f"sqlite:///{folder}/bot.db"
            async with Bot(agent, platforms=[Whole()], store=store, lm=model):
                gc.collect()
                gc.freeze()  # as ``Bot.run`` does
                await gone.wait()

    began, used = time.perf_counter(), time.process_time()
    asyncio.run(serve())
    return {"busy": (time.process_time() - used) / (time.perf_counter() - began)}


def the_people(slack_port: int, port: int) -> dict[str, Any]:
    """Write to the bot; how long each event took to be acknowledged, and how often each message was answered."""
    sys.path.append(str(ROOT))
    from tests.loopback.slack import FakeSlack
    from tests.loopback.slack.http_mode import signed
    from tests.loopback.slack.workspace import Channel, User

    @contextlib.asynccontextmanager
    async def reached() -> AsyncIterator[Any]:
        async with FakeSlack(events={"message.im"}, port=slack_port) as slack:
            http = slack.deliver_to(f"127.0.0.1:{port}")
            news = b'{"type": "event_callback", "event": {"type": "nothing_new"}}'
            while True:
                with contextlib.suppress(OSError):
                    headers = {"Content-Type": "application/json", **signed(news, http.now())}
                    if (await http.request(news, headers))[0] == 200:
                        break
                await asyncio.sleep(0.1)
            yield slack

    async def talk() -> dict[str, Any]:
        async with reached() as slack:
            http, loop = slack.http, asyncio.get_running_loop()
            slack.sockets.pauses = SLACKS_PAUSES
            for number in range(PEOPLE):
                user = User(f"U{number:05d}", f"person{number}", f"Person {number}")
                slack.workspace.add(user, Channel(f"D{number:05d}", "im", members={user.id, slack.bot.id}))
            began = loop.time()
            for number in range(EACH_SECOND * SECONDS):
                await asyncio.sleep(began + number / EACH_SECOND - loop.time())
                person = number % PEOPLE
                await slack.say(f"What about {number}?", channel=f"D{person:05d}", user=f"U{person:05d}")
            late = loop.time() - began - SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * SECONDS), slack.sockets.changed:
                    await slack.sockets.changed.wait_for(lambda: len(slack.posts) >= EACH_SECOND * SECONDS)
            answered = loop.time() - began
            posts = Counter(post.channel for post in slack.posts)
            tries = Counter(len(delivery.envelope_ids) for delivery in slack.deliveries)
            found = {"acks": list(http.seconds), "statuses": dict(Counter(map(str, http.statuses)))}
            await slack.say(GOODBYE, channel="D00000", user="U00000")
            await slack.deliveries[-1].acked.wait()
            return found | {
                "late": late,
                "answered_after": answered,
                "answers": dict(Counter(map(str, posts.values()))),
                "tries": {str(times): count for times, count in tries.items()},
            }

    return asyncio.run(talk())


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    slack_port, port = _free_port(), _free_port()
    with Worker(sys.executable) as people, ThreadPoolExecutor(1) as beside:
        talking = beside.submit(people, the_people, slack_port=slack_port, port=port)
        busy = run.ours(the_bot, slack_port=slack_port, port=port)
        found = talking.result()
    run.keep("slack_http", found | busy)
    acks = sorted(found["acks"])
    half, most = quantiles(acks, n=100)[49], quantiles(acks, n=100)[98]
    each = EACH_SECOND * SECONDS // PEOPLE
    once = found["answers"] == {str(each): PEOPLE}
    yield Row(
        f"an event of Slack over HTTP, acknowledged: the slowest of {len(acks):,} ({EACH_SECOND} messages/s)",
        "s",
        acks[-1],
        limit=LONGEST_ACK,
        counts="ours",
        note=f"p50 {half * 1000:.1f} ms, p99 {most * 1000:.1f} ms; tries by number: {found['tries']}; every message "
        f"answered once: {once}; the last answer {found['answered_after'] - SECONDS:.1f} s after the last message; "
        f"{busy['busy']:.0%} of a core",
    )
