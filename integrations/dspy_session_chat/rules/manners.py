"""When the bot speaks up, what it takes for one conversation, and what it does with what comes while it is busy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, get_args

from dspy_session.conversation.key import ConversationKey
from dspy_session.errors import ConfigurationError
from dspy_session_chat.action import Event
from dspy_session_chat.duration import seconds_of
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import MOST_POSTS

Respond = Literal["mention", "thread", "always"]
"""Where no mention is needed: nowhere but in DMs, also in threads that the bot is in, everywhere."""
Scope = Literal["thread", "channel", "user", "user-in-channel", "reply-chain"]
"""What is one conversation. A chain of replies begins with a message that replies to none."""
Dms = Literal["thread", "whole"]
"""What is one conversation in a DM: what the platform takes for one (a DM, and each thread in it), or all of it."""
Busy = Literal["queue", "merge", "interrupt", "reject"]
"""What becomes of messages that come while the bot is at work on another one: each is answered in order, together they
become one turn, the answer is stopped for them and goes on with both, or they are turned away."""
Speakers = Literal["field", "prefix"]
"""How the agent learns who spoke: by its input ``author`` if it has one, or by the name before the words as well."""

E = TypeVar("E", bound=Event)

_CHOICES: Mapping[str, Any] = {
    "respond": Respond,
    "scope": Scope,
    "dms": Dms,
    "busy": Busy,
    "speakers": Speakers,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How the bot behaves among people.

    Args:
        respond: Where it answers without being mentioned.
        channels: The same for single channels, by the platform's id or by the name that people see.
        idle: How long after its last answer a thread is no longer one that it is in: then it waits for a mention.
            ``"30m"``, ``"12h"``; for ever if None.
        scope: What is one conversation.
        dms: The same for DMs, where ``scope`` is ``"thread"``.
        busy: What becomes of messages that come while it is at work.
        most_waiting: How many messages, commands and buttons may wait in a conversation; of what is more each is told
            that it is not read.
        speakers: How the agent learns who spoke.
        rerun_edits: Whether changing the last message runs its turn again.
        read_back: How many messages from before it was called into a thread it reads, at most; 0 for none.
        bot_turns: How many messages of other bots in a row it answers, of those that ``Access.bots`` lets talk to it.
        most_posts: How many messages an answer may be split into; the rest goes as a file.
        buttons: Whether answers have buttons where the platform has them.
        statuses: What people read while the agent uses a tool, by the tool's name:
            ``{"search": "Searching the web…"}``; of the others that they are used.
        show_reasoning: Whether ``reasoning`` is posted, hidden, where the platform can hide it.
        show_fields: Whether further output fields are posted as a small table.

    Raises:
        ConfigurationError: An option has none of its values.
    """

    respond: Respond = "thread"
    channels: Mapping[str, Respond] = field(default_factory=dict)
    idle: str | None = None
    scope: Scope = "thread"
    dms: Dms = "thread"
    busy: Busy = "queue"
    most_waiting: int = 20
    speakers: Speakers = "field"
    rerun_edits: bool = True
    read_back: int = 0
    bot_turns: int = 3
    most_posts: int = MOST_POSTS
    buttons: bool = True
    statuses: Mapping[str, str] = field(default_factory=dict)
    show_reasoning: bool = False
    show_fields: bool = False

    def __post_init__(self) -> None:
        for name, kind in _CHOICES.items():
            _check(name, getattr(self, name), kind)
        _check_texts("channels", self.channels, '{"C1": "always"}')
        for channel, respond in self.channels.items():
            _check(f"channels[{channel!r}]", respond, Respond)
        for each in fields(self):
            value = getattr(self, each.name)
            least = {"most_waiting": 1, "most_posts": 1, "read_back": 0, "bot_turns": 0}.get(each.name)
            if least is not None and (type(value) is not int or value < least):
                raise ConfigurationError(f"{each.name} must be a whole number, {least} or more; got {value!r}")
            if isinstance(each.default, bool) and not isinstance(value, bool):
                raise ConfigurationError(f"{each.name} must be True or False; got {value!r}")
        _check_texts("statuses", self.statuses, '{"search": "Searching the web…"}')
        if self.idle is not None:
            seconds_of(self.idle)

    @property
    def idle_seconds(self) -> float | None:
        """``idle`` in seconds."""
        return None if self.idle is None else seconds_of(self.idle)

    def responds(self, event: Event) -> Respond:
        """How far it goes in the channel of an event."""
        by_id = self.channels.get(event.key.channel)
        return by_id or self.channels.get(event.channel_name) or self.respond


def is_heard(event: Event, manners: Manners) -> bool:
    """Whether an event is for the bot as far as that can be told without knowing the conversation. Costs microseconds.

    A message in a thread that mentions somebody else is heard too: the bot has to notice that it is not asked.
    """
    if not isinstance(event, Inbound) or event.addressed in ("direct", "mention"):
        return True
    respond = manners.responds(event)
    # What replies to an answer is in its thread, so to speak; whose message it replies to is looked up later.
    in_thread = event.addressed == "thread" or bool(is_chained(event, manners) and event.replies_to)
    return respond == "always" or (respond == "thread" and in_thread)


def is_direct(event: Event) -> bool:
    """Whether an event was brought about in a DM."""
    return event.addressed == "direct" if isinstance(event, Inbound) else event.direct


def is_place(event: Event, manners: Manners) -> bool:
    """Whether the conversation that an event belongs to is the very place where it was brought about.

    Otherwise several threads share it: what holds for one of them does not hold for the others.
    """
    return manners.scope in ("thread", "reply-chain") and not (is_direct(event) and manners.dms == "whole")


def is_chained(event: Event, manners: Manners) -> bool:
    """Whether a message is in a chain of replies: one that was written in a thread or in a DM is in that."""
    if manners.scope != "reply-chain" or not isinstance(event, Inbound) or event.replies_to is None:
        return False
    return event.addressed != "direct" and event.key.thread in (None, event.event_id)


def scoped(event: E, manners: Manners) -> E:
    """An event with the key of the conversation that it belongs to under ``manners``, and its place besides."""
    key = _conversation(event, manners)
    return event if key == event.key else replace(event, key=key, place=event.where)


def _conversation(event: Event, manners: Manners) -> ConversationKey:
    key = event.key
    place = ConversationKey(key.platform, key.workspace, key.channel)
    if manners.scope in ("user", "user-in-channel") and not event.author.id:
        return key  # whose it is the platform does not tell: the message that it is about does
    if manners.scope == "user":
        # A DM has no workspace on some platforms, and is the same user's all the same.
        return ConversationKey(key.platform, event.author.workspace, "", user=event.author.id)
    if manners.scope == "user-in-channel":
        return replace(place, user=event.author.id)
    if manners.scope == "channel" or (is_direct(event) and manners.dms == "whole"):
        return place
    return replace(place, thread=event.event_id) if is_chained(event, manners) else key


def may_be_of(key: ConversationKey, place: ConversationKey) -> bool:
    """Whether what is said in a place can belong to a conversation: it is the place's, or a user's wherever that is."""
    return (
        key.platform == place.platform and key.workspace in ("", place.workspace) and key.channel in ("", place.channel)
    )


def _check(name: str, value: object, kind: Any) -> None:
    choices = get_args(kind)
    if not isinstance(value, str) or value not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


def _check_texts(name: str, value: object, example: str) -> None:
    """See that an option is a mapping of texts to texts."""
    pairs = value.items() if isinstance(value, Mapping) else ((None, None),)
    if not all(isinstance(key, str) and isinstance(text, str) for key, text in pairs):
        raise ConfigurationError(f"{name} must be a mapping of texts to texts, such as {example}; got {value!r}")
