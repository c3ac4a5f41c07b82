"""The fake Discord as a stage of the contract that all platforms keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dspy_session_chat.files.downloads import Downloader
from dspy_session_chat.reply import ReplyFile
from dspy_session_chat.testing import Abilities, Person, Seen, Where, Written
from dspy_session_discord import Discord
from dspy_session_discord.platform import FILE_HOSTS
from tests.discord.conftest import Place
from tests.discord.talk import HURRY
from tests.loopback.discord import Channel, FakeDiscord, Message, User
from tests.loopback.discord.faults import Fault
from tests.loopback.discord.interactions import Interaction


class DiscordStage:
    """People on a fake server.

    Args:
        fake: Discord.
        place: The server.
    """

    name = "Discord"
    abilities = Abilities(private=False)  # what answers a message is for all who read there

    def __init__(self, fake: FakeDiscord, place: Place) -> None:
        self._fake = fake
        self.people = (_person(place.ada), _person(place.bob))
        self.robot = _person(fake.person("Robot", bot=True))
        self.channel = Where(str(place.general.id))
        self.bot_id = str(fake.bot.id)
        self.loud = f"{place.bob.mention} @everyone @here"
        self._written: dict[str, tuple[Message, str]] = {}
        self._pressed: list[Interaction] = []

    def direct(self, person: Person) -> Where:
        return Where(str(self._fake.dm(self._user(person)).id))

    def platform(self) -> Discord:
        return Discord(
            token=self._fake.token,
            client_options={"connector": self._fake.connector(), **HURRY},
            downloader=Downloader(FILE_HOSTS, connect=self._fake.connector),
        )

    async def connected(self) -> None:
        await self._fake.connected()

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
        address = f"{self._fake.bot.mention} " if mention else f"{self._user(to).mention} " if to else ""
        channel = self._channel(where)
        message = await self._fake.say(
            channel, self._user(person), address + text, files={file.name: file.data for file in files}
        )
        self._written[str(message.id)] = (message, address)
        in_channel = channel.guild is not None and not where.thread
        return Written(str(message.id), person, where, Where(where.channel, str(message.id)) if in_channel else where)

    async def thread(self, person: Person, text: str) -> Where:
        user, general = self._user(person), self._channel(self.channel)
        thread = await self._fake.open_thread(await self._fake.say(general, user, "a question"), "a question", user)
        where = Where(self.channel.channel, str(thread.id))
        await self.say(person, text, where)
        return where

    async def edit(self, written: Written, text: str) -> None:
        message, address = self._written[written.id]
        await self._fake.edit(message, address + text)

    async def delete(self, written: Written) -> None:
        await self._fake.delete(self._written[written.id][0])

    async def react(self, person: Person, seen: Seen, where: Where, emoji: str, *, added: bool = True) -> None:
        change = self._fake.react if added else self._fake.unreact
        await change(self._message(seen, where), self._user(person), emoji)

    async def press(self, person: Person, seen: Seen, where: Where, label: str) -> None:
        self._pressed.append(await self._fake.press(self._message(seen, where), self._user(person), label))

    async def answer(self, person: Person, text: str) -> None:
        await self._fake.until(lambda: any(each.modal for each in self._pressed))
        asked = [each for each in self._pressed if each.modal][-1]
        self._pressed.remove(asked)
        await self._fake.submit(asked, text)

    async def command(self, person: Person, name: str, text: str, where: Where) -> None:
        await self._fake.until(self._fake.commands.all)
        await self._fake.command(self._channel(where), self._user(person), name, text)

    def seen(self, where: Where) -> list[Seen]:
        channel = self._fake.channels.get(int(where.thread or where.channel))
        return [] if channel is None else [self._seen(message) for message in channel.visible]

    def pinged(self) -> list[str]:
        return [ping for message in self._fake.posts for ping in message.pings]

    async def until(self, holds: Callable[[], object]) -> None:
        await self._fake.until(holds)

    def fail_posts(self, *, passing: int = 0, times: int = 1) -> None:
        body = {"message": "Service Unavailable", "code": 0}
        self._fake.faults.add(Fault("POST", "/channels/*/messages", 503, body, times=times, passing=passing))

    def _user(self, person: Person) -> User:
        return self._fake.people[int(person.id)]

    def _channel(self, where: Where) -> Channel:
        return self._fake.channels[int(where.thread or where.channel)]

    def _message(self, seen: Seen, where: Where) -> Message:
        return self._channel(where).messages[int(seen.id)]

    def _seen(self, message: Message) -> Seen:
        return Seen(
            str(message.id),
            by_bot=message.author is self._fake.bot,
            text=message.content,
            buttons=tuple(message.buttons),
            files=tuple(ReplyFile(name, "", data) for name, data in message.files.items()),
            private_to="" if message.private_to is None else str(message.private_to),
        )


def _person(user: User) -> Person:
    return Person(str(user.id), user.name)
