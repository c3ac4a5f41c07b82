"""The fake Slack as a stage of the contract that all platforms keep."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Sequence
from typing import Any

from dspy_session_chat.reply import ReplyFile
from dspy_session_chat.testing import Abilities, Person, Seen, Where, Written
from dspy_session_slack import Slack
from tests.loopback.slack import BOT, FakeSlack, held, refused
from tests.loopback.slack.shown import Shown
from tests.loopback.slack.workspace import Message
from tests.slack.talk import ANN, BEN, GENERAL, MENTION, OTHER_BOT, platform_of

_DMS = {ANN: "D0ANN", BEN: "D0BEN"}
_EMOJI = {"👍": "+1", "👎": "thumbsdown"}


class SlackStage:
    """People in a fake workspace.

    Args:
        slack: The workspace.
        options: Further options of the platform.
    """

    name = "Slack"
    abilities = Abilities(reasoning=False)
    people = (Person(ANN, "Ann"), Person(BEN, "Ben"))
    robot = Person(OTHER_BOT, "Ticker")
    channel = Where(GENERAL)
    bot_id = BOT.id
    loud = f"<@{BEN}> <!channel> @here"

    def __init__(self, slack: FakeSlack, **options: Any) -> None:
        self._slack = slack
        self._options = options
        self._written: dict[str, tuple[Message, str]] = {}

    def direct(self, person: Person) -> Where:
        return Where(_DMS[person.id])

    def platform(self) -> Slack:
        return platform_of(self._slack, **self._options)

    async def connected(self) -> None:
        await self._slack.connected()

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
        address = f"{MENTION} " if mention else f"<@{to.id}> " if to else ""
        brought = [await self._slack.upload(file.name, file.data, file.media_type) for file in files]
        message = await self._slack.say(
            address + html.escape(text, quote=False),
            channel=where.channel,
            user=person.id,
            thread_ts=where.thread or None,
            **({"files": brought, "subtype": "file_share"} if brought else {}),
        )
        self._written[message["ts"]] = (message, address)
        answers = where if where.thread or where.channel in _DMS.values() else Where(where.channel, message["ts"])
        return Written(message["ts"], person, where, answers)

    async def thread(self, person: Person, text: str) -> Where:
        return (await self.say(person, text, self.channel)).answers

    async def edit(self, written: Written, text: str) -> None:
        message, address = self._written[written.id]
        await self._slack.edit(message, address + html.escape(text, quote=False), channel=written.where.channel)

    async def delete(self, written: Written) -> None:
        await self._slack.delete(self._written[written.id][0], channel=written.where.channel)

    async def react(self, person: Person, seen: Seen, where: Where, emoji: str, *, added: bool = True) -> None:
        ts = _ts(seen)
        await self._slack.react(_EMOJI[emoji], channel=where.channel, ts=ts, user=person.id, added=added)

    async def press(self, person: Person, seen: Seen, where: Where, label: str) -> None:
        await self._slack.press(label, channel=where.channel, ts=_ts(seen), user=person.id)

    async def answer(self, person: Person, text: str) -> None:
        await self._slack.submit(await self._slack.next_view(), text or None, user=person.id)

    async def command(self, person: Person, name: str, text: str, where: Where) -> None:
        await self._slack.command(f"/{BOT.name}", f"{name} {text}", channel=where.channel, user=person.id)

    def seen(self, where: Where) -> list[Seen]:
        everybody = [self._seen(where, shown) for shown in self._slack.shown(where.channel, where.thread or None)]
        alone = [
            Seen("", by_bot=True, text=html.unescape(post.text), private_to=post.only_for)
            for post in self._slack.posts
            if post.only_for and (post.channel, post.thread_ts or "") == (where.channel, where.thread)
        ]
        responses = [
            Seen("", by_bot=True, text=html.unescape(said["text"]), private_to=said["user"])
            for said in self._slack.responses.said
            if (said["channel"], "") == (where.channel, where.thread)
        ]
        return [*everybody, *alone, *responses]

    def pinged(self) -> list[str]:
        return self._slack.pinged

    async def until(self, holds: Callable[[], object]) -> None:
        await self._slack.until(lambda: bool(holds()))

    def fail_posts(self, *, passing: int = 0, times: int = 1) -> None:
        (at_once := asyncio.Event()).set()
        if passing:
            self._slack.fail("chat.postMessage", held(at_once), times=passing)
        self._slack.fail("chat.postMessage", refused("service_unavailable"), times=times)

    def _seen(self, where: Where, shown: Shown) -> Seen:
        message = self._slack.workspace.channels[where.channel].message(shown.ts) or {}
        files = [self._slack.files[file["id"]] for file in message.get("files") or ()]
        return Seen(
            f"{where.channel}:{shown.ts}",
            by_bot=shown.author == self._slack.bot.id,
            text=html.unescape(shown.text),
            buttons=shown.buttons,
            files=tuple(ReplyFile(file.name, file.media_type, file.data or b"") for file in files),
        )


def _ts(seen: Seen) -> str:
    return seen.id.partition(":")[2]
