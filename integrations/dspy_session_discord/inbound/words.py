"""What a Discord message says, whatever it is made of: words, something forwarded, a poll, what a bot laid out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import discord

_REFERENCE = re.compile(r"(?P<gap>[^\S\n]*)<(?P<kind>@!?|@&|#)(?P<id>\d+)>")


def said(message: discord.Message, me: int) -> str:
    """All that ``message`` says to the bot whose user id is ``me``: what was written, and what came with it.

    A forwarded message is quoted; Discord does not tell who had written it. Embeds and components count where a bot
    or a webhook has sent them: of a person's message they only show where a link leads.
    """
    laid_out = message.author.bot or message.webhook_id is not None
    parts = [
        written(message, me),
        *(_forwarded(snapshot) for snapshot in message.message_snapshots),
        _poll(message.poll),
        _laid_out(message.embeds, message.components) if laid_out else "",
    ]
    return "\n\n".join(part for part in parts if part)


def written(message: discord.Message, me: int) -> str:
    """What was written, without the mention that addressed the bot; references by the names that people see."""
    if "<" not in message.content:
        return message.content.strip()
    ours = {str(me)}
    if (role := own_role(message)) is not None:
        ours.add(str(role.id))
    names = {str(user.id): user.display_name for user in message.mentions}
    names |= {str(role.id): role.name for role in message.role_mentions}
    names |= {str(channel.id): channel.name for channel in message.channel_mentions}
    return _spoken(message.content, ours, names)


def quoted(heading: str, words: str) -> str:
    r"""``words`` as a quotation.

    >>> quoted("Ben wrote:", "first\n\nsecond")
    '> Ben wrote:\n> first\n>\n> second'
    """
    return "\n".join(f"> {line}".rstrip() for line in (heading, *words.splitlines()))


def own_role(message: discord.Message) -> discord.Role | None:
    """The bot's own role, if ``message`` mentions it."""
    if message.guild is None or not message.role_mentions:  # finding one's own means looking through all roles
        return None
    role = message.guild.self_role
    return role if role in message.role_mentions else None


def _spoken(content: str, ours: set[str], names: Mapping[str, str]) -> str:
    """``content`` as one would say it.

    >>> _spoken("<@1>, ask <@2> in <#3>", {"1"}, {"2": "Ada", "3": "general"})
    'ask @Ada in #general'
    """

    def spoken(reference: re.Match[str]) -> str:
        if reference["id"] in ours and reference["kind"] != "#":
            return ""
        name = names.get(reference["id"])
        return reference.group() if name is None else f"{reference['gap']}{reference['kind'][0]}{name}"

    opening = _REFERENCE.match(content.lstrip())
    text = _REFERENCE.sub(spoken, content)
    if opening is not None and not spoken(opening):
        text = text.lstrip(" ,:")
    return text.strip()


def _forwarded(snapshot: discord.MessageSnapshot) -> str:
    words = snapshot.content.strip() or _laid_out(snapshot.embeds, snapshot.components)
    return quoted("Forwarded message:", words) if words else ""


def _poll(poll: discord.Poll | None) -> str:
    if poll is None:
        return ""
    try:
        question = poll.question
    except AttributeError:  # discord.py's own, where Discord tells none
        question = ""
    return "\n".join((f"Poll: {question}".rstrip(), *(f"- {answer.text}" for answer in poll.answers if answer.text)))


def _laid_out(embeds: Iterable[discord.Embed], components: Sequence[Any]) -> str:
    parts = [_embed(embed) for embed in embeds if embed.type == "rich"]
    parts += _texts(components)
    return "\n\n".join(part for part in parts if part)


def _embed(embed: discord.Embed) -> str:
    fields = (f"{field.name}: {field.value}" for field in embed.fields)
    lines = (embed.author.name, embed.title, embed.description, *fields, embed.footer.text)
    return "\n".join(line.strip() for line in lines if line and line.strip())


def _texts(components: Iterable[Any]) -> Iterator[str]:
    for component in components:
        match component:
            case discord.TextDisplay():
                yield component.content.strip()
            case discord.Container() | discord.SectionComponent() | discord.ActionRow():
                yield from _texts(component.children)
