"""The command tree of a client that is joined: our commands grow in it too, and those in it stay its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import discord
from discord import app_commands

from dspy_session_discord.commands.listed import FILE, LONGEST_TEXT, ON_MESSAGE, SLASH, Listed, Option

Tree: TypeAlias = app_commands.CommandTree[Any]
Grown: TypeAlias = app_commands.Command[Any, ..., None] | app_commands.ContextMenu


def tree_of(client: discord.Client) -> Tree | None:
    """The command tree of ``client``, if it has one as an attribute: ``commands.Bot.tree``, and what others call it."""
    trees = [each for each in (getattr(client, "tree", None), *vars(client).values()) if _is_tree(each)]
    return trees[0] if trees else None


@contextmanager
def grown(tree: Tree | None, commands: Sequence[Listed], servers: Collection[int] | None) -> Iterator[list[Listed]]:
    """For as long as the block runs, ``tree`` has our commands too, less those of a name that it has already.

    So its owner's ``tree.sync()`` lists them as well, and the tree does not take them for unknown when they are given.
    They do nothing there: what is given is heard as everything else is.

    Args:
        tree: The tree; None where there is none.
        commands: Our commands.
        servers: Ids of the servers where they are listed; everywhere if None.
    """
    if tree is None:
        yield list(commands)
        return
    places: list[discord.Object | None] = [None] if servers is None else [discord.Object(each) for each in servers]
    ours: list[Listed] = []
    added: list[tuple[Grown, discord.Object | None]] = []
    try:
        for command in commands:
            if any(theirs(tree, command.name, command.kind, place) for place in places):
                continue
            ours.append(command)
            for place in places:
                planted = _planted(command, in_one_server=place is not None)
                try:
                    tree.add_command(planted, guild=place)
                except (app_commands.CommandLimitReached, app_commands.CommandAlreadyRegistered):
                    continue  # it is heard all the same
                added.append((planted, place))
        yield ours
    finally:
        for planted, place in added:
            if tree.get_command(planted.name, guild=place, type=_type(planted)) is planted:
                tree.remove_command(planted.name, guild=place, type=_type(planted))


def theirs(tree: Tree | None, name: str, kind: int, server: discord.abc.Snowflake | None) -> bool:
    """Whether ``tree`` has a command of that name that is not ours, in one server or everywhere."""
    if tree is None or kind not in (SLASH, ON_MESSAGE):
        return False
    found = tree.get_command(name, guild=server, type=discord.AppCommandType(kind))
    return found is not None and not (not isinstance(found, app_commands.Group) and found.extras.get(_OURS))


_OURS = "dspy-session"


def _is_tree(value: object) -> bool:
    return isinstance(value, app_commands.CommandTree)


def _type(command: Grown) -> discord.AppCommandType:
    return command.type if isinstance(command, app_commands.ContextMenu) else discord.AppCommandType.chat_input


def _planted(command: Listed, *, in_one_server: bool) -> Grown:
    extras = {_OURS: True}
    planted: Grown
    if command.kind == ON_MESSAGE:
        planted = app_commands.ContextMenu(name=command.name, callback=_heard_of_message, extras=extras)
    else:
        planted = app_commands.Command(
            name=command.name,
            description=command.description,
            callback=_heard(command.options),
            extras=extras,
        )
    if command.admin:
        app_commands.default_permissions(manage_guild=True)(planted)
    if not in_one_server:
        app_commands.allowed_installs(guilds=True)(planted)
        app_commands.allowed_contexts(guilds=True, dms=True)(planted)
    return planted


async def _heard_of_message(interaction: discord.Interaction, message: discord.Message) -> None:
    """It is heard as an interaction."""


def _heard(options: Sequence[Option]) -> Any:
    """A callback that takes ``options`` and does nothing; discord.py reads from it what a command takes."""
    text = next((option for option in options if option.kind != FILE), None)
    file = next((option for option in options if option.kind == FILE), None)
    named = {"text": text, "file": file}
    callback: Any
    if text is None:

        async def heard(interaction: discord.Interaction) -> None:
            """It is heard as an interaction."""

        return heard
    if file is not None:

        async def heard_with_file(
            interaction: discord.Interaction,
            text: app_commands.Range[str, None, LONGEST_TEXT],
            file: discord.Attachment | None = None,
        ) -> None:
            """It is heard as an interaction."""

        callback = heard_with_file
    else:

        async def heard_with_text(
            interaction: discord.Interaction, text: app_commands.Range[str, None, LONGEST_TEXT] | None = None
        ) -> None:
            """It is heard as an interaction."""

        callback = heard_with_text
    given = {name: option for name, option in named.items() if option is not None}
    callback = app_commands.describe(**{name: option.description for name, option in given.items()})(callback)
    return app_commands.rename(**{name: option.name for name, option in given.items()})(callback)
