"""People who talk to a bot, in a test."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import dspy

from dspy_session import Turn
from dspy_session.conversation import ConversationKey, Conversations
from dspy_session.stores import Inbox
from dspy_session_chat.action import Action, Command, Deed, Deletion, Edit, Event, Press, Reaction
from dspy_session_chat.bot import Bot
from dspy_session_chat.inbound import Addressed, Attachment, Author, Inbound
from dspy_session_chat.platform import Said
from dspy_session_chat.rules.manners import scoped
from dspy_session_chat.testing.platform import PATIENCE, TesterPlatform, person
from dspy_session_chat.testing.seen import Message

WORKSPACE, CHANNEL = "W", "general"
_LOOK_SECONDS = 0.005
"""Between two looks whether an event is done that nobody sees anything of."""


class NoAnswerError(AssertionError):
    """The bot did not answer within ten seconds."""


class Asked:
    """A message that somebody wrote to the bot.

    Args:
        chat: Where.
        event: The message.
    """

    def __init__(self, chat: ChatTester, event: Inbound) -> None:
        self._chat = chat
        self.event = event

    @property
    def id(self) -> str:
        """The platform's id of it."""
        return self.event.event_id

    async def reply(self) -> Message:
        """The answer, once it is whole: the last message of it, where it was split.

        Raises:
            NoAnswerError: There is none within ten seconds.
        """
        return await self._chat.answer_to(self.event)

    async def growing(self, text: str = "") -> Message:
        """The answer while it grows, once it shows ``text``."""
        return await self._chat.growing(self.event, text)


class ChatTester:
    """A bot, and people who talk to it, without any network.

        async with ChatTester(agent) as chat:
            reply = await chat.say("Hi!", author="ann", thread="t1")
            assert "Ann" in reply.text
            await chat.react("👍", reply, author="ann")

    Everything is real but for the platform: the bot, its store in memory (or another), its limits and manners. Several
    people may talk at once (``asyncio.gather``).

    Args:
        agent: The agent.
        platform: The platform; one that can do everything if None.
        now: The time of the first message; each next one is sent a second later.
        options: Further options of the ``Bot``.
    """

    def __init__(
        self,
        agent: dspy.Module,
        *,
        platform: TesterPlatform | None = None,
        now: datetime | None = None,
        **options: Any,
    ) -> None:
        self.platform = platform or TesterPlatform()
        self.bot = Bot(agent, platforms=[self.platform], **{"store": "memory://", **options})
        self._start = now or datetime.now(UTC)

    async def __aenter__(self) -> Self:
        await self.bot.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.bot.__aexit__(*exc_info)

    @property
    def conversations(self) -> Conversations:
        """The bot's conversations."""
        return self.bot.conversations

    # --- talking --------------------------------------------------------------------------------------------------

    async def say(self, text: str, *, author: str | Author = "ann", thread: str = "t1", **more: Any) -> Message:
        """Write a message and wait for the answer; ``more`` is what ``start`` takes besides.

        Raises:
            NoAnswerError: There is none within ten seconds.
        """
        return await (await self.start(text, author=author, thread=thread, **more)).reply()

    async def start(
        self,
        text: str,
        *,
        author: str | Author = "ann",
        thread: str = "t1",
        channel: str = CHANNEL,
        addressed: Addressed = "mention",
        mentions_others: bool = False,
        replies_to: str | None = None,
        files: Mapping[str, bytes] | None = None,
        event_id: str = "",
    ) -> Asked:
        """Write a message, and do not wait.

        Args:
            text: What is written.
            author: Who writes it, by name.
            thread: Where; empty for the channel itself.
            channel: The channel of the thread.
            addressed: How it reaches the bot.
            mentions_others: Whether it mentions somebody, and not the bot.
            replies_to: The id of the message that it replies to: a ``Message.id`` or an ``Asked.id``; empty for none,
                on a platform where people can. None for one where they cannot.
            files: What comes with it, by name.
            event_id: The platform's id of it; a new one if empty.
        """
        number = self.platform.number()
        attachments = tuple(self._attach(number, name, data) for name, data in (files or {}).items())
        inbound = Inbound(
            ConversationKey(self.platform.name, WORKSPACE, channel, thread or None),
            event_id or f"e{number}",
            _author(author),
            text,
            addressed,
            self._sent(number),
            "" if addressed == "direct" else channel,
            attachments,
            {},
            mentions_others,
            replies_to,
        )
        await self.platform.bring(inbound)
        return Asked(self, inbound)

    async def overhear(self, text: str, *, addressed: Addressed = "ambient", **more: Any) -> None:
        """Write a message that the bot is not to answer, and wait until it is through with it.

        Raises:
            AssertionError: The bot says something.
        """
        before = len(self.platform.messages)
        asked = await self.start(text, addressed=addressed, **more)
        await self.handled(asked.event)
        said = self.platform.messages[before:]
        assert not said, f"the bot answered {text!r}: {said[0].text!r}"

    async def command(
        self, name: str, text: str = "", *, author: str | Author = "ann", thread: str = "t1", channel: str = CHANNEL
    ) -> Message:
        """Give a command natively (``say("/reset")`` gives it by text), and wait for what the bot says."""
        return await self.answer_to(await self.do(Command(name, text), author=author, thread=thread, channel=channel))

    # --- doing ----------------------------------------------------------------------------------------------------

    async def press(self, label: str, message: Message, *, author: str | Author = "ann", text: str = "") -> Event:
        """Press a button under a message; with ``text``, what is written where the button asks.

        Raises:
            LookupError: There is no such button.
        """
        button = message.button(label)
        deed = Press(button.action, button.about, text, message.id)
        return await self.do(deed, author=author, key=message.event.key)

    async def react(self, emoji: str, message: Message, *, author: str | Author = "ann", added: bool = True) -> None:
        """Put an emoji under a message of the bot's, or take it away, and wait until the bot is through with it."""
        key = message.event.key
        place = ConversationKey(key.platform, key.workspace or WORKSPACE, key.channel or CHANNEL)
        await self.handled(await self.do(Reaction(emoji, message.id, added), author=author, key=place))

    async def edit(self, asked: Asked | Event, text: str) -> Event:
        """Change what a message says."""
        event = asked.event if isinstance(asked, Asked) else asked
        return await self.do(Edit(event.event_id, text), author=event.author, key=event.key)

    async def delete(self, asked: Asked | Event) -> None:
        """Delete a message, and wait until the bot is through with it."""
        event = asked.event if isinstance(asked, Asked) else asked
        await self.handled(await self.do(Deletion(event.event_id), author=event.author, key=event.key))

    async def do(
        self,
        deed: Deed,
        *,
        author: str | Author = "ann",
        thread: str = "t1",
        channel: str = CHANNEL,
        key: ConversationKey | None = None,
    ) -> Event:
        """Do something that is no message, and do not wait."""
        number = self.platform.number()
        if key is not None and key.user is not None:  # one user's conversation is no place where things happen
            key = ConversationKey(key.platform, key.workspace or WORKSPACE, key.channel or channel, key.thread)
        key = key or ConversationKey(self.platform.name, WORKSPACE, channel, thread)
        action = Action(key, f"e{number}", _author(author), self._sent(number), deed, channel)
        await self.platform.bring(action)
        return action

    # --- seeing ---------------------------------------------------------------------------------------------------

    def seen(self, thread: str = "t1") -> list[Message]:
        """The bot's messages in a thread, as they stand."""
        return self.platform.seen(thread)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds; it is looked at whenever people would see something new."""
        await self.platform.until(condition)

    async def answer_to(self, event: Event) -> Message:
        """The whole answer to an event: the last message of it.

        Raises:
            NoAnswerError: There is none within ten seconds.
        """

        def answers() -> list[Message]:
            return [
                message
                for message in self.platform.messages
                if message.event.event_id == event.event_id and message.reply is not None and not message.interim
            ]

        try:
            await self.platform.until(answers)
        except TimeoutError:
            said = [message.text for message in self.platform.messages]
            raise NoAnswerError(f"no answer to {event.event_id} within {PATIENCE:g} s; the bot said {said}") from None
        return answers()[-1]

    async def growing(self, event: Event, text: str = "") -> Message:
        """The answer to an event while it grows, once it shows ``text``."""

        def growing() -> list[Message]:
            of_event = [message for message in self.platform.messages if message.event.event_id == event.event_id]
            return [message for message in of_event if message.reply is None and text in message.text]

        await self.platform.until(growing)
        return growing()[-1]

    async def handled(self, event: Event) -> None:
        """Wait until the bot is through with an event, also one that it says nothing to.

        Raises:
            TimeoutError: It is not within ten seconds.
        """
        store = self.conversations.store
        assert isinstance(store, Inbox)
        async with asyncio.timeout(PATIENCE):
            for key in await self._keys(event):
                # A store tells nobody that something is done, for no bot has to know.
                while any(one.event_id == event.event_id for one in await store.pending(key)):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_SECONDS)

    async def _keys(self, event: Event) -> Sequence[str]:
        """Where an event may wait: that of a reaction is where its message stands."""
        kept = {info.key for info in await self.conversations.list()}
        return [*kept, str(event.key), str(scoped(event, self.bot.manners).key)]

    async def turns(self, thread: str = "t1", *, channel: str = CHANNEL) -> list[Turn]:
        """What the bot remembers of a thread."""
        return (await self.conversations.state(ConversationKey(self.platform.name, WORKSPACE, channel, thread))).turns

    def said_before(self, thread: str, *said: tuple[str, str]) -> None:
        """Let people have talked in a thread before the bot came: pairs of a name and what they said."""
        self.platform.before[thread] = [Said(person(name), text) for name, text in said]

    # ------------------------------------------------------------------------------------------------------------------

    def _sent(self, number: int) -> datetime:
        return self._start + timedelta(seconds=number)

    def _attach(self, number: int, name: str, data: bytes) -> Attachment:
        url = f"https://files.example/{number}/{name}"
        self.platform.files[url] = data
        return Attachment(name, mimetypes.guess_type(name)[0] or "", len(data), url)


def _author(author: str | Author) -> Author:
    return author if isinstance(author, Author) else person(author)
