"""The web server: one page, a stream of what happens, a way in for messages, and a local webhook."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from aiohttp import web

from dspy_session_bots.playground.deliveries import Deliveries
from dspy_session_bots.playground.feed import event
from dspy_session_bots.playground.guard import guard, harden
from dspy_session_bots.playground.key import is_thread
from dspy_session_bots.playground.threads import Threads

LONGEST_MESSAGE = 20_000
"""Characters of one message."""
LONGEST_BODY = 4 * 2**20
"""Bytes of one request; a turn that is delivered holds whole inputs and outputs."""
HOOK = "hooks/turns"
"""The path of the local webhook."""

_CONTENT_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}

Say = Callable[[str, str, str], Awaitable[None]]
"""Brings a message to the bot: thread, the message's id, text."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the server serves.

    Args:
        title: What the page calls the agent, and which model answers.
        hosts: What the ``Host`` header may say.
        threads: The threads.
        deliveries: What arrived at the webhook; None for a page without one.
        say: Brings a message to the bot.
    """

    title: Mapping[str, str]
    hosts: frozenset[str]
    threads: Threads
    deliveries: Deliveries | None
    say: Say

    def application(self) -> web.Application:
        """The application that serves it all."""
        application = web.Application(middlewares=[guard(self.hosts)], client_max_size=LONGEST_BODY)
        application.on_response_prepare.append(harden)
        application.add_routes(
            [
                web.get("/", _static),
                web.get("/static/{name}", _static),
                web.get("/api/events", self.events),
                web.post("/api/threads/{thread}/messages", self.message),
            ]
        )
        if self.deliveries is not None:
            application.add_routes([web.post(f"/{HOOK}", self.delivery)])
        return application

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Everything that a page needs to show a thread, then whatever changes."""
        thread = request.query.get("thread", "")
        if not is_thread(thread):
            return _refused(400, "name the thread: ?thread= and up to 64 letters, digits, _ and -")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        opened = await self.threads.open(thread)
        # No await from here to the end of `whole`: nothing happens between what it says and the events that follow.
        with self.threads.feed.page(thread) as page:
            whole = event(
                "whole",
                {
                    **self.title,
                    "threads": self.threads.list(),
                    "thread": opened.to_json(),
                    "deliveries": None if self.deliveries is None else self.deliveries.of(thread),
                },
            )
            with contextlib.suppress(ConnectionError):  # the page is gone
                await response.prepare(request)
                await response.write(b"retry: 1000\n" + whole)
                while (change := await page.next()) is not None:
                    await response.write(change)
        return response

    async def message(self, request: web.Request) -> web.Response:
        """Take a message in."""
        thread = request.match_info["thread"]
        if not is_thread(thread):
            return _refused(404, "there is no such thread")
        if request.content_type != "application/json":
            return _refused(415, "send JSON: Content-Type: application/json")
        try:
            body = json.loads(await request.read())
            text = body["text"].strip()
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return _refused(400, 'send a JSON object with the message: {"text": "…"}')
        if not text:
            return _refused(400, "the message is empty")
        if len(text) > LONGEST_MESSAGE:
            return _refused(413, f"the message has {len(text):,} characters; at most {LONGEST_MESSAGE:,} are read")
        message_id = secrets.token_hex(8)
        await self.say(thread, message_id, _sound(text))
        return web.json_response({"id": message_id}, status=202)

    async def delivery(self, request: web.Request) -> web.Response:
        """Take a webhook's delivery in."""
        assert self.deliveries is not None
        if self.deliveries.take(request.headers, await request.read()):
            return web.Response(status=204)
        return _refused(401, "the signature is not valid")


async def _static(request: web.Request) -> web.Response:
    name = request.match_info.get("name", "index.html")
    known = _files().get(name)
    if known is None:
        return _refused(404, "there is no such file")
    content_type, body = known
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers={"Cache-Control": "no-cache"})


@cache
def _files() -> dict[str, tuple[str, bytes]]:
    """The page's files by name: their type and what is in them."""
    found: dict[str, tuple[str, bytes]] = {}
    for file in files("dspy_session_bots.playground").joinpath("static").iterdir():
        content_type = _CONTENT_TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            found[file.name] = (content_type, file.read_bytes())
    return found


def _refused(status: int, reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=status)


def _sound(text: str) -> str:
    """``text`` with U+FFFD for each half of a surrogate pair: JSON can write one, UTF-8 cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
