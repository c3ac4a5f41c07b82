"""The commands of ``dspy-bots``, their options, and what their help says."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Annotated, Any

import typer

# What DSPy stands behind is imported by the command that needs it, so that help is there at once.
from dspy_session_bots import conversation_commands, discord_commands, slack_commands, webhook_commands
from dspy_session_bots.console import PROGRAM, complain, log_to_operator, log_to_terminal
from dspy_session_bots.options import (
    BOT_STORE,
    STORES,
    EarlyEnvFileOption,
    EnvFileOption,
    Misused,
    VerboseOption,
    examples,
)
from dspy_session_bots.rules import (
    DISCORD_OPTIONS,
    SLACK_OPTIONS,
    InParts,
    discord_of,
    given_in,
    ruled,
    rules_of,
    slack_of,
    unknown_variables,
)

app = typer.Typer(name=PROGRAM, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

DISTRIBUTIONS = ("dspy-session-kit", "dspy")

app.add_typer(conversation_commands.app, name="conversations")
app.add_typer(webhook_commands.app, name="webhooks")
app.add_typer(slack_commands.app, name="slack")
app.add_typer(discord_commands.app, name="discord")


TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:ATTR",
        help="A module or a .py file, and the name in it that holds a DSPy module, a session, or a function without "
        "arguments that makes one. Without :ATTR it is agent, program or bot.",
        show_default=False,
    ),
]
LmOption = Annotated[
    str | None,
    typer.Option(
        "--lm",
        metavar="MODEL",
        help="The model that answers, as DSPy names it, or 'embedded'. Otherwise the one that the agent's file "
        "configures, else one that the environment has a key for, else the embedded one.",
        show_default=False,
    ),
]
InputFieldOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="The agent's input that takes the message.", show_default=False)
]
OutputFieldOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="The agent's output that is the answer.", show_default=False)
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(", ".join(f"{name} {metadata.version(name)}" for name in DISTRIBUTIONS))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  # its callback has said it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Put a DSPy agent where people talk: in the browser, in the terminal, in Slack, in Discord."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(
    short_help="Talk to a small agent in the browser.",
    epilog=examples(
        "dspy-bots demo",
        "dspy-bots demo --lm openai/gpt-5.4-mini --port 8000",
    ),
)
def demo(
    *,
    lm: LmOption = None,
    store: Annotated[
        str, typer.Option(metavar="URL", help=f"Where conversations are kept: {STORES}.")
    ] = "sqlite:///playground.db",
    port: Annotated[int, typer.Option(help="The page's port; 0 takes a free one.", min=0, max=65535)] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the page in a browser.")] = False,
    env_file: EnvFileOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Talk to a small agent in the browser, and see what it remembers."""
    log_to_terminal(verbose=verbose)
    from dspy_session_bots.agent import forget_caches
    from dspy_session_bots.config import read_settings
    from dspy_session_bots.demo import run_demo

    read_settings(env_file)
    forget_caches()
    run_demo(lm=lm, store=store, port=port, opens_browser=not no_open)


@app.command(
    epilog=examples(
        "dspy-bots chat support.py:agent",
        "dspy-bots chat support.py:agent --store sqlite:///chat.db --thread holidays",
        'echo "What do you know?" | dspy-bots chat support.py:agent > answer.txt',
    )
)
def chat(
    target: TargetArgument,
    *,
    lm: LmOption = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help=f"Where the conversation is kept: {STORES}.", show_default="memory://"),
    ] = None,
    thread: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of the kept conversations it is.", show_default="main")
    ] = None,
    input_field: InputFieldOption = None,
    output_field: OutputFieldOption = None,
    env_file: EnvFileOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Talk to your agent in the terminal, or through a pipe.

    Each line is a message; answers come on stdout, and nothing else does.
    """
    if thread is not None and store is None:
        raise Misused(
            "--thread names a conversation that is kept: add where, such as --store sqlite:///chat.db", "chat"
        )
    log_to_terminal(verbose=verbose)
    from dspy_session.conversation import Conversations
    from dspy_session_bots.agent import forget_caches, load_agent, ready
    from dspy_session_bots.config import read_settings
    from dspy_session_bots.model import TOY
    from dspy_session_bots.target import Target
    from dspy_session_bots.terminal import Terminal, conversation_key

    settings = read_settings(env_file)
    forget_caches()
    agent = ready(load_agent(Target.parse(target)), lm, input_field, output_field)
    is_toy = agent.model is not None and agent.model.is_embedded
    terminal = Terminal(
        Conversations(agent.session, store or "memory://", keys=settings.keys() if store else None),
        agent.fields,
        conversation_key(thread or "main"),
        f"{target} · {agent.model_name} · Ctrl-C stops an answer, Ctrl-D leaves",
        notice=f"{agent.model_name}, answers: {TOY}" if is_toy else "",
        verbose=verbose,
    )
    if not terminal.talk():
        raise typer.Exit(1)


@app.command(
    cls=InParts,
    short_help="Put your agent into Slack, Discord or a page.",
    epilog=examples(
        "dspy-bots run support.py:agent --playground",
        "dspy-bots run support.py:agent --slack",
        "dspy-bots run support.py:agent --slack --discord --store sqlite:///bot.db --lm openai/gpt-5.4-mini",
        "dspy-bots run support.py:agent --slack --busy merge --per-user 20/m --tokens-a-day 2000000 --admin U0123ABC",
        "dspy-bots run support.py:agent --slack --webhook https://example.com/turns",
        "dspy-bots run support.py:agent --slack-http 127.0.0.1:3000",
        "dspy-bots run support.py:bot",
    ),
)
@ruled
def run(
    context: typer.Context,
    target: TargetArgument,
    *,
    slack: Annotated[
        bool, typer.Option("--slack", help="In Slack: needs SLACK_BOT_TOKEN and SLACK_APP_TOKEN.")
    ] = False,
    slack_http: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT",
            help="In Slack over HTTP, listening there: needs SLACK_SIGNING_SECRET and SLACK_BOT_TOKEN, or where many "
            "workspaces install the app SLACK_CLIENT_ID and SLACK_CLIENT_SECRET.",
            show_default=False,
        ),
    ] = None,
    discord: Annotated[bool, typer.Option("--discord", help="In Discord: needs DISCORD_TOKEN.")] = False,
    playground: Annotated[
        bool, typer.Option("--playground", help="On a page of this machine alone: needs no token.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(help="The page's port; else a free one.", min=0, max=65535, show_default=False)
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANNEL=MODULE:ATTR",
            help="Another agent for a channel, by its id or name, or what the agent is told there besides: "
            "support='Answer in German.'; may be repeated.",
            show_default=False,
        ),
    ] = None,
    lm: LmOption = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help=f"Where conversations are kept: {STORES}.", show_default=BOT_STORE),
    ] = None,
    webhook: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="Post each turn there, signed with WEBHOOK_SECRET; may be repeated.", show_default=False
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long what was said is kept, such as 90d.", show_default="for ever"),
    ] = None,
    input_field: InputFieldOption = None,
    output_field: OutputFieldOption = None,
    env_file: EarlyEnvFileOption = None,
    verbose: VerboseOption = False,
    **rules: Any,
) -> None:
    """Let your agent answer in Slack, in Discord or on a page of your own, until Ctrl-C.

    Tokens come from the environment or from .env, as do STORE_KEYS, which encrypt what people say. What it may do can
    stand there as well: BOT_PER_USER=20/m is --per-user 20/m, BOT_ADMINS="U1 U2" names two. MODULE:ATTR may be a Bot as
    well, set up in your own code.
    """
    log_to_operator(verbose=verbose)
    from dspy_session_bots.agent import forget_caches, ready
    from dspy_session_bots.channels import channel_agents
    from dspy_session_bots.config import read_settings
    from dspy_session_bots.keeping import check_store, shown
    from dspy_session_bots.load import load
    from dspy_session_bots.model import choose, needs_model
    from dspy_session_bots.serving import platforms_and_sinks, run_until_stopped
    from dspy_session_bots.target import Target
    from dspy_session_chat import Bot

    settings = read_settings(env_file)
    for warning in unknown_variables(os.environ):
        complain(f"warning: {warning}")
    forget_caches()
    found = load(Target.parse(target))
    if isinstance(found, Bot):
        superfluous = list(given_in(context, besides=("target", "env_file", "verbose")))
        if superfluous:
            raise Misused(f"{target} is a Bot, which says this itself: leave out {' and '.join(superfluous)}", "run")
        bot, said = found, target
    else:
        if slack and slack_http is not None:
            raise Misused("Slack reaches the bot in one way: --slack over a socket, or --slack-http over HTTP", "run")
        if not (slack or slack_http is not None or discord or playground):
            raise Misused("say where the bot shall be: --slack, --discord, --playground, or several of them", "run")
        if port is not None and not playground:
            raise Misused("--port is that of the page: add --playground", "run")
        for place, is_asked, options in (
            ("Slack", slack or slack_http is not None, SLACK_OPTIONS),
            ("Discord", discord, DISCORD_OPTIONS),
        ):
            if not is_asked and (vain := [each for each in given_in(context, besides=()) if each in options]):
                raise Misused(f"{' and '.join(vain)} is for {place}: add --{place.lower()}", "run")
        places, sinks = platforms_and_sinks(
            settings,
            slack=slack,
            slack_http=slack_http,
            slack_options=slack_of(rules),
            discord=discord,
            discord_options=discord_of(rules),
            webhooks=webhook or (),
        )
        manners, limits, access = rules_of(rules)
        agent = ready(found, lm, input_field, output_field)
        channels = channel_agents(channel or ())
        modules = [each for each in channels.values() if not isinstance(each, str)]
        if agent.model is None and any(map(needs_model, modules)):
            agent = ready(found, choose(lm), input_field, output_field)
        if playground:
            from dspy_session_bots.playground import Playground

            page = Playground(
                port=port or 0,
                agent_name=target,
                model_name=agent.model_name,
                buttons=manners.buttons,
                on_ready=lambda url: typer.echo(f"Open {url}"),
                input_field=input_field,
                output_field=output_field,
            )
            places.append(page)
            sinks.append(page)
        store = store or BOT_STORE
        bot = Bot(
            found,  # not its session: a bot makes its own, as long as its limits want it
            platforms=places,
            channels=channels,
            store=store,
            keys=settings.keys(),
            keep=keep,
            sinks=sinks,
            manners=manners,
            limits=limits,
            access=access,
            input_field=input_field,
            output_field=output_field,
        )
        said = (
            f"{target} in {' and '.join(place.name for place in places)} · {agent.model_name} · kept in {shown(store)}"
        )
    check_store(bot.conversations.store)
    typer.echo(f"{said} · Ctrl-C stops")
    run_until_stopped(bot)
