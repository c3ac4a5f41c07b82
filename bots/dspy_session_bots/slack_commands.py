"""``dspy-bots slack``: from nothing to an app that answers."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

# What DSPy stands behind is imported by the command that needs it, so that help is there at once.
from dspy_session_bots.console import log_to_terminal
from dspy_session_bots.options import EnvFileOption, JsonOption, Misused, examples, group

if TYPE_CHECKING:
    from pydantic import SecretStr

    from dspy_session_bots.config import Settings
    from dspy_session_chat.finding import Finding
    from dspy_session_slack.setup.manifest import Setup
    from dspy_session_slack.setup.scopes import Features

app = group(
    "Make a Slack app, and see what it lacks.",
    "dspy-bots slack manifest --name Support",
    "dspy-bots slack check",
)

CommandsOption = Annotated[
    bool, typer.Option("--commands/--no-commands", help="With slash commands and the message shortcut, or without.")
]
AssistantOption = Annotated[
    bool,
    typer.Option(
        "--assistant",
        help="With Slack's view for agents: a greeting and suggested prompts. Every DM is a thread then, workspace "
        "guests cannot use the app, and Slack does not take it back.",
    ),
]
WorkspacesOption = Annotated[
    bool, typer.Option("--workspaces", help="For several workspaces, which install it; needs --http.")
]


@app.command(
    epilog=examples(
        "dspy-bots slack manifest",
        "dspy-bots slack manifest --name Support --assistant --out manifest.json",
        "dspy-bots slack manifest --http https://bot.example.com --workspaces",
    )
)
def manifest(
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="What people call it, up to 35 characters.")] = "DSPy bot",
    description: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it is for, up to 140 characters.", show_default=False)
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where Slack reaches the bot, https://…; else over Socket Mode.", show_default=False
        ),
    ] = None,
    socket_mode: Annotated[bool, typer.Option("--socket-mode", help="Over Socket Mode, as without --http.")] = False,
    commands: CommandsOption = True,
    command: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The slash command that takes /NAME reset and so on.", show_default="made of --name"
        ),
    ] = None,
    assistant: AssistantOption = False,
    workspaces: WorkspacesOption = False,
    org: Annotated[
        bool, typer.Option("--org", help="An organisation (Enterprise Grid) may install it for all its workspaces.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "--out",
            metavar="FILE",
            help="Where to write it. - is stdout.",
            show_default="stdout; at a terminal, the link alone",
        ),
    ] = None,
) -> None:
    """Make the manifest that Slack makes an app from.

    It asks for what the chosen features need, and no more. With it comes a link that makes the app in one click, and
    what to do then.
    """
    if http is not None and socket_mode:
        raise Misused("--http and --socket-mode are two ways for the same: choose one", "slack manifest")
    if workspaces and http is None:
        raise Misused(
            "--workspaces needs --http URL, where people come back to when they have installed it", "slack manifest"
        )
    if command is not None and not commands:
        raise Misused("--command names a slash command: leave out --no-commands", "slack manifest")
    from dspy_session import ConfigurationError
    from dspy_session_bots.exporting import written_whole
    from dspy_session_bots.extras import needs_extra
    from dspy_session_bots.findings import show_steps
    from dspy_session_bots.tables import screen

    with needs_extra("slack", "slack manifest"):
        from dspy_session_slack.setup.manifest import DESCRIPTION, Setup, link, manifest

    features = _features(commands=commands, assistant=assistant, workspaces=workspaces)
    setup = Setup(name, description or DESCRIPTION, features, http or "", command or "", org)
    try:
        made = manifest(setup)
    except ConfigurationError as error:
        raise Misused(str(error), "slack manifest") from None
    address = link(made)
    if output is None and address and sys.stdout.isatty():  # the link holds it, and would scroll out of sight
        console = screen()
        console.print("The link holds the manifest: --output FILE, or a pipe, gives it as JSON.\n")
    else:
        is_piped = output is None or str(output) == "-"
        with written_whole(None if is_piped else output) as file:
            file.write(json.dumps(made, ensure_ascii=False, indent=2) + "\n")
        console = screen(of_errors=is_piped)  # what is on stdout may go to a file
        console.print("" if is_piped else f"{output} is written.\n")
    show_steps(console, _steps(setup, address))


@app.command(
    epilog=examples(
        "dspy-bots slack check",
        "dspy-bots slack check --assistant",
        "dspy-bots slack check --listen 60",
        "dspy-bots slack check --http https://bot.example.com",
    )
)
def check(
    *,
    http: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where Slack reaches the bot, which has to run; http://127.0.0.1:3000 looks past a proxy in front of "
            "it. Else over Socket Mode.",
            show_default=False,
        ),
    ] = None,
    commands: CommandsOption = True,
    assistant: AssistantOption = False,
    workspaces: WorkspacesOption = False,
    listen: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Wait so long for an event, to see that they come; write to the bot meanwhile. It stays "
            "unacknowledged, so that Slack gives it to the bot later.",
            min=1.0,
            max=3600.0,
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    env_file: EnvFileOption = None,
) -> None:
    """See that the app is set up right.

    Tokens, scopes and a socket, or the bot's address, are tried out, and what is missing is said. The exit code is 1
    then.
    """
    if http is not None and listen is not None:
        raise Misused("--listen waits at a socket: leave it out with --http", "slack check")
    log_to_terminal(verbose=False)
    from dspy_session_bots.config import read_settings
    from dspy_session_bots.findings import report
    from dspy_session_bots.tables import screen

    if workspaces and http is None:
        raise Misused("--workspaces needs --http URL, where they install the app", "slack check")
    features = _features(commands=commands, assistant=assistant, workspaces=workspaces)
    findings = asyncio.run(_check(read_settings(env_file), features, http, listen))
    console = screen()
    code = report(console, findings, as_json=as_json)
    if not (code or as_json):
        todo = "dspy-bots run support.py:agent --slack" if http is None else "write to the bot in Slack"  # it runs
        console.print(f"\nAll is there, as far as Slack tells. Now: {todo}")
    raise typer.Exit(code)


def _features(*, commands: bool, assistant: bool, workspaces: bool = False) -> Features:
    from dspy_session_bots.extras import needs_extra

    with needs_extra("slack", "slack"):
        from dspy_session_slack.setup.scopes import Features
    return Features(commands=commands, assistant=assistant, workspaces=workspaces)


async def _check(settings: Settings, features: Features, url: str | None, seconds: float | None) -> list[Finding]:
    from dspy_session import ConfigurationError
    from dspy_session_bots.serving import slack_client
    from dspy_session_slack.setup.checking import Listening, OverHttp, OverSocket, check
    from dspy_session_slack.setup.manifest import address

    def begun(whom: str) -> None:
        typer.echo(f"Write to {whom} in Slack now: waiting for {seconds:g} s.", err=True)

    way: OverSocket | OverHttp
    if url is None:
        way = OverSocket(_revealed(settings.slack_app_token), None if seconds is None else Listening(seconds, begun))
    else:
        try:
            way = OverHttp(address(url, local=True), _revealed(settings.slack_signing_secret))
        except ConfigurationError as error:
            raise Misused(str(error), "slack check") from None
    return await check(_revealed(settings.slack_bot_token), way, features, client=slack_client(settings))


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _steps(setup: Setup, link: str) -> list[str]:
    """What to do with a manifest, until the bot answers."""
    from dspy_session_slack.setup.manifest import INSTALL_PATH
    from dspy_session_slack.setup.tokens import APP, BOT, SIGNING

    made = (
        f"Open this link, choose your workspace, press Next, and Create:\n\n{link}\n"
        if link
        else "At https://api.slack.com/apps press Create New App, From a manifest; choose your workspace, and paste it."
    )
    talk = f"Write to @{setup.name} in Slack, or /invite @{setup.name} to a channel and mention it."
    if not setup.url:
        return [made, BOT.mend, APP.mend, "dspy-bots slack check", "dspy-bots run support.py:agent --slack", talk]
    start = f"dspy-bots run support.py:agent --slack-http 127.0.0.1:3000, behind what takes {setup.url} there."
    look = f"dspy-bots slack check --http {setup.url}"
    verify = "On the page Event Subscriptions press Retry beside the Request URL, if it is not Verified yet."
    if not setup.features.workspaces:
        return [made, BOT.mend, SIGNING.mend, start, look, verify, talk]
    credentials = (
        "On the same page, copy Client ID and Client Secret. Set SLACK_CLIENT_ID and SLACK_CLIENT_SECRET to them."
    )
    public = "On the page Manage Distribution press Activate Public Distribution."
    people = f"Send people to {setup.url}{INSTALL_PATH}: there they install it."
    return [made, SIGNING.mend, credentials, start, f"{look} --workspaces", verify, public, people]
