"""``dspy-bots discord``: from nothing to a bot that answers."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer

# What DSPy stands behind is imported by the command that needs it, so that help is there at once.
from dspy_session_bots.console import log_to_terminal
from dspy_session_bots.options import EnvFileOption, JsonOption, Misused, examples, group

app = group(
    "Invite a Discord bot, and see what it lacks.",
    "dspy-bots discord setup",
    "dspy-bots discord setup --channel 1193847561029384756",
)

LARGEST_ID = 2**63 - 1


@app.command(
    short_help="Make the bot's invite, and see what it lacks.",
    epilog=examples(
        "dspy-bots discord setup",
        "dspy-bots discord setup --server 1193847561029384756",
        "dspy-bots discord setup --channel 1193847561029384756",
    ),
)
def setup(
    *,
    server: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Look at this server, and make the link for it.", show_default=False),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Look at this channel: the bot shall talk there.", show_default=False),
    ] = None,
    threads: Annotated[
        bool,
        typer.Option(
            "--threads/--no-threads",
            help='Mentions open threads, or are replied to in place: Discord(threads="reply").',
        ),
    ] = True,
    as_json: JsonOption = False,
    env_file: EnvFileOption = None,
) -> None:
    """Make the link that invites the bot, and see that it is set up right.

    The token, the application's switches and the permissions in each server are looked at, and what is missing is said;
    the exit code is 1 then. That the bot does not see a channel, or may not write there, may be meant so, except with
    --channel.
    """
    server_id, channel_id = _id("server", server), _id("channel", channel)
    if server is not None and channel is not None:
        raise Misused("--channel says which server it is: leave out --server", "discord setup")
    log_to_terminal(verbose=False)
    logging.getLogger("discord").setLevel(
        logging.ERROR
    )  # what it warns of, voice and limits, is said here or no matter
    from dspy_session_bots.config import read_settings
    from dspy_session_bots.extras import needs_extra
    from dspy_session_bots.findings import report
    from dspy_session_bots.proxy import proxied
    from dspy_session_bots.tables import screen
    from dspy_session_chat.finding import Finding

    with needs_extra("discord", "discord setup"):
        from dspy_session_discord.setup.checking import check
    token = read_settings(env_file).discord_token
    secret = None if token is None else token.get_secret_value()
    found = asyncio.run(check(secret, server=server_id, channel=channel_id, threads=threads, options=proxied()))
    findings, console = list(found.findings), screen()
    if found.invite and as_json:
        findings.append(Finding("invite link", holds=None, says=found.invite))
    elif found.invite:
        console.print("This link invites the bot, with the permissions that it needs:\n")
        console.print(f"{found.invite}\n", soft_wrap=True)
    code = report(console, findings, as_json=as_json)
    if not (code or as_json):
        console.print("\nAll is there. Now: dspy-bots run support.py:agent --discord")
    raise typer.Exit(code)


def _id(what: str, given: str | None) -> int | None:
    """The id that was given for a server or a channel."""
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and 0 < int(given) <= LARGEST_ID):
        raise Misused(
            f"--{what} takes an id such as 1193847561029384756, and {given!r} is none: in Discord, switch on User "
            f"Settings, Advanced, Developer Mode, then right-click the {what}, Copy {what.title()} ID",
            "discord setup",
        )
    return int(given)
