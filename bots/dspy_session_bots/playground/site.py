"""The web server: one page, a stream of what happens, a way in for what people write and do, and a local webhook."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from aiohttp import web

from dspy_session_bots.playground.asked import Asked, asked
from dspy_session_bots.playground.deeds import deed_in
from dspy_session_bots.playground.deliveries import Deliveries
from dspy_session_bots.playground.desk import Desk
from dspy_session_bots.playground.feed import event
from dspy_session_bots.playground.guard import guard, harden
from dspy_session_bots.playground.key import is_thread
from dspy_session_bots.playground.refusal import RefusalError, explain, refused
from dspy_session_bots.playground.shelf import FILES, MOST_EACH, Shelf
from dspy_session_bots.playground.threads import Threads
from dspy_session_chat.needs import Named

LONGEST_BODY = 4 * 2**20
"""Bytes of one request; a turn that is delivered holds whole inputs and outputs."""
HOOK = "hooks/turns"
"""The path of the local webhook."""

_CONTENT_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Site:
    """What the server serves.

    Args:
        title: What the page calls the agent, and which model answers.
        hosts: What the ``Host`` header may say.
        threads: The threads.
        deliveries: What arrived at the webhook; None for a page without one.
        shelf: The files that are served.
        desk: Brings what people write and do to the bot.
        commands: The commands that the page offers.
    """

    title: Mapping[str, str]
    hosts: frozenset[str]
    threads: Threads
    deliveries: Deliveries | None
    shelf: Shelf
    desk: Desk
    commands: Callable[[], Sequence[Named]]

    def application(self) -> web.Application:
        """The application that serves it all."""
        application = web.Application(middlewares=[guard(self.hosts), explain], client_max_size=LONGEST_BODY)
        application.on_response_prepare.append(harden)
        application.add_routes(
            [
                web.get("/", _static),
                web.get("/static/{name}", _static),
                web.get("/api/events", self.events),
                web.post("/api/threads/{thread}/messages", self.message),
                web.post("/api/threads/{thread}/actions", self.action),
                web.post(FILES, self.bring),
                web.get(f"{FILES}/{{id}}/{{name}}", self.file),
            ]
        )
        if self.deliveries is not None:
            application.add_routes([web.post(f"/{HOOK}", self.delivery)])
        return application

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Everything that a page needs to show a thread, then whatever changes."""
        thread = request.query.get("thread", "")
        if not is_thread(thread):
            return refused(400, "name the thread: ?thread= and up to 64 letters, digits, _ and -")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        opened = await self.threads.open(thread)
        # No await from here to the end of `whole`: nothing happens between what it says and the events that follow.
        with self.threads.feed.page(thread) as page:
            whole = event(
                "whole",
                {
                    **self.title,
                    "commands": [{"name": one.name, "description": one.description} for one in self.commands()],
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
        said = await _asked(request)
        text, files = said.message(), said.files()
        return _taken(await self.desk.say(said.thread, said.author(), text, files))

    async def action(self, request: web.Request) -> web.Response:
        """Take in something that was done."""
        done = await _asked(request)
        return _taken(await self.desk.act(done.thread, done.author(), deed_in(done.body)))

    async def bring(self, request: web.Request) -> web.Response:
        """Take a file in."""
        data = bytearray()
        async for piece in request.content.iter_chunked(2**16):
            data += piece
            if len(data) > MOST_EACH:
                raise RefusalError(413, f"the file is larger than {MOST_EACH // 2**20} MB")
        kept = self.shelf.put(request.query.get("name", ""), request.content_type, bytes(data))
        return web.json_response(kept.to_json(), status=201)

    async def file(self, request: web.Request) -> web.Response:
        """Hand a file out."""
        kept = self.shelf.get(request.match_info["id"])
        return refused(404, "there is no such file any more") if kept is None else kept.response()

    async def delivery(self, request: web.Request) -> web.Response:
        """Take a webhook's delivery in."""
        assert self.deliveries is not None
        if self.deliveries.take(request.headers, await request.read()):
            return web.Response(status=204)
        return refused(401, "the signature is not valid")


async def _static(request: web.Request) -> web.Response:
    name = request.match_info.get("name", "index.html")
    known = _files().get(name)
    if known is None:
        return refused(404, "there is no such file")
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


async def _asked(request: web.Request) -> Asked:
    if not is_thread(request.match_info["thread"]):
        raise RefusalError(404, "there is no such thread")
    if request.content_type != "application/json":
        raise RefusalError(415, "send JSON: Content-Type: application/json")
    return asked(request.match_info["thread"], await request.read())


def _taken(event_id: str) -> web.Response:
    return web.json_response({"id": event_id}, status=202)
