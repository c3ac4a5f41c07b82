"""Looking over how a Discord bot is set up: its token, its application's switches, what it may in its servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord

from dspy_session_chat.finding import Finding
from dspy_session_discord.refusal import FAILURES, PORTAL, explain
from dspy_session_discord.setup.invite import invite
from dspy_session_discord.setup.survey import Spot, closely, survey
from dspy_session_discord.setup.wanted import PLACES
from dspy_session_discord.transport.login import flaw_of

TOKEN = "token"  # noqa: S105

MOST_SERVERS = 25
"""Servers that are looked over unless one is named: each costs three requests."""

PATIENCE = 30.0
"""Seconds that a rate limit is waited for, the least that discord.py takes."""

MAKE_TOKEN = (
    f"At {PORTAL} open your application, or press New Application; on its page Bot press Reset Token, and copy what "
    "appears. Set DISCORD_TOKEN to it."
)
_INVITE = "Open the link that invites the bot, and choose the server."
_COPY_ID = (
    "In Discord, switch on User Settings, Advanced, Developer Mode; then right-click the channel, Copy Channel ID."
)
_LET_IN = "In Discord, open the channel's settings, Permissions, and add the bot's role with View Channel."


@dataclass(frozen=True, slots=True)
class Found:
    """How a bot is set up.

    Args:
        findings: What there is to say.
        invite: The link that invites it; empty when Discord does not let us in.
    """

    findings: Sequence[Finding]
    invite: str = ""


async def check(
    token: str | None,
    *,
    server: int | None = None,
    channel: int | None = None,
    threads: bool = True,
    options: Mapping[str, Any] | None = None,
) -> Found:
    """Look over how a bot is set up.

    Args:
        token: Its token, if there is one.
        server: The server to look at; else all, as far as they are not too many.
        channel: The channel to look at, where the bot shall talk; else all of the server.
        threads: Whether a mention opens a thread; else it is replied to in place, ``Discord(threads="reply")``.
        options: Options of ``discord.Client``: ``proxy``, ``connector``, …
    """
    token = (token or "").strip()
    if not token:
        return Found([_no_token("DISCORD_TOKEN is not set")])
    if flaw := flaw_of(token):
        return Found([_no_token(f"DISCORD_TOKEN {flaw}")])
    asking: dict[str, Any] = {"intents": discord.Intents(guilds=True), "max_ratelimit_timeout": PATIENCE}
    async with discord.Client(**{**asking, **(options or {})}) as client:
        try:
            await client.login(token)
        except FAILURES as error:
            return Found([_refused(error)])
        application, me = client.application, client.user
        assert application is not None, "it is logged in"
        assert me is not None, "it is logged in"
        findings = [Finding(TOKEN, holds=True, says=f"{me.name} ({me.id})"), *_check_application(application)]
        try:
            findings += [each async for each in _check_servers(client, server, channel, threads=threads)]
        except FAILURES as error:
            findings.append(Finding("servers", holds=False, says=f"Discord does not tell of them: {explain(error)}"))
        return Found(findings, invite(application.id, server, threads=threads))


def _no_token(says: str) -> Finding:
    return Finding(TOKEN, holds=False, says=says, mend=MAKE_TOKEN)


def _refused(error: Exception) -> Finding:
    """Why the bot cannot log in."""
    if isinstance(error, discord.LoginFailure):
        return _no_token("Discord does not accept it: it is wrong, or was reset")
    if isinstance(error, discord.RateLimited) or (isinstance(error, discord.HTTPException) and error.status == 429):
        says, mend = "Discord is asked too often for now", "Wait some minutes, and look again."
    elif isinstance(error, discord.HTTPException):
        says, mend = f"Discord does not let the bot in: {explain(error)}", "See discordstatus.com, and look again."
    else:
        says, mend = f"Discord cannot be reached: {explain(error)}", "Check the network, the proxy and the firewall."
    return Finding(TOKEN, holds=False, says=says, mend=mend)


def _check_application(application: discord.AppInfo) -> Iterator[Finding]:
    """What the switches of the developer portal say."""
    page, save = f"{PORTAL}/{application.id}", "and press Save Changes."
    if application.flags.gateway_message_content or application.flags.gateway_message_content_limited:
        yield Finding("Message Content Intent", holds=True, says="on: the bot reads what people write")
    else:
        yield Finding(
            "Message Content Intent",
            holds=False,
            says="off: the bot reads direct messages and mentions only",
            mend=f"On the page Bot ({page}/bot), under Privileged Gateway Intents, switch on Message Content Intent, "
            f"{save}",
        )
    if application.bot_require_code_grant:
        yield Finding(
            "Requires OAuth2 Code Grant",
            holds=False,
            says="on: nobody can invite the bot by a link",
            mend=f"On the page Bot ({page}/bot) switch off Requires OAuth2 Code Grant, {save}",
        )
    if application.user_integration_config is not None and application.guild_integration_config is None:
        yield Finding(
            "Guild Install",
            holds=False,
            says="off: the app can be added to a person, and to no server",
            mend=f"On the page Installation ({page}/installation), under Installation Contexts, tick Guild Install, "
            f"{save}",
        )
    if application.interactions_endpoint_url:
        yield Finding(
            "Interactions Endpoint URL",
            holds=False,
            says="set: slash commands and buttons go there instead of to the bot",
            mend=f"On the page General Information ({page}/information) empty Interactions Endpoint URL, {save}",
        )


async def _check_servers(
    client: discord.Client, server: int | None, channel: int | None, *, threads: bool
) -> AsyncIterator[Finding]:
    """What the bot may in its servers, in one of them, or in one channel."""
    if channel is not None:
        yield await _check_channel(client, channel, threads=threads)
        return
    servers = [guild.id async for guild in client.fetch_guilds(limit=None, with_counts=False)]
    if server is not None and server not in servers:
        yield Finding(f"server {server}", holds=False, says="the bot is not in a server with this id", mend=_INVITE)
    elif not servers:
        yield Finding("servers", holds=False, says="the bot is in none yet", mend=_INVITE)
    else:
        for each in servers[:MOST_SERVERS] if server is None else [server]:
            async for finding in _check_server(client, each, threads=threads):
                yield finding
    if server is None and len(servers) > MOST_SERVERS:
        says = f"{len(servers) - MOST_SERVERS} more are not looked at, unless you name one"
        yield Finding("further servers", holds=None, says=says)


async def _check_server(client: discord.Client, server: int, *, threads: bool) -> AsyncIterator[Finding]:
    guild = await client.fetch_guild(server, with_counts=False)
    me, spots = await _spots(client, guild, threads=threads)
    for finding in survey(guild.name, me.guild_permissions, list(spots.values()), threads=threads):
        yield finding


async def _check_channel(client: discord.Client, channel: int, *, threads: bool) -> Finding:
    what = f"channel {channel}"
    try:
        found = await client.fetch_channel(channel)
    except discord.Forbidden:
        return Finding(what, holds=False, says="the bot does not see it, or is not in its server", mend=_LET_IN)
    except (discord.NotFound, discord.InvalidData):
        return Finding(what, holds=False, says="Discord knows no such channel", mend=_COPY_ID)
    if isinstance(found, discord.abc.PrivateChannel):
        return Finding(what, holds=True, says="a direct message, where nothing has to be allowed")
    guild = await client.fetch_guild(found.guild.id, with_counts=False)
    _, spots = await _spots(client, guild, threads=threads)
    spot = spots.get(found.parent_id if isinstance(found, discord.Thread) else channel)
    if spot is None:
        return Finding(what, holds=False, says="people do not write there", mend=_COPY_ID)
    return closely(guild.name, spot)


async def _spots(
    client: discord.Client, guild: discord.Guild, *, threads: bool
) -> tuple[discord.Member, dict[int, Spot]]:
    """The bot as a member of a server, and the channels where people write, by their ids."""
    assert client.user is not None, "it is logged in"
    me = await guild.fetch_member(client.user.id)
    channels = await guild.fetch_channels()
    return me, {
        each.id: Spot(each.name, each.type, each.permissions_for(me), threads)
        for each in channels
        if each.type in PLACES
    }
