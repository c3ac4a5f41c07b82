"""The playground as a stage of the contract that all platforms keep: people, and what their pages show."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from dspy_session_bots.playground import Playground
from dspy_session_chat.reply import ReplyFile
from dspy_session_chat.testing import Abilities, Person, Seen, Where, Written
from tests.bots.playground.page import PATIENCE, Page

JSON = dict[str, Any]

CHANNEL, SHARED = "page", "shared"


class PlaygroundStage:
    """People who look at a playground."""

    name = "playground"
    abilities = Abilities(
        channels=False, bots=False, splits=False, pings=False, reads_back=False, fails=False, remembers=False
    )
    people = (Person("ann", "Ann"), Person("ben", "Ben"))
    robot = None
    channel = Where(CHANNEL, SHARED)
    bot_id = loud = ""

    def __init__(self, closing: AsyncExitStack) -> None:
        self._closing = closing
        self._ready = asyncio.Event()
        self._news = asyncio.Condition()
        self._shown: dict[str, dict[str, JSON]] = {}
        self._files: dict[str, bytes] = {}
        self._asked: tuple[Where, JSON] | None = None

    def direct(self, person: Person) -> Where:
        return Where(CHANNEL, person.id)

    def platform(self) -> Playground:
        self._ready = asyncio.Event()
        self._playground = Playground(on_ready=lambda url: self._ready.set(), output_field="reply")
        self._playground.bind()
        return self._playground

    async def connected(self) -> None:
        """The pages of those who are there already load again, from the new server."""
        await self._ready.wait()
        self._http = await self._closing.enter_async_context(aiohttp.ClientSession(self._playground.url))
        for thread in (*self._shown, *(SHARED, *(person.id for person in self.people))):
            await self._look(thread)

    async def say(
        self,
        person: Person,
        text: str,
        where: Where,
        *,
        mention: bool = False,
        to: Person | None = None,
        files: Sequence[ReplyFile] = (),
    ) -> Written:
        if where.thread not in self._shown:
            await self._look(where.thread)
        brought = [await self._bring(file) for file in files]
        body = {"text": text if to is None else f"@{to.name} {text}", "author": _author(person), "files": brought}
        said = await self._post(f"/api/threads/{where.thread}/messages", json=body)
        return Written(said["id"], person, where, where)

    async def thread(self, person: Person, text: str) -> Where:
        raise AssertionError("nobody begins one without the bot")

    async def edit(self, written: Written, text: str) -> None:
        await self._act(written.author, written.where, kind="edit", message_id=written.id, text=text)

    async def delete(self, written: Written) -> None:
        await self._act(written.author, written.where, kind="deletion", message_id=written.id)

    async def react(self, person: Person, seen: Seen, where: Where, emoji: str, *, added: bool = True) -> None:
        await self._act(person, where, kind="reaction", message_id=seen.id, emoji=emoji, added=added)

    async def press(self, person: Person, seen: Seen, where: Where, label: str) -> None:
        button = next(one for one in self._beneath(seen, where)["buttons"] if one["label"] == label)
        press = {"kind": "press", "button": button["action"], "about": button["about"]}
        if button["asks"]:
            self._asked = (where, press)
        if button["counts"] == "at once":
            await self._act(person, where, **press)

    async def answer(self, person: Person, text: str) -> None:
        assert self._asked is not None
        where, press = self._asked
        await self._act(person, where, **press, text=text)

    async def command(self, person: Person, name: str, text: str, where: Where) -> None:
        await self._act(person, where, kind="command", name=name, text=text)

    def seen(self, where: Where) -> list[Seen]:
        shown = self._shown.get(where.thread, {}).values()
        return [seen for exchange in shown for seen in self._seen(exchange)]

    def pinged(self) -> Sequence[str]:
        return ()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(holds)

    def fail_posts(self, *, passing: int = 0, times: int = 1) -> None:
        raise AssertionError("there is no network that could fail")

    # --- what a page sends --------------------------------------------------------------------------------------------

    async def _act(self, person: Person, where: Where, **deed: Any) -> None:
        await self._post(f"/api/threads/{where.thread}/actions", json={"author": _author(person), **deed})

    async def _bring(self, file: ReplyFile) -> str:
        headers = {"Content-Type": file.media_type}
        return str((await self._post(f"/api/files?name={file.name}", data=file.data, headers=headers))["id"])

    async def _post(self, path: str, headers: dict[str, str] | None = None, **body: Any) -> JSON:
        headers = {"Origin": self._playground.url.removesuffix("/"), **(headers or {})}
        async with self._http.post(path, headers=headers, **body) as response:
            assert response.ok, await response.text()
            said: JSON = await response.json()
            return said

    # --- what a page shows --------------------------------------------------------------------------------------------

    async def _look(self, thread: str) -> None:
        """Open a page of a thread, and follow what it shows."""
        response = await self._closing.enter_async_context(self._http.get("/api/events", params={"thread": thread}))
        page = Page(response)
        exchanges = (await page.whole())["thread"]["exchanges"]
        self._shown[thread] = {exchange["id"]: exchange for exchange in exchanges}
        following = asyncio.create_task(self._follow(thread, page))
        self._closing.callback(following.cancel)

    async def _follow(self, thread: str, page: Page) -> None:
        shown = self._shown[thread]
        while True:
            try:
                event, data = await page.next()
            except (EOFError, aiohttp.ClientError):  # the server is gone
                return
            if event == "exchange":
                for file in _files(data):
                    if file["url"] not in self._files:
                        async with self._http.get(file["url"]) as response:
                            self._files[file["url"]] = await response.read()
                shown[data["id"]] = data
            elif event == "gone":
                for identity in data["exchanges"]:
                    shown.pop(identity, None)
            async with self._news:
                self._news.notify_all()

    def _seen(self, exchange: JSON) -> Iterator[Seen]:
        if not exchange["deed"]:
            yield Seen(exchange["id"], by_bot=False, text=exchange["text"])
        answered = exchange["html"] or exchange["beneath"]
        for message in (*exchange["asides"], *([_answer(exchange)] if answered else [])):
            beneath = message["beneath"]
            yield Seen(
                message["id"],
                by_bot=True,
                text=_words(message["html"], beneath),
                buttons=tuple(button["label"] for button in beneath.get("buttons", ())),
                files=tuple(
                    ReplyFile(file["name"], file["media_type"], self._files[file["url"]])
                    for file in beneath.get("files", ())
                ),
                private_to=exchange["author"] if beneath.get("private") else "",
            )

    def _beneath(self, seen: Seen, where: Where) -> JSON:
        for exchange in self._shown[where.thread].values():
            for message in (*exchange["asides"], _answer(exchange)):
                if message["id"] == seen.id:
                    return dict(message["beneath"])
        raise LookupError(f"there is no message {seen.id!r} any more")


@asynccontextmanager
async def playground_stage() -> AsyncIterator[PlaygroundStage]:
    """A playground and people who look at it."""
    async with AsyncExitStack() as closing:
        yield PlaygroundStage(closing)


def _answer(exchange: JSON) -> JSON:
    return {"id": exchange["answer"], "html": exchange["html"], "beneath": exchange["beneath"]}


def _files(exchange: JSON) -> Iterator[JSON]:
    for message in (*exchange["asides"], exchange):
        yield from message["beneath"].get("files", ())


def _words(markup: str, beneath: JSON) -> str:
    """What people read, the addresses of links among it."""
    text = html.unescape(re.sub(r"<[^>]+>", "", markup + beneath.get("reasoning", "")))
    rows = [" ".join(row) for row in beneath.get("table", ())]
    links = [f"{link['title']} {link['url']}" for link in beneath.get("links", ())]
    return "\n".join([text, *rows, *links]).strip()


def _author(person: Person) -> JSON:
    return {"id": person.id, "name": person.name}
