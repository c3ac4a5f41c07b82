"""The platform in memory as a stage: people who write and do things there, and what they see."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dspy_session.conversation import ConversationKey
from dspy_session.errors import PlatformUnavailableError
from dspy_session_chat import Action, Attachment, Author, Command, Deletion, Edit, Inbound, Press, Reaction, Said
from dspy_session_chat.inbound import Addressed
from dspy_session_chat.reply import ReplyFile
from dspy_session_chat.testing import Abilities, Message, Person, Seen, TesterPlatform, Where, Written

LIMIT = 2000
ANN, BEN, ROBOT = Person("ann", "Ann"), Person("ben", "Ben"), Person("robot", "Robot")


class MemoryStage:
    """People around a ``TesterPlatform``."""

    name = "tester"
    abilities = Abilities(pings=False)
    people = (ANN, BEN)
    robot = ROBOT
    channel = Where("general")
    bot_id = loud = ""

    def __init__(self) -> None:
        self._platform = TesterPlatform(limit=LIMIT, edit_seconds=0.01)
        self._numbers = itertools.count(1)
        self._asked: Action | None = None

    def direct(self, person: Person) -> Where:
        return Where(f"dm-{person.id}")

    def platform(self) -> TesterPlatform:
        return self._platform

    async def connected(self) -> None:
        """Whoever brings an event waits for that."""

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
        event_id = self._id()
        direct = where.channel.startswith("dm-")
        answers = where if direct or where.thread else Where(where.channel, event_id)
        inbound = Inbound(
            _key(answers),
            event_id,
            _author(person),
            text if to is None else f"@{to.name} {text}",
            "direct" if direct else "mention" if mention else self._addressed(where),
            self._now(),
            channel_name="" if direct else where.channel,
            attachments=tuple(self._upload(event_id, file) for file in files),
            reply_to=_place(answers),
            mentions_others=to is not None,
        )
        await self._platform.bring(inbound)
        return Written(event_id, person, where, answers)

    async def thread(self, person: Person, text: str) -> Where:
        written = await self.say(person, text, self.channel)
        self._platform.before[written.answers.thread] = [Said(_author(person), text)]
        return written.answers

    async def edit(self, written: Written, text: str) -> None:
        await self._do(written.author, written.answers, Edit(written.id, text))

    async def delete(self, written: Written) -> None:
        await self._do(written.author, written.answers, Deletion(written.id))

    async def react(self, person: Person, seen: Seen, where: Where, emoji: str, *, added: bool = True) -> None:
        await self._do(person, Where(where.channel), Reaction(emoji, seen.id, added))

    async def press(self, person: Person, seen: Seen, where: Where, label: str) -> None:
        button = self._message(seen.id).button(label)
        press = self._action(person, _key(where), _place(where), Press(button.action, button.about, message_id=seen.id))
        if button.asks:
            self._asked = press
        if not button.waits:
            await self._platform.bring(press)

    async def answer(self, person: Person, text: str) -> None:
        assert self._asked is not None
        pressed = self._asked.deed
        assert isinstance(pressed, Press)
        deed = Press(pressed.button, pressed.about, text, pressed.message_id)
        await self._platform.bring(self._action(person, self._asked.key, self._asked.reply_to, deed))

    async def command(self, person: Person, name: str, text: str, where: Where) -> None:
        await self._do(person, where, Command(name, text))

    def seen(self, where: Where) -> list[Seen]:
        here = [message for message in self._platform.messages if message.event.reply_to == _place(where)]
        last = {
            id(message.reply): message.id for message in here
        }  # the files of an answer stand under its last message
        return [_seen(message, with_files=last[id(message.reply)] == message.id) for message in here]

    def pinged(self) -> Sequence[str]:
        return ()

    async def until(self, holds: Callable[[], object]) -> None:
        await self._platform.until(holds)

    def fail_posts(self, *, passing: int = 0, times: int = 1) -> None:
        """An answer is posted here in one piece, so that none passes before."""
        self._platform.fail("post", PlatformUnavailableError("no network"), times=times)

    # ------------------------------------------------------------------------------------------------------------------

    async def _do(self, person: Person, where: Where, deed: Any) -> Action:
        action = self._action(person, _key(where), _place(where), deed)
        await self._platform.bring(action)
        return action

    def _action(self, person: Person, key: ConversationKey, reply_to: dict[str, Any], deed: Any) -> Action:
        direct = key.channel.startswith("dm-")
        return Action(key, self._id(), _author(person), self._now(), deed, reply_to=reply_to, direct=direct)

    def _addressed(self, where: Where) -> Addressed:
        return "thread" if where.thread.startswith("opened-") or self.seen(where) else "ambient"

    def _message(self, message_id: str) -> Message:
        return next(message for message in self._platform.messages if message.id == message_id)

    def _upload(self, event_id: str, file: ReplyFile) -> Attachment:
        url = f"https://files.example/{event_id}/{file.name}"
        self._platform.files[url] = file.data
        return Attachment(file.name, file.media_type, len(file.data), url)

    def _id(self) -> str:
        return f"e{next(self._numbers)}"

    def _now(self) -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=next(self._numbers))


def _key(where: Where) -> ConversationKey:
    return ConversationKey("tester", "W", where.channel, where.thread or None)


def _place(where: Where) -> dict[str, Any]:
    return {"channel": where.channel, "thread": where.thread}


def _author(person: Person) -> Author:
    return Author(person.id, person.name, is_bot=person is ROBOT)


def _seen(message: Message, *, with_files: bool) -> Seen:
    return Seen(
        message.id,
        by_bot=True,
        text="\n\n".join(part for part in (message.text, message.reasoning) if part),
        buttons=tuple(button.label for button in message.buttons),
        files=message.files if with_files else (),
        private_to=message.event.author.id if message.private else "",
    )
